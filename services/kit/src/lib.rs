//! What Tracewell's services share besides telemetry: configuration, database, problems, tokens, API
//! documents, the command line, and the way they start, serve and stop.
//!
//! A service implements [`service::Service`]; its `main` is one call of [`cli::run`]. Tests start the same
//! [`server::Server`] on a free port with an environment of their own.
//!
//! Layers around a service's routes, outermost first, and why in this order:
//! 1. telemetry (span, metrics, access log, panics): sees the final status of everything inside;
//! 2. security headers and CORS: errors carry them too, and what a browser asks before it sends takes no place;
//! 3. problems get the path they are about;
//! 4. the time limit, then the limit of requests at once, then that of bodies, whose rest is read when a handler did not;
//! 5. the parameters of the path and the query, which the document says all of;
//! 6. the routes with their extractors: tokens, then keys of requests that may come again, then bodies.

pub mod alone;
pub mod auth;
pub mod cli;
pub mod clock;
pub mod config;
pub mod connections;
pub mod db;
pub mod docs;
pub mod forwarded;
pub mod id;
pub mod idempotency;
pub mod json;
mod linger;
mod parameters;
pub mod private_file;
pub mod problem;
pub mod server;
pub mod service;
mod signatures;
#[cfg(feature = "testing")]
pub mod testing;
pub mod token;
pub mod upkeep;
pub mod upstream;

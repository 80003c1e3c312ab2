//! Behaviour of the whole layer: real routers, real sockets, spans and lines as they leave.

mod background;
mod bodies;
mod client;
mod exporter;
mod harness;
mod limits;
mod logs;
mod metrics;
mod ops;
mod profile;
mod relayed;
mod secrets;
mod sentry;
mod sentry_context;
mod sentry_tls;
mod sentry_transport;
mod server;
mod settings;
mod spans;
mod transactions;

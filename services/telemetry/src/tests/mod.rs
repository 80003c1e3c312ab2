//! Behaviour of the whole layer: real routers, real sockets, spans and lines as they leave.

mod client;
mod exporter;
mod harness;
mod logs;
mod metrics;
mod ops;
mod server;
mod settings;

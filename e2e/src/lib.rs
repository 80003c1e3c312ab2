//! What the journeys and the benchmark on a live cluster share: the cluster, Platforms of their own, the gateway as
//! a user sees it, and Jaeger's query API, which is asked whether a trace is complete. And what other tests take from them: to
//! wait, and free ports.

pub mod cluster;
pub mod endpoint;
pub mod figures;
pub mod gateway;
pub mod jaeger;
pub mod platform;
pub mod ports;
pub mod trace_context;
pub mod wait;
pub mod writes;

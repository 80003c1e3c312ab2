//! The instrumentation layer of an axum service: tracing, metrics, logs and health, configured by the
//! standard environment variables only.
//!
//! ```no_run
//! use std::time::Duration;
//! use axum::{Router, routing::get};
//! use tracewell_telemetry::{InitError, Readiness, ServiceInfo, Telemetry, db};
//!
//! async fn list_users() -> Result<String, std::io::Error> {
//!     db("SELECT", "users", "SELECT id FROM users LIMIT ?").run(async { Ok("[]".to_owned()) }).await
//! }
//!
//! # #[tokio::main(flavor = "current_thread")]
//! # async fn main() -> Result<(), Box<dyn std::error::Error>> {
//! let telemetry = Telemetry::init(ServiceInfo::new("auth", env!("CARGO_PKG_VERSION")))?;
//! let readiness = Readiness::new().check("database", || async { Ok(()) });
//! let api = Router::new().route("/v1/users", get(|| async { list_users().await.unwrap_or_default() }));
//! let app = telemetry.wrap(api).merge(telemetry.ops_routes(readiness.clone()));
//!
//! let listener = tokio::net::TcpListener::bind("127.0.0.1:3001").await?;
//! let stop = async move {
//!     let _ = tokio::signal::ctrl_c().await;
//!     readiness.drain();
//! };
//! axum::serve(listener, app).with_graceful_shutdown(stop).await?;
//! telemetry.shutdown(Duration::from_secs(5)).await;
//! # Ok(())
//! # }
//! ```
//!
//! # What it obeys
//! | variable | effect | unset |
//! |---|---|---|
//! | `OTEL_SERVICE_NAME`, `OTEL_RESOURCE_ATTRIBUTES` | the resource of every span | name and version of [`ServiceInfo`] |
//! | `OTEL_EXPORTER_OTLP_ENDPOINT`, `OTEL_EXPORTER_OTLP_TRACES_ENDPOINT` | spans go there as OTLP `http/protobuf` | spans go to the log at debug level |
//! | `OTEL_TRACES_EXPORTER` | `otlp`, `console` (spans in the log at info level) or `none` | `otlp` |
//! | `OTEL_TRACES_SAMPLER`, `OTEL_TRACES_SAMPLER_ARG` | the standard samplers | `parentbased_always_on` |
//! | `OTEL_PROPAGATORS` | any of `tracecontext`, `baggage`, or `none` | `tracecontext,baggage` |
//! | `OTEL_BSP_*` | size and rhythm of the span queue | the specification's defaults |
//! | `OTEL_SDK_DISABLED` | `true`: no spans; an incoming context is still passed on | `false` |
//! | `RUST_LOG` | what is logged; spans do not depend on it | `info` |
//! | `LOG_FORMAT` | `json` or `pretty` | `pretty` on a terminal, else `json` |
//!
//! A malformed value is an [`InitError`] that lists every problem. A backend that is missing or down is
//! never an error: queues are bounded, what does not fit is dropped and counted in `/metrics`.
//!
//! # Layers
//! [`Telemetry::wrap`] puts these around a router, outermost first; the service's own layers (security
//! headers, CORS, timeouts, limits) go inside, so that what they answer is traced and counted too. Set
//! the router's fallbacks before wrapping it.
//! 1. One HTTP layer that decides span, metrics and access log from the same status and route.
//! 2. Catch-panic: a panic becomes a 500 that layer 1 reports.
//!
//! Operations routes ([`Telemetry::ops_routes`]) stay outside: they are neither traced nor logged.

mod cause;
mod client;
mod db;
mod error;
mod http;
mod log;
mod metrics;
mod ops;
mod readiness;
mod service;
mod settings;
mod telemetry;
#[cfg(test)]
mod tests;
mod trace;

pub use client::{TracedClient, TracedRequest};
pub use db::{DbCall, db};
pub use error::{EnvProblem, InitError};
pub use http::ErrorReport;
pub use metrics::{Counter, Histogram, counter, histogram};
pub use readiness::{CheckError, Readiness};
pub use service::ServiceInfo;
pub use telemetry::Telemetry;
pub use trace::current_trace_id;

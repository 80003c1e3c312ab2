//! The instrumentation layer of an axum service: tracing, errors, CPU profiles, metrics, logs and health,
//! configured by the standard environment variables only.
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
//! | `OTEL_EXPORTER_OTLP_TIMEOUT`, `OTEL_EXPORTER_OTLP_HEADERS`, and both with `_TRACES` | milliseconds for one export; what it is sent with | 10000; none |
//! | `OTEL_EXPORTER_OTLP_PROTOCOL`, `OTEL_EXPORTER_OTLP_COMPRESSION`, and both with `_TRACES` | `http/protobuf` and `none` alone are accepted | the same |
//! | `OTEL_TRACES_EXPORTER` | `otlp`, `console` (spans in the log at info level) or `none` | `otlp` |
//! | `OTEL_TRACES_SAMPLER`, `OTEL_TRACES_SAMPLER_ARG` | the standard samplers | `parentbased_always_on` |
//! | `OTEL_PROPAGATORS` | any of `tracecontext`, `baggage`, or `none`; what is not listed neither comes in nor goes on, also through a proxy | `tracecontext,baggage` |
//! | `OTEL_BSP_*` | size and rhythm of the span queue; `OTEL_BSP_EXPORT_TIMEOUT` bounds an export too | the specification's defaults |
//! | `OTEL_SPAN_*_COUNT_LIMIT`, `OTEL_ATTRIBUTE_VALUE_LENGTH_LIMIT` and their kin | what one span may hold | 128 of each; texts of 4096 characters |
//! | `OTEL_SDK_DISABLED` | `true`: no spans; an incoming context is still passed on | `false` |
//! | `SENTRY_DSN` | errors, a share of the transactions and of their profiles go there | the same decisions are in the log, as `sentry=off` |
//! | `SENTRY_ENVIRONMENT`, `SENTRY_RELEASE` | named by every event | `deployment.environment.name` or `production`; name and version of [`ServiceInfo`] |
//! | `SENTRY_SAMPLE_RATE` | share of the error events that are sent, from 0 to 1 | `1` |
//! | `SENTRY_TRACES_SAMPLE_RATE`, `SENTRY_PROFILES_SAMPLE_RATE` | share of the traces that become transactions, and of these that are profiled | `0.1`, `0.1` |
//! | `SENTRY_CAPTURE_STATUS` | statuses of responses that become events; panics always do | `400-599` |
//! | `SENTRY_SEND_PII` | `1`: e-mail, network address and query values may be sent | `0` |
//! | `TRACE_UI_URL` | events link to their trace in this Jaeger | no link |
//! | `SENTRY_UI_URL` | spans and log lines link to their event below this organization, `https://…/organizations/acme` | no link |
//! | `SSL_CERT_FILE` | certificate authorities to trust on the way to Sentry | Mozilla's, in the binary |
//! | `TRUSTED_PROXIES` | how many proxies of your own are believed about client and scheme (`X-Forwarded-For`, `X-Forwarded-Proto`) | [`ServiceInfo::behind_proxies`], else `0` |
//! | `DEBUG_ENDPOINTS` | `1`: `/debug/*`, which fail on purpose, beside `/metrics` | `0` |
//! | `RUST_LOG` | what is logged; spans do not depend on it | `info` |
//! | `LOG_FORMAT` | `json` or `pretty` | `pretty` on a terminal, else `json` |
//!
//! A malformed value is an [`InitError`] that lists every problem; but one of Sentry's costs a warning, and the
//! default holds, since a service without its error tracker still serves. A value that is no UTF-8 costs one too. A backend that is missing or down is
//! never an error: queues are bounded, what does not fit is dropped and counted in `/metrics`.
//!
//! # Layers
//! [`Telemetry::wrap`] puts these around a router, outermost first; the service's own layers (security
//! headers, CORS, timeouts, limits) go inside, so that what they answer is traced and counted too. Set
//! the router's fallbacks before wrapping it.
//! 1. A scope for the request, before anything can report under it: user, breadcrumbs, the request itself.
//! 2. One HTTP layer that decides span, metrics, access log and Sentry from the same status and route.
//! 3. Catch-panic: a panic becomes a 500 that layer 2 reports.
//!
//! | outcome | log | span | Sentry |
//! |---|---|---|---|
//! | 1xx–3xx | info | unset | a breadcrumb for what the request reports later |
//! | 4xx | warn | unset | a warning, at most one in 10 s for the same service, method, route and status; nothing for 401 and 404 on no route |
//! | 5xx of an [`ErrorReport::refusal`] | error | error, `error.type` | as 4xx |
//! | other 5xx | error with its causes | error, `error.type` | one error with stack and causes; its id in the header `X-Sentry-Event-Id` |
//! | panic, also in a streamed body | error, level 60 | error, `error.type` = `panic` | one fatal event |
//! | 4xx and 5xx of another service that a proxy relays ([`Relayed`]) | as above, with the id of that service's event | as above | nothing |
//!
//! A 5xx has causes and stack where the handler left an [`ErrorReport`] in the response's extensions. Without one its event
//! is a message that names method, route and status: where a bare status was made, no layer can tell any more, since the
//! handler has returned and its stack is gone. The ids of
//! the trace are the same in Sentry, in the tracing backend and in the log; span and log line have the event's
//! id. [`user`], [`breadcrumb`], [`capture_error`] and [`capture_message`] add to the request around them, also
//! from a task that is spawned with `in_current_span()` of the crate `tracing`. Outgoing calls and queries leave a
//! breadcrumb by themselves.
//!
//! Operations routes ([`Telemetry::ops_routes`]) stay outside: they are neither traced nor logged.

/// The Rust program on the page about instrumenting a service of one's own compiles.
#[cfg(doctest)]
#[doc = include_str!("../../../docs/instrument-your-own-service.md")]
struct Page;

mod agent;
mod cause;
mod client;
mod db;
mod debug;
mod error;
mod http;
mod log;
mod metrics;
mod ops;
mod profile;
mod readiness;
mod sentry;
mod service;
mod settings;
mod symbols;
mod telemetry;
#[cfg(test)]
mod tests;
mod trace;

pub use crate::sentry::{Severity, breadcrumb, capture_error, capture_message, user};
pub use client::{TracedClient, TracedRequest};
pub use db::{DbCall, db, db_batch};
pub use error::{EnvProblem, InitError};
pub use http::{ErrorReport, Relayed};
pub use log::{LogFilter, LogFilterError};
pub use metrics::{ConnectionCounts, Counter, Histogram, PoolMeter, counter, histogram};
pub use readiness::{CheckError, Readiness};
pub use service::ServiceInfo;
pub use telemetry::Telemetry;
pub use trace::{
    AttributeValue, Background, background, current_trace_id, current_traceparent, span_attribute,
};

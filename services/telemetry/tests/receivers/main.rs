//! The telemetry of a whole service, judged by the receivers themselves: Jaeger, Spotlight, Sentry's own normaliser and
//! profile parser, promtool, pprof and pino-pretty. The service is `examples/greeter`, as a process with the environment that the operator
//! sets, once behind the gateway; each test starts what it needs and takes it down.
//!
//! `TRACEWELL_ASSETS` names the folder of the tools; `make test` installs them.

#![expect(clippy::unwrap_used, clippy::panic, reason = "a failed step is a failed test")]

mod baggage;
mod dead_backends;
mod debug;
mod errors;
mod fixture;
mod gateway;
mod judges;
mod layers;
mod log;
mod metrics;
mod outbox;
mod profiles;
mod samplers;
mod sampling;
mod secrets;
mod traces;
mod users;

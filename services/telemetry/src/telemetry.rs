//! The handle that a service holds: start, wrap, call out, stop.

use std::{fmt, sync::Arc, time::Duration};

use axum::Router;
use opentelemetry::{propagation::TextMapCompositePropagator, trace::TracerProvider};
use opentelemetry_sdk::trace::SdkTracerProvider;
use tower::ServiceBuilder;
use tower_http::catch_panic::CatchPanicLayer;
use tracing::Dispatch;
use tracing_subscriber::{Layer, layer::SubscriberExt, registry::Registry};

use crate::{
    InitError, Readiness, ServiceInfo, TracedClient,
    http::{HttpTelemetryLayer, problem_for_panic},
    log::{self, LogWriter},
    ops,
    settings::Settings,
    trace,
};

/// The longest that a shutdown waits for the last spans, whatever the caller's deadline.
const SPAN_FLUSH_LIMIT: Duration = Duration::from_secs(5);

/// The longest that a shutdown waits for the last log lines.
const LOG_FLUSH_LIMIT: Duration = Duration::from_secs(1);

/// The instrumentation of one process. Clones share it.
#[derive(Clone)]
pub struct Telemetry {
    propagator: Arc<TextMapCompositePropagator>,
    spans: Option<SdkTracerProvider>,
    logs: Option<LogWriter>,
}

impl Telemetry {
    /// Reads the environment and starts logging and tracing for the whole process. Call it first thing in
    /// `main`, once.
    pub fn init(service: ServiceInfo) -> Result<Self, InitError> {
        let settings = Settings::from_env()?;
        let spans = if settings.sdk_disabled {
            None
        } else {
            Some(trace::provider(&settings, &service)?)
        };
        let logs = LogWriter::start(std::io::stdout()).map_err(InitError::LogWriter)?;
        let (telemetry, dispatch) = Self::assemble(&settings, service, spans, logs.clone());
        tracing::dispatcher::set_global_default(dispatch).map_err(|_| InitError::AlreadyInitialised)?;
        log::log_panics(logs);
        tracing::debug!(?settings, "telemetry started");
        Ok(telemetry)
    }

    /// Telemetry that touches nothing global and sends nothing: for tests that run several services in
    /// one process. Contexts still travel and metrics still count.
    pub fn detached() -> Self {
        Self {
            propagator: Arc::new(trace::propagator(trace::ALL_PROPAGATORS)),
            spans: None,
            logs: None,
        }
    }

    /// The handle and the subscriber that feeds it.
    pub(crate) fn assemble(
        settings: &Settings,
        service: ServiceInfo,
        spans: Option<SdkTracerProvider>,
        logs: LogWriter,
    ) -> (Self, Dispatch) {
        let span_layer = spans.as_ref().map(|provider| {
            tracing_opentelemetry::layer()
                .with_tracer(provider.tracer("tracewell"))
                .with_location(false)
                .with_threads(false)
                .with_tracked_inactivity(false)
                .with_target(false)
                .with_filter(trace::filter())
        });
        let log_layer = log::layer(settings.log_format, service, logs.clone())
            .with_filter(log::filter(&settings.log_directives));
        let subscriber = Registry::default().with(span_layer).with(log_layer);
        let propagator = Arc::new(trace::propagator(&settings.propagators));
        (
            Self {
                propagator,
                spans,
                logs: Some(logs),
            },
            Dispatch::new(subscriber),
        )
    }

    /// Puts the telemetry layers around `router`, outside every layer that it already has. Set its
    /// fallbacks before: what is added later is not seen.
    pub fn wrap<S: Clone + Send + Sync + 'static>(&self, router: Router<S>) -> Router<S> {
        // Outermost first. A hub per request for error reports belongs before the HTTP layer, which is
        // also where such a report would be decided: it alone knows status, route and error together.
        router.layer(
            ServiceBuilder::new()
                .layer(HttpTelemetryLayer::new(self.propagator.clone()))
                .layer(CatchPanicLayer::custom(problem_for_panic)),
        )
    }

    /// `/healthz` (never touches a backend), `/readyz` (runs the checks of `readiness`; 503 names the failing
    /// ones, or says `draining`) and `/metrics` (Prometheus text). The caller serves them: merged into the
    /// API's router outside [`Telemetry::wrap`], on a port of their own (`METRICS_PORT`), or both.
    pub fn ops_routes(&self, readiness: Readiness) -> Router {
        ops::routes(readiness)
    }

    /// A client that passes the current trace on, and records a CLIENT span and a duration per request.
    pub fn client(&self, client: reqwest::Client) -> TracedClient {
        TracedClient::new(client, self.propagator.clone())
    }

    /// Sends the spans and log lines that are still queued, waiting at most `deadline` (and never more
    /// than 5 s for a backend that does not answer). Call it last; later spans are lost.
    pub async fn shutdown(self, deadline: Duration) {
        let flush = tokio::task::spawn_blocking(move || {
            if let Some(provider) = self.spans
                && let Err(error) = provider.shutdown_with_timeout(deadline.min(SPAN_FLUSH_LIMIT))
            {
                tracing::warn!(%error, "the last spans may be lost");
            }
            if let Some(logs) = self.logs {
                logs.flush(LOG_FLUSH_LIMIT);
            }
        });
        // It fails only if the closure panics, and there is no one left to tell.
        let _ = flush.await;
    }
}

impl fmt::Debug for Telemetry {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Telemetry")
            .field("tracing", &self.spans.is_some())
            .finish_non_exhaustive()
    }
}

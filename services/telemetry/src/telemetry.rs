//! The handle that a service holds: start, wrap, call out, stop.

use std::{
    fmt,
    sync::Arc,
    thread,
    time::{Duration, Instant},
};

use axum::Router;
use opentelemetry::{propagation::TextMapCompositePropagator, trace::TracerProvider};
use opentelemetry_sdk::trace::SdkTracerProvider;
use tower::ServiceBuilder;
use tracing::Dispatch;
use tracing_subscriber::{Layer, layer::SubscriberExt, registry::Registry, reload};

use crate::{
    InitError, Readiness, ServiceInfo, TracedClient, debug,
    http::{AccessLog, CatchPanicLayer, HttpTelemetryLayer, Reporters, ScopeLayer, TrustedProxies},
    log::{self, Log, LogFilter, LogWriter},
    ops,
    profile::{ProfileSettings, Profiler},
    sentry::{self, BreadcrumbLayer, SentryClient, SentrySettings, TransactionProcessor},
    settings::Settings,
    trace,
};

/// The longest that a shutdown waits for the last spans, whatever the caller's deadline.
const SPAN_FLUSH_LIMIT: Duration = Duration::from_secs(5);

/// The longest that a shutdown waits for the last profile, whose samples are named first.
const PROFILE_LIMIT: Duration = Duration::from_secs(2);

/// The longest that a shutdown waits for the last log lines.
const LOG_FLUSH_LIMIT: Duration = Duration::from_secs(1);

/// The instrumentation of one process. Clones share it.
#[derive(Clone)]
pub struct Telemetry {
    propagator: Arc<TextMapCompositePropagator>,
    spans: Option<SdkTracerProvider>,
    logs: Option<LogWriter>,
    log_filter: Option<LogFilter>,
    access: Option<AccessLog>,
    errors: Errors,
    proxies: TrustedProxies,
    debug_endpoints: bool,
}

/// Where errors and profiles go.
#[derive(Clone)]
pub(crate) struct Errors {
    pub(crate) sentry: SentryClient,
    pub(crate) profiler: Profiler,
}

impl Errors {
    /// Starts nothing unless there is a DSN.
    pub(crate) fn start(settings: &Settings, service: &ServiceInfo) -> Result<Self, InitError> {
        let sentry = SentryClient::start(&settings.sentry, service)?;
        Ok(Self::new(sentry, &settings.sentry, service))
    }

    /// Sends nothing.
    fn off() -> Self {
        let service = ServiceInfo::new("detached", env!("CARGO_PKG_VERSION"));
        let settings = SentrySettings::unset();
        Self::new(SentryClient::off(&service), &settings, &service)
    }

    pub(crate) fn new(sentry: SentryClient, settings: &SentrySettings, service: &ServiceInfo) -> Self {
        let about = ProfileSettings::new(settings, service);
        let profiler = Profiler::start(about, sentry.clone());
        Self { sentry, profiler }
    }

    /// What turns spans into transactions, if any are to be sent.
    pub(crate) fn span_processor(&self, settings: &Settings) -> Option<TransactionProcessor> {
        let (sentry, profiler) = (self.sentry.clone(), self.profiler.clone());
        TransactionProcessor::new(sentry, profiler, &settings.sentry)
    }
}

impl Telemetry {
    /// Reads the environment and starts logging and tracing for the whole process. Call it first thing in
    /// `main`, once.
    #[expect(clippy::needless_pass_by_value, reason = "callers make it in the call")]
    pub fn init(service: ServiceInfo) -> Result<Self, InitError> {
        let settings = Settings::from_env()?;
        let errors = Errors::start(&settings, &service)?;
        let spans = if settings.sdk_disabled {
            None
        } else {
            let transactions = errors.span_processor(&settings);
            Some(trace::provider(&settings, &service, transactions)?)
        };
        let logs = LogWriter::start(std::io::stdout()).map_err(InitError::LogWriter)?;
        let (telemetry, dispatch) = Self::assemble(&settings, &service, spans, logs.clone(), errors.clone());
        tracing::dispatcher::set_global_default(dispatch).map_err(|_| InitError::AlreadyInitialised)?;
        errors.sentry.bind_process();
        log::log_panics(logs);
        for problem in &settings.warnings {
            tracing::warn!("{problem}");
        }
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
            log_filter: None,
            access: None,
            errors: Errors::off(),
            proxies: TrustedProxies::default(),
            debug_endpoints: false,
        }
    }

    /// The handle and the subscriber that feeds it.
    pub(crate) fn assemble(
        settings: &Settings,
        service: &ServiceInfo,
        spans: Option<SdkTracerProvider>,
        logs: LogWriter,
        errors: Errors,
    ) -> (Self, Dispatch) {
        let proxies = TrustedProxies(settings.trusted_proxies.unwrap_or(service.proxies));
        let log = Log::new(settings.log_format, service, logs.clone());
        let span_layer = spans
            .as_ref()
            .map(|provider| trace::SpanLayer::new(provider.tracer("tracewell")));
        let breadcrumb_layer = errors.sentry.is_sending().then_some(BreadcrumbLayer);
        // One filter for both, since each is asked whenever a span is entered or left.
        let recorded = (span_layer.is_some() || breadcrumb_layer.is_some())
            .then(|| Layer::<Registry>::and_then(span_layer, breadcrumb_layer).with_filter(trace::filter()));
        let (filter, handle) = reload::Layer::new(log::filter(&settings.log_directives));
        let access = AccessLog::new(log.clone(), &settings.log_directives);
        let subscriber = Registry::default()
            .with(recorded)
            .with(log.clone().with_filter(filter));
        let dispatch = Dispatch::new(subscriber);
        let telemetry = Self {
            propagator: Arc::new(trace::propagator(&settings.propagators)),
            spans,
            logs: Some(logs),
            log_filter: Some(LogFilter::new(&settings.log_directives, handle, access.clone())),
            access: Some(access),
            errors,
            proxies,
            debug_endpoints: settings.debug_endpoints,
        };
        (telemetry, dispatch)
    }

    /// Puts the telemetry layers around `router`, outside every layer that it already has. Set its
    /// fallbacks before: what is added later is not seen.
    pub fn wrap<S: Clone + Send + Sync + 'static>(&self, router: Router<S>) -> Router<S> {
        let sentry = &self.errors.sentry;
        let (scope, http) = (
            ScopeLayer {
                sentry: sentry.clone(),
                proxies: self.proxies,
            },
            HttpTelemetryLayer {
                propagator: self.propagator.clone(),
                reporters: Reporters {
                    sentry: sentry.clone(),
                    access: self.access.clone(),
                    proxies: self.proxies,
                },
            },
        );
        // Outermost first. The scope comes before anything that can report under it. The HTTP layer comes before
        // the catching of panics, since a panic that it saw unwinding would be no answer to report.
        router.layer(
            ServiceBuilder::new()
                .layer(scope)
                .layer(http)
                .layer(CatchPanicLayer),
        )
    }

    /// `/healthz` (never touches a backend), `/readyz` (runs the checks of `readiness`; 503 names the failing
    /// ones, or says `draining`) and `/metrics` (Prometheus text). The caller serves them: merged into the
    /// API's router outside [`Telemetry::wrap`], on a port of their own (`METRICS_PORT`), or both.
    ///
    /// With `DEBUG_ENDPOINTS=1` also `/debug/*`, which show what each kind of failure looks like in log, trace
    /// and Sentry: they fail on purpose, so they are wrapped like the API's own routes.
    pub fn ops_routes(&self, readiness: Readiness) -> Router {
        let routes = ops::routes(readiness);
        if self.debug_endpoints {
            routes.merge(self.wrap(debug::routes(self.errors.clone())))
        } else {
            routes
        }
    }

    /// What is logged, to be read and changed; `None` where telemetry is [detached](Self::detached).
    pub fn log_filter(&self) -> Option<LogFilter> {
        self.log_filter.clone()
    }

    /// A client that passes the current trace on, and records a CLIENT span and a duration per request.
    pub fn client(&self, client: reqwest::Client) -> TracedClient {
        TracedClient::new(client, self.propagator.clone())
    }

    /// Sends what is still queued: the last profile, spans (at most 5 s for a backend that does not answer),
    /// errors (at most 2 s), log lines (at most 1 s), and within `deadline` together. Call it last; later spans
    /// are lost.
    pub async fn shutdown(self, deadline: Duration) {
        let flush = tokio::task::spawn_blocking(move || self.flush(deadline));
        // It fails only if the closure panics, and there is no one left to tell.
        let _ = flush.await;
    }

    fn flush(self, limit: Duration) {
        let end = Instant::now() + limit;
        let at_most = |limit: Duration| limit.min(end.saturating_duration_since(Instant::now()));
        let Self { spans, errors, .. } = &self;
        // Side by side: a collector that does not answer must not take the time of the last errors.
        thread::scope(|scope| {
            scope.spawn(|| {
                // Profiles and transactions go through Sentry's queue, so that is emptied after them.
                errors.profiler.shutdown(at_most(PROFILE_LIMIT));
                if !errors.sentry.flush(at_most(sentry::FLUSH_LIMIT)) {
                    tracing::warn!("the last events for Sentry may be lost");
                }
            });
            if let Some(provider) = spans
                && let Err(error) = provider.shutdown_with_timeout(at_most(SPAN_FLUSH_LIMIT))
            {
                tracing::warn!(%error, "the last spans may be lost");
            }
        });
        if let Some(logs) = self.logs {
            // Whatever else took the time: a second for the words that explain it.
            logs.flush(LOG_FLUSH_LIMIT);
        }
    }
}

impl fmt::Debug for Telemetry {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Telemetry")
            .field("tracing", &self.spans.is_some())
            .field("sentry", &self.errors.sentry.is_sending())
            .finish_non_exhaustive()
    }
}

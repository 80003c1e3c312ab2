//! Sentry: what failed, with its stack, causes, request, user and what happened before; transactions and
//! profiles of a share of the traces. Without a DSN nothing is sent, and the same decisions are in the log.
//!
//! A failure is decided about once, by the HTTP layer:
//!
//! | outcome | Sentry |
//! |---|---|
//! | 1xx–3xx | a breadcrumb for what the request reports later |
//! | 401, 404 where no route took the request | nothing: scanners would fill the tracker |
//! | other 4xx | a warning, grouped by service, method, route and status, at most one per group in 10 s |
//! | 5xx that the service decided on, to shed load | as other 4xx |
//! | other 5xx | one error with stack and causes |
//! | a body that fails midway | one error |
//! | a panic, also in a body | one fatal event |
//! | a failure of another service, which a proxy relays | nothing: that service has reported it |
//! | a cancelled request | nothing: the client went away |

mod breadcrumbs;
mod capture;
mod delivery;
mod drafts;
mod event;
mod outbox;
mod rate_limits;
mod scope;
mod scrub;
mod sessions;
mod settings;
mod stack;
mod throttle;
mod trail;
mod transaction;
mod verdict;

use std::{
    sync::Arc,
    time::{Duration, Instant, SystemTime},
};

use axum::extract::Request;
use sentry::{
    Client, ClientOptions, Hub, Scope, Transport as _,
    protocol::{Context, Level, Map, Transaction, Value},
};
use serde_json::json;

use crate::{ErrorReport, InitError, ServiceInfo, http::TrustedProxies};
use drafts::Draft;
use outbox::{Outbox, OutboxFactory};
use rate_limits::Category;
use sessions::Sessions;
use throttle::Throttle;

pub use capture::{Severity, breadcrumb, capture_error, capture_message, user};

pub(crate) use breadcrumbs::BreadcrumbLayer;
pub(crate) use capture::panicked;
pub(crate) use delivery::Delivery;
pub(crate) use event::{Answered, trace_link, type_of};
#[cfg(test)]
pub(crate) use rate_limits::Answer;
pub(crate) use scope::{RequestScope, current_hub};
pub(crate) use sessions::SessionEnd;
pub(crate) use settings::{SentrySettings, shown_dsn};
pub(crate) use stack::Stack;
pub(crate) use trail::Note;
pub(crate) use transaction::TransactionProcessor;
pub(crate) use verdict::Verdict;

/// The longest that the end of the process waits for Sentry. Finding the names of a first stack takes milliseconds in a
/// release build, and seconds where all the debug information has to be read.
pub(crate) const FLUSH_LIMIT: Duration = Duration::from_secs(if cfg!(debug_assertions) { 15 } else { 2 });

/// The process's way to Sentry, or without a DSN the decisions alone. Clones share it.
#[derive(Clone)]
pub(crate) struct SentryClient(Arc<Inner>);

struct Inner {
    settings: SentrySettings,
    service: String,
    throttle: Throttle,
    remote: Option<Remote>,
}

struct Remote {
    client: Arc<Client>,
    /// Holds the client and what all events have in common; the hubs of requests begin as copies of it.
    hub: Arc<Hub>,
    outbox: Arc<Outbox>,
    sessions: Arc<Sessions>,
}

impl SentryClient {
    /// Starts the sending thread if there is a DSN. The server is not contacted before there is something to
    /// say.
    pub(crate) fn start(settings: &SentrySettings, service: &ServiceInfo) -> Result<Self, InitError> {
        let delivery = settings
            .dsn
            .as_ref()
            .map(|dsn| delivery::HttpDelivery::new(dsn, settings));
        Self::start_with(settings, service, delivery)
    }

    /// As [`SentryClient::start`], with another way of delivery.
    pub(crate) fn start_with(
        settings: &SentrySettings,
        service: &ServiceInfo,
        delivery: Option<impl Delivery>,
    ) -> Result<Self, InitError> {
        let remote = delivery
            .map(|delivery| Remote::start(settings, service, delivery))
            .transpose()
            .map_err(InitError::Sentry)?;
        Ok(Self::with_remote(settings, service, remote))
    }

    /// A client that only decides.
    pub(crate) fn off(service: &ServiceInfo) -> Self {
        Self::with_remote(&SentrySettings::unset(), service, None)
    }

    fn with_remote(settings: &SentrySettings, service: &ServiceInfo, remote: Option<Remote>) -> Self {
        Self(Arc::new(Inner {
            settings: settings.clone(),
            service: service.name.to_string(),
            throttle: Throttle::default(),
            remote,
        }))
    }

    /// Whether anything is sent at all.
    pub(crate) fn is_sending(&self) -> bool {
        self.0.remote.is_some()
    }

    /// Makes this the client of everything in the process that belongs to no request.
    pub(crate) fn bind_process(&self) {
        if let Some(remote) = &self.0.remote {
            let main = Hub::main();
            main.bind_client(Some(remote.client.clone()));
            let settings = self.0.settings.clone();
            let service = self.0.service.clone();
            main.configure_scope(|scope| describe_process(scope, &settings, &service));
        }
    }

    /// As [`SentryClient::bind_process`], for this thread and as long as the guard lives.
    #[cfg(test)]
    pub(crate) fn bind_thread(&self) -> Option<sentry::HubSwitchGuard> {
        let remote = self.0.remote.as_ref()?;
        Some(sentry::HubSwitchGuard::new(Arc::new(Hub::new_from_top(
            &remote.hub,
        ))))
    }

    /// The scope of a request that begins.
    pub(crate) fn request_scope(&self, request: &Request, proxies: TrustedProxies) -> RequestScope {
        let Some(remote) = &self.0.remote else {
            return RequestScope::default();
        };
        RequestScope::reporting(remote.hub.clone(), request, proxies, self.0.settings.send_pii)
    }

    /// Decides about a response, `report` being the error behind it. Call it inside the request's span.
    pub(crate) fn answered(
        &self,
        scope: &RequestScope,
        answered: Answered<'_>,
        report: Option<&ErrorReport>,
    ) -> Verdict {
        let panic = report.is_some_and(ErrorReport::is_panic);
        let refusal = report.is_some_and(|report| report.is_refusal);
        let wanted = panic || self.0.settings.capture_status.contains(answered.status);
        match answered.status {
            ..400 => scope.add(|| answered.note()),
            // On no route these are what scanners get all day.
            401 | 404 if answered.route.is_none() => {}
            400..500 if wanted => return self.refused(scope, answered),
            500.. if wanted && refusal => return self.refused(scope, answered),
            500.. if wanted => return self.server_error(scope, answered, report),
            _ => {}
        }
        Verdict::NotReported
    }

    fn refused(&self, scope: &RequestScope, answered: Answered<'_>) -> Verdict {
        let group = (answered.method, answered.route, answered.status);
        let Some(held_back) = self.0.throttle.admit(group, Instant::now()) else {
            return Verdict::Throttled;
        };
        let mut event = answered.message(&self.0.service, Level::Warning);
        if held_back > 0 {
            event.extra.insert("held_back".to_owned(), held_back.into());
        }
        Verdict::capture_in(scope, event)
    }

    fn server_error(
        &self,
        scope: &RequestScope,
        answered: Answered<'_>,
        report: Option<&ErrorReport>,
    ) -> Verdict {
        let event = match report {
            Some(report) => answered.error(report),
            None => answered.message(&self.0.service, Level::Error),
        };
        Verdict::capture_in(scope, event)
    }

    /// Where people look at an event. Sentry leads from a search for an event's id to the event itself.
    pub(crate) fn event_url(&self, id: &str) -> Option<String> {
        let base = self.0.settings.sentry_ui.as_ref()?;
        Some(format!("{base}/issues/?query={id}"))
    }

    /// Counts a request that began at `started` for the health of the release.
    pub(crate) fn request_ended(&self, started: SystemTime, end: SessionEnd) {
        if let Some(remote) = &self.0.remote {
            remote.sessions.ended(started, end);
        }
    }

    /// Queues a transaction, which has so many `spans` and which `build` makes on the sending thread.
    pub(crate) fn send_transaction(
        &self,
        spans: usize,
        build: impl FnOnce() -> Transaction<'static> + Send + 'static,
    ) {
        let Some(remote) = &self.0.remote else {
            return;
        };
        let (hub, client) = (remote.hub.clone(), remote.client.clone());
        let build = move || {
            let mut transaction = build();
            hub.configure_scope(|scope| scope.apply_to_transaction(&mut transaction));
            let options = client.options();
            transaction.release = transaction.release.or_else(|| options.release.clone());
            transaction.environment = transaction.environment.or_else(|| options.environment.clone());
            transaction.server_name = transaction.server_name.or_else(|| options.server_name.clone());
            transaction
        };
        let draft = Draft {
            spans,
            build: Box::new(build),
        };
        remote.client.send_envelope(remote.outbox.drafts.envelope(draft));
    }

    /// Queues a `profile_chunk`, an item that the protocol's crate does not know.
    pub(crate) fn send_profile_chunk(&self, chunk: &Value) {
        if let Some(remote) = &self.0.remote {
            let chunk = chunk.to_string();
            let item = json!({"type": "profile_chunk", "platform": "rust", "length": chunk.len()});
            let envelope = format!("{{}}\n{item}\n{chunk}\n");
            remote
                .outbox
                .send_serialised(Category::ProfileChunk, envelope.into_bytes());
        }
    }

    /// Waits until everything queued so far was sent, at most `limit`; tells whether it was.
    pub(crate) fn flush(&self, limit: Duration) -> bool {
        // Through the reference: sentry-core implements `Transport` for every `Arc` too, with a flush that
        // does nothing.
        self.0
            .remote
            .as_ref()
            .is_none_or(|remote| remote.outbox.as_ref().flush(limit))
    }

    /// What is configured, without anything secret.
    pub(crate) fn description(&self) -> Value {
        let settings = &self.0.settings;
        json!({
            "sending": self.is_sending(),
            "dsn": settings.dsn.as_ref().map(shown_dsn),
            "environment": settings.environment,
            "release": self.0.remote.as_ref().and_then(|remote| remote.client.options().release.clone()),
            "sample_rate": settings.sample_rate,
            "traces_sample_rate": settings.traces_sample_rate,
            "profiles_sample_rate": settings.profiles_sample_rate,
            "capture_status": settings.capture_status.to_string(),
            "send_pii": settings.send_pii,
            "trace_ui": settings.trace_ui,
            "sentry_ui": settings.sentry_ui,
        })
    }
}

impl Verdict {
    /// Reports a response whose body failed like this after its head was sent. Call it inside the request's
    /// span.
    pub(crate) fn of_failed_body(
        scope: &RequestScope,
        answered: Answered<'_>,
        failure: &ErrorReport,
    ) -> Self {
        Self::capture_in(scope, answered.error(failure))
    }

    fn capture_in(scope: &RequestScope, event: sentry::protocol::Event<'static>) -> Self {
        match scope.hub() {
            Some(hub) => Self::capture(hub, event),
            None => Self::Off(event::title(&event)),
        }
    }
}

impl Remote {
    fn start(
        settings: &SentrySettings,
        service: &ServiceInfo,
        delivery: impl Delivery,
    ) -> std::io::Result<Self> {
        let release = settings.release_of(service);
        let sessions = Arc::new(Sessions::new(release.clone(), settings.environment.clone()));
        let outbox = Arc::new(Outbox::start(delivery, sessions.clone())?);
        let client = Arc::new(Client::with_options(options(settings, release, outbox.clone())));
        let hub = Hub::new(Some(client.clone()), Arc::default());
        hub.configure_scope(|scope| describe_process(scope, settings, &service.name));
        Ok(Self {
            client,
            hub: Arc::new(hub),
            outbox,
            sessions,
        })
    }
}

fn options(settings: &SentrySettings, release: String, outbox: Arc<Outbox>) -> ClientOptions {
    let mut options = ClientOptions::new()
        .release(release)
        .environment(settings.environment.clone())
        .send_default_pii(settings.send_pii)
        .transport(OutboxFactory(outbox))
        .before_send(|mut event| {
            scrub::scrub_event(&mut event);
            Some(event)
        });
    options.dsn.clone_from(&settings.dsn);
    options.server_name = settings
        .resource_value("k8s.pod.name")
        .or_else(|| settings.resource_value("host.name"))
        .map(Into::into);
    #[expect(clippy::cast_possible_truncation, reason = "a share needs no 53 bits")]
    {
        options.event_sampling_strategy =
            sentry::EventSamplingStrategy::FixedRate(settings.sample_rate as f32);
    }
    options
}

/// What all events of the process have in common: the service, its pod, and the trace of their moment.
fn describe_process(scope: &mut Scope, settings: &SentrySettings, service: &str) {
    scope.set_tag("service", service);
    let kubernetes: Map<String, Value> = settings
        .resource
        .iter()
        .filter_map(|attribute| {
            let name = attribute.key.as_str().strip_prefix("k8s.")?;
            Some((name.replace('.', "_"), attribute.value.to_string().into()))
        })
        .collect();
    if !kubernetes.is_empty() {
        scope.set_context("k8s", Context::Other(kubernetes));
    }
    let trace_ui = settings.trace_ui.clone();
    scope.add_event_processor(move |mut event| {
        event::link_to_trace(&mut event, trace_ui.as_deref());
        Some(event)
    });
}

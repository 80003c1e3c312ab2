//! What is known of one request while it is answered: the user, and for Sentry the request itself and the
//! trail of breadcrumbs. It travels in the OpenTelemetry context, so whatever continues the request's trace
//! (a streamed body, a spawned task in its span) reports under it too.

use std::sync::{Arc, Mutex, MutexGuard, OnceLock, PoisonError};

use axum::{
    extract::Request,
    http::{HeaderName, HeaderValue, Method, Uri, header},
};
use opentelemetry::Context;
use sentry::{
    Hub,
    protocol::{self, IpAddress, User},
};

use super::trail::{Note, Trail};
use crate::http::TrustedProxies;

/// Headers that help to understand a failure and hold nothing personal. A list of what may be sent is safer
/// than one of what may not.
const SENT_HEADERS: [HeaderName; 10] = [
    header::ACCEPT,
    header::ACCEPT_ENCODING,
    header::ACCEPT_LANGUAGE,
    header::CONTENT_LENGTH,
    header::CONTENT_TYPE,
    header::HOST,
    header::IF_MATCH,
    header::IF_NONE_MATCH,
    header::ORIGIN,
    header::USER_AGENT,
];

/// The scope of one request; clones share it.
#[derive(Clone, Default)]
pub(crate) struct RequestScope(Arc<State>);

#[derive(Default)]
struct State {
    user: Mutex<Option<String>>,
    /// Absent without a DSN.
    reporting: Option<Reporting>,
}

struct Reporting {
    base: Arc<Hub>,
    request: Arc<RequestFacts>,
    trail: Mutex<Trail>,
    /// Made when something is first reported: most requests need none.
    hub: OnceLock<Arc<Hub>>,
}

/// What an event says about its request.
#[derive(Debug)]
struct RequestFacts {
    method: Method,
    scheme: &'static str,
    uri: Uri,
    /// Those of [`SENT_HEADERS`].
    headers: Vec<(HeaderName, HeaderValue)>,
    /// Who asked, where that may be sent.
    client: Option<String>,
    send_pii: bool,
}

impl RequestScope {
    /// A scope whose events go where those of `base` go. The client's address is remembered only with `send_pii`.
    pub(crate) fn reporting(
        base: Arc<Hub>,
        request: &Request,
        proxies: TrustedProxies,
        send_pii: bool,
    ) -> Self {
        let headers = request.headers().iter();
        let headers = headers.filter(|(name, _)| SENT_HEADERS.contains(name));
        let facts = Arc::new(RequestFacts {
            method: request.method().clone(),
            scheme: proxies.scheme(request.headers()),
            uri: request.uri().clone(),
            headers: headers
                .map(|(name, value)| (name.clone(), value.clone()))
                .collect(),
            client: send_pii.then(|| proxies.client(request)).flatten(),
            send_pii,
        });
        Self(Arc::new(State {
            user: Mutex::default(),
            reporting: Some(Reporting {
                base,
                request: facts,
                trail: Mutex::default(),
                hub: OnceLock::new(),
            }),
        }))
    }

    /// The scope of the request that is being answered here.
    pub(crate) fn current() -> Option<Self> {
        Context::map_current(|context| context.get::<Self>().cloned())
    }

    /// Id of the signed-in user.
    pub(crate) fn user(&self) -> Option<String> {
        self.0.user.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }

    pub(crate) fn set_user(&self, id: &str, email: Option<&str>) {
        *self.0.user.lock().unwrap_or_else(PoisonError::into_inner) = Some(id.to_owned());
        let (Some(hub), Some(reporting)) = (self.hub(), &self.0.reporting) else {
            return;
        };
        let user = User {
            id: Some(id.to_owned()),
            email: email.filter(|_| reporting.request.send_pii).map(str::to_owned),
            ..User::default()
        };
        hub.configure_scope(|scope| scope.set_user(Some(user)));
    }

    /// The hub of this request; `None` without a DSN.
    pub(crate) fn hub(&self) -> Option<&Arc<Hub>> {
        let reporting = self.0.reporting.as_ref()?;
        Some(reporting.hub.get_or_init(|| reporting.open()))
    }

    /// Leaves a note with the request that is being answered here, if it could ever report it.
    pub(crate) fn note(note: impl FnOnce() -> Note) {
        Context::map_current(|context| {
            if let Some(scope) = context.get::<Self>() {
                scope.add(note);
            }
        });
    }

    /// Leaves a note with this request.
    pub(crate) fn add(&self, note: impl FnOnce() -> Note) {
        if let Some(reporting) = &self.0.reporting {
            reporting.trail().add(note());
            // What is reported later must come after it.
            if let Some(hub) = reporting.hub.get() {
                reporting.move_trail(hub);
            }
        }
    }
}

impl Reporting {
    fn open(&self) -> Arc<Hub> {
        let hub = Hub::new_from_top(&self.base);
        let request = self.request.clone();
        hub.configure_scope(|scope| {
            scope.clear_breadcrumbs();
            scope.add_event_processor(move |mut event| {
                request.describe(&mut event);
                Some(event)
            });
        });
        self.move_trail(&hub);
        Arc::new(hub)
    }

    fn move_trail(&self, hub: &Hub) {
        self.trail()
            .take()
            .for_each(|breadcrumb| hub.add_breadcrumb(breadcrumb));
    }

    fn trail(&self) -> MutexGuard<'_, Trail> {
        // Every change of it is whole, so one that panicked left nothing half done.
        self.trail.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl RequestFacts {
    fn describe(&self, event: &mut protocol::Event<'static>) {
        let headers = self.headers.iter();
        let headers =
            headers.filter_map(|(name, value)| Some((name.to_string(), value.to_str().ok()?.to_owned())));
        let headers: protocol::Map<_, _> = headers.collect();
        let host = headers.get(header::HOST.as_str()).cloned();
        let host = host.or_else(|| Some(self.uri.authority()?.to_string()));
        let url = format!(
            "{}://{}{}",
            self.scheme,
            host.unwrap_or_default(),
            self.uri.path()
        );
        event.request.get_or_insert_with(|| protocol::Request {
            method: Some(self.method.to_string()),
            url: url.parse().ok(),
            query_string: self.uri.query().map(|query| self.shown_query(query)),
            headers,
            ..protocol::Request::default()
        });
        if let Some(address) = self.client.as_ref().and_then(|client| client.parse().ok()) {
            event.user.get_or_insert_default().ip_address = Some(IpAddress::Exact(address));
        }
    }

    /// The query's names; its values only where personal data may be sent.
    fn shown_query(&self, query: &str) -> String {
        if self.send_pii {
            return query.to_owned();
        }
        let names = query
            .split('&')
            .map(|pair| pair.split('=').next().unwrap_or_default());
        names
            .map(|name| format!("{name}=[redacted]"))
            .collect::<Vec<_>>()
            .join("&")
    }
}

/// Where a report of this moment belongs: the request's hub, else this thread's. `None` without a DSN.
pub(crate) fn current_hub() -> Option<Arc<Hub>> {
    if let Some(scope) = RequestScope::current() {
        return scope.hub().cloned();
    }
    Some(Hub::current()).filter(|hub| hub.client().is_some())
}

//! What is known of one request while it is answered: the user, and for Sentry the request itself and the
//! trail of breadcrumbs. It travels in the OpenTelemetry context, so whatever continues the request's trace
//! (a streamed body, a spawned task in its span) reports under it too.

use std::{
    sync::{Arc, Mutex, OnceLock, PoisonError},
    time::SystemTime,
};

use axum::{
    extract::Request,
    http::{HeaderMap, HeaderName, Method, Uri, header},
};
use opentelemetry::Context;
use sentry::{
    Hub,
    protocol::{self, Breadcrumb, IpAddress, User},
};

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
    /// Made when something is first reported or remembered: most requests need none.
    hub: OnceLock<Arc<Hub>>,
    answer: OnceLock<Breadcrumb>,
}

/// What an event says about its request.
#[derive(Debug)]
struct RequestFacts {
    method: Method,
    uri: Uri,
    headers: HeaderMap,
    /// Who asked, where that may be sent.
    client: Option<String>,
    send_pii: bool,
}

impl RequestScope {
    /// A scope whose events go where those of `base` go. `client` is the client's address,
    /// where it may be sent.
    pub(crate) fn reporting(
        base: Arc<Hub>,
        request: &Request,
        client: Option<String>,
        send_pii: bool,
    ) -> Self {
        let request = Arc::new(RequestFacts {
            method: request.method().clone(),
            uri: request.uri().clone(),
            headers: request.headers().clone(),
            client,
            send_pii,
        });
        Self(Arc::new(State {
            user: Mutex::default(),
            reporting: Some(Reporting {
                base,
                request,
                hub: OnceLock::new(),
                answer: OnceLock::new(),
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

    /// Remembers that the request was answered, for what is reported about it later.
    pub(crate) fn answered(&self, method: &str, route: Option<&str>, status: u16) {
        let Some(reporting) = &self.0.reporting else {
            return;
        };
        let breadcrumb = Breadcrumb {
            ty: "http".to_owned(),
            category: Some("response".to_owned()),
            timestamp: SystemTime::now(),
            data: [
                ("method".to_owned(), method.into()),
                ("url".to_owned(), route.unwrap_or_default().into()),
                ("status_code".to_owned(), status.into()),
            ]
            .into(),
            ..Breadcrumb::default()
        };
        match reporting.hub.get() {
            Some(hub) => hub.add_breadcrumb(breadcrumb),
            None => drop(reporting.answer.set(breadcrumb)),
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
        if let Some(answer) = self.answer.get() {
            hub.add_breadcrumb(answer.clone());
        }
        Arc::new(hub)
    }
}

impl RequestFacts {
    fn describe(&self, event: &mut protocol::Event<'static>) {
        let text = |name: &HeaderName| self.headers.get(name)?.to_str().ok().map(str::to_owned);
        let host = text(&header::HOST).or_else(|| Some(self.uri.authority()?.to_string()));
        let url = format!("http://{}{}", host.unwrap_or_default(), self.uri.path());
        let headers = SENT_HEADERS
            .iter()
            .filter_map(|name| Some((name.to_string(), text(name)?)));
        event.request.get_or_insert_with(|| protocol::Request {
            method: Some(self.method.to_string()),
            url: url.parse().ok(),
            query_string: self.uri.query().map(|query| self.shown_query(query)),
            headers: headers.collect(),
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

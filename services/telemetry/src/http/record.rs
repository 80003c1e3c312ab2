//! One request from its first header to the last byte of its answer, reported exactly once.

use std::{
    borrow::Cow,
    time::{Instant, SystemTime},
};

use axum::{
    extract::{MatchedPath, Request},
    http::{HeaderMap, HeaderName, HeaderValue, StatusCode, Uri, Version, header, uri::Authority},
    response::Response,
};
use opentelemetry::{
    Context,
    trace::{SpanContext, SpanKind, TraceContextExt},
};

use super::{AccessLog, ErrorReport, Relayed, TrustedProxies, known_method};
use crate::{
    metrics::Metrics,
    sentry::{Answered, RequestScope, SentryClient, SessionEnd, Verdict},
    trace::OpenSpan,
};

const X_REQUEST_ID: HeaderName = HeaderName::from_static("x-request-id");
const X_SENTRY_EVENT_ID: HeaderName = HeaderName::from_static("x-sentry-event-id");

/// How a response's body ended.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum BodyEnd {
    /// The last byte was handed to the server.
    Complete,
    /// The body itself failed midway, or panicked.
    Failed(ErrorReport),
    /// It was dropped before its end: the client went away.
    Aborted,
}

/// Where the records of a router's requests go.
#[derive(Clone)]
pub(crate) struct Reporters {
    pub(crate) sentry: SentryClient,
    /// `None`: nothing is logged.
    pub(crate) access: Option<AccessLog>,
    pub(crate) proxies: TrustedProxies,
}

/// What is known of a request so far. Dropping it reports it: that also covers a handler that was
/// cancelled and a client that left midway.
pub(crate) struct RequestRecord {
    span: OpenSpan,
    reporters: Reporters,
    pub(super) scope: RequestScope,
    pub(super) started: Instant,
    started_at: SystemTime,
    pub(super) method: &'static str,
    uri: Uri,
    route: Option<MatchedPath>,
    pub(super) request_id: Option<HeaderValue>,
    pub(super) client: Option<String>,
    pub(super) user_agent: Option<HeaderValue>,
    pub(super) status: Option<StatusCode>,
    pub(super) report: Option<ErrorReport>,
    pub(super) verdict: Verdict,
    pub(super) end: BodyEnd,
    /// The answer is another service's, which the handler passes on.
    is_relayed: bool,
}

impl RequestRecord {
    /// Opens the span below `parent` and counts the request as active.
    pub(crate) fn start(
        request: &Request,
        parent: &Context,
        reporters: Reporters,
        scope: RequestScope,
    ) -> Self {
        let headers = request.headers();
        let method = known_method(request.method());
        let route = request.extensions().get::<MatchedPath>();
        let client = reporters.proxies.client(request);
        Metrics::global().server_active(method, 1);
        Self {
            span: open_span(request, parent, method, client.as_deref(), reporters.proxies),
            reporters,
            scope,
            started: Instant::now(),
            started_at: SystemTime::now(),
            method,
            uri: request.uri().clone(),
            route: route.cloned(),
            request_id: headers.get(&X_REQUEST_ID).cloned(),
            client,
            user_agent: headers.get(&header::USER_AGENT).cloned(),
            status: None,
            report: None,
            verdict: Verdict::NotReported,
            end: BodyEnd::Aborted,
            is_relayed: false,
        }
    }

    pub(crate) fn span(&self) -> &OpenSpan {
        &self.span
    }

    pub(super) fn span_context(&self) -> SpanContext {
        self.span.context().span().span_context().clone()
    }

    pub(super) fn path(&self) -> &str {
        self.uri.path()
    }

    pub(super) fn route(&self) -> Option<&str> {
        self.route.as_ref().map(MatchedPath::as_str)
    }

    /// Takes in the response's head, with what the handler left in its extensions, and tells the client the
    /// id of the event that a failure of ours became.
    pub(crate) fn answered<B>(&mut self, response: &mut Response<B>) {
        let status = response.status();
        self.status = Some(status);
        self.report = response.extensions_mut().remove::<ErrorReport>();
        self.named_by(response.headers());
        self.is_relayed = response.extensions_mut().remove::<Relayed>().is_some();
        if self.is_relayed && (status.is_client_error() || status.is_server_error()) {
            self.verdict = Verdict::of_relayed(response.headers().get(X_SENTRY_EVENT_ID));
            return;
        }
        let _inside = self.span.context().clone().attach();
        self.verdict = self
            .reporters
            .sentry
            .answered(&self.scope, self.facts(status), self.report.as_ref());
        if status.is_server_error()
            && let Some(id) = self.verdict.event_id()
            && let Ok(id) = HeaderValue::try_from(id)
        {
            response.headers_mut().insert(X_SENTRY_EVENT_ID, id);
        }
    }

    /// The service itself may have named the request, where its caller gave no name or one that could not be kept.
    fn named_by(&mut self, answer: &HeaderMap) {
        if let Some(id) = answer.get(X_REQUEST_ID) {
            self.request_id = Some(id.clone());
        }
    }

    fn facts(&self, status: StatusCode) -> Answered<'_> {
        Answered {
            method: self.method,
            route: self.route(),
            status: status.as_u16(),
        }
    }

    /// Reports a body that failed under a head that said all was well, and a panic whatever the head said.
    fn report_body(&mut self) {
        let (Some(status), Some(failure)) = (self.status, self.failure_of_body()) else {
            return;
        };
        if self.verdict == Verdict::NotReported || failure.is_panic() {
            let _inside = self.span.context().clone().attach();
            self.verdict = Verdict::of_failed_body(&self.scope, self.facts(status), failure);
        }
    }

    pub(crate) fn body_ended(&mut self, end: BodyEnd) {
        self.end = end;
    }

    fn failure_of_body(&self) -> Option<&ErrorReport> {
        match &self.end {
            BodyEnd::Failed(failure) => Some(failure),
            BodyEnd::Complete | BodyEnd::Aborted => None,
        }
    }

    /// What is known of the failure: of the head's where that was one of ours, else of the body's.
    pub(super) fn failure(&self) -> Option<&ErrorReport> {
        let (head, body) = (self.report.as_ref(), self.failure_of_body());
        if self.status.is_some_and(|status| status.is_server_error()) {
            head.or(body)
        } else {
            body.or(head)
        }
    }

    /// The class of the failure, if it is one of ours: a 4xx is the client's.
    pub(super) fn error_type(&self) -> Option<Cow<'static, str>> {
        let Some(status) = self.status else {
            return Some("cancelled".into());
        };
        let failure = if status.is_server_error() {
            self.failure()
        } else {
            self.failure_of_body()
        };
        let bare = || {
            status
                .is_server_error()
                .then(|| status.as_u16().to_string().into())
        };
        failure.map(|failure| failure.kind.into()).or_else(bare)
    }

    /// How the release of this service did: a failure that it passes on counts for the release that made it.
    fn session_end(&self) -> SessionEnd {
        match (self.failure(), self.status) {
            (Some(failure), _) if failure.is_panic() => SessionEnd::Crashed,
            (_, Some(status)) if status.is_server_error() && !self.is_relayed => SessionEnd::Errored,
            _ if self.failure_of_body().is_some() => SessionEnd::Errored,
            _ => SessionEnd::Healthy,
        }
    }

    /// Where people look at the event that the failure became.
    pub(super) fn event_url(&self) -> Option<String> {
        self.reporters.sentry.event_url(&self.verdict.event_id()?)
    }

    fn close_span(&self) {
        if !self.span.is_recorded() {
            return;
        }
        if let Some(status) = self.status {
            self.span
                .set("http.response.status_code", i64::from(status.as_u16()));
        }
        if let Some(user) = self.scope.user() {
            self.span.set("user.id", user);
        }
        if let Some(url) = self.event_url() {
            self.span.set("sentry.event_url", url);
        }
        if let Some(id) = self.verdict.event_id() {
            self.span.set("sentry.event_id", id);
        }
        let Some(error_type) = self.error_type() else {
            return;
        };
        let reason = self.failure().map_or("", |failure| &failure.message);
        self.span.fail(error_type, reason);
    }
}

impl Drop for RequestRecord {
    fn drop(&mut self) {
        let metrics = Metrics::global();
        metrics.server_active(self.method, -1);
        let status = self.status.map(|status| status.as_u16());
        metrics.server_request(
            self.method,
            self.route().unwrap_or_default(),
            status,
            self.started.elapsed(),
            self.span.context().span().span_context(),
        );
        self.report_body();
        self.close_span();
        if let Some(access) = &self.reporters.access {
            access.write(self);
        }
        self.reporters
            .sentry
            .request_ended(self.started_at, self.session_end());
    }
}

fn open_span(
    request: &Request,
    parent: &Context,
    method: &'static str,
    client: Option<&str>,
    proxies: TrustedProxies,
) -> OpenSpan {
    let route = request.extensions().get::<MatchedPath>().map(MatchedPath::as_str);
    let headers = request.headers();
    OpenSpan::start(
        parent,
        SpanKind::Server,
        || span_name(method, route),
        |span| {
            // HTTP/2 carries the host in the target itself.
            let host = headers.get(header::HOST).and_then(|host| host.to_str().ok());
            let host = host.and_then(|host| host.parse::<Authority>().ok());
            let host = host.or_else(|| request.uri().authority().cloned());
            span.add("http.request.method", method);
            span.add_some("http.route", route.map(str::to_owned));
            // The query is left out: it is where tokens and addresses hide.
            span.add("url.path", request.uri().path().to_owned());
            span.add("url.scheme", proxies.scheme(headers));
            span.add_some("server.address", host.as_ref().map(|host| host.host().to_owned()));
            let port = host.as_ref().and_then(Authority::port_u16);
            span.add_some("server.port", port.map(i64::from));
            span.add_some("client.address", client.map(str::to_owned));
            let agent = headers
                .get(header::USER_AGENT)
                .and_then(|agent| agent.to_str().ok());
            span.add_some("user_agent.original", agent.map(str::to_owned));
            span.add_some("network.protocol.version", protocol_version(request.version()));
            if method == "_OTHER" {
                span.add("http.request.method_original", request.method().to_string());
            }
        },
    )
}

fn span_name(method: &'static str, route: Option<&str>) -> Cow<'static, str> {
    // `_OTHER` names no method, so the conventions want `HTTP` in its place.
    let method = if method == "_OTHER" { "HTTP" } else { method };
    match route {
        Some(route) => [method, " ", route].concat().into(),
        None => method.into(),
    }
}

fn protocol_version(version: Version) -> Option<&'static str> {
    match version {
        Version::HTTP_10 => Some("1.0"),
        Version::HTTP_11 => Some("1.1"),
        Version::HTTP_2 => Some("2"),
        Version::HTTP_3 => Some("3"),
        _ => None,
    }
}

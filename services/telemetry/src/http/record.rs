//! One request from its first header to the last byte of its answer, reported exactly once.

use std::{
    net::SocketAddr,
    time::{Instant, SystemTime},
};

use axum::{
    extract::{ConnectInfo, MatchedPath, Request},
    http::{HeaderMap, HeaderName, HeaderValue, StatusCode, Version, header, uri::Authority},
    response::Response,
};
use opentelemetry::trace::Status;
use tracing::Span;
use tracing_opentelemetry::OpenTelemetrySpanExt;

use super::{ErrorReport, known_method};
use crate::{
    log::{ACCESS_COMPLETED, ACCESS_TARGET, FATAL, scrub},
    metrics::Metrics,
    sentry::{Answered, RequestScope, SentryClient, SessionEnd, Verdict},
};

const X_REQUEST_ID: HeaderName = HeaderName::from_static("x-request-id");
const X_SENTRY_EVENT_ID: HeaderName = HeaderName::from_static("x-sentry-event-id");
const X_FORWARDED_FOR: HeaderName = HeaderName::from_static("x-forwarded-for");
const X_FORWARDED_PROTO: HeaderName = HeaderName::from_static("x-forwarded-proto");

/// How a response's body ended.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum BodyEnd {
    /// The last byte was handed to the server.
    Complete,
    /// The body itself failed midway, for this reason.
    Failed(String),
    /// It was dropped before its end: the client went away.
    Aborted,
}

/// What is known of a request so far. Dropping it reports it: that also covers a handler that was
/// cancelled and a client that left midway.
pub(crate) struct RequestRecord {
    span: Span,
    sentry: SentryClient,
    scope: RequestScope,
    started: Instant,
    started_at: SystemTime,
    method: &'static str,
    path: String,
    route: Option<String>,
    request_id: Option<String>,
    client: Option<String>,
    user_agent: Option<String>,
    status: Option<StatusCode>,
    report: Option<ErrorReport>,
    verdict: Verdict,
    end: BodyEnd,
}

impl RequestRecord {
    /// Opens the span and counts the request as active.
    pub(crate) fn start(request: &Request, sentry: SentryClient, scope: RequestScope) -> Self {
        let headers = request.headers();
        let mut record = Self {
            span: Span::none(),
            sentry,
            scope,
            started: Instant::now(),
            started_at: SystemTime::now(),
            method: known_method(request.method()),
            path: request.uri().path().to_owned(),
            route: request
                .extensions()
                .get::<MatchedPath>()
                .map(|path| path.as_str().to_owned()),
            request_id: text(headers, &X_REQUEST_ID),
            client: client_address(request),
            user_agent: text(headers, &header::USER_AGENT),
            status: None,
            report: None,
            verdict: Verdict::NotReported,
            end: BodyEnd::Aborted,
        };
        Metrics::global().server_active(record.method, 1);
        record.span = record.open_span(request);
        record
    }

    pub(crate) fn span(&self) -> &Span {
        &self.span
    }

    /// Takes in the response's head, with what the handler left in its extensions, and tells the client the
    /// id of the event that a failure of ours became.
    pub(crate) fn answered<B>(&mut self, response: &mut Response<B>) {
        let status = response.status();
        self.status = Some(status);
        self.report = response.extensions_mut().remove::<ErrorReport>();
        self.verdict = self.span.in_scope(|| {
            self.sentry
                .answered(&self.scope, self.facts(status), self.report.as_ref())
        });
        if status.is_server_error()
            && let Some(id) = self.verdict.event_id()
            && let Ok(id) = HeaderValue::try_from(id)
        {
            response.headers_mut().insert(X_SENTRY_EVENT_ID, id);
        }
    }

    fn facts(&self, status: StatusCode) -> Answered<'_> {
        Answered {
            method: self.method,
            route: self.route.as_deref(),
            status: status.as_u16(),
        }
    }

    /// Reports a body that failed under a head that said all was well.
    fn report_body(&mut self) {
        if let (Some(status), BodyEnd::Failed(reason), Verdict::NotReported) =
            (self.status, &self.end, &self.verdict)
        {
            self.verdict = self
                .span
                .in_scope(|| Verdict::of_failed_body(&self.scope, self.facts(status), reason));
        }
    }

    pub(crate) fn body_ended(&mut self, end: BodyEnd) {
        self.end = end;
    }

    fn span_name(&self) -> String {
        // `_OTHER` names no method, so the conventions want `HTTP` in its place.
        let method = if self.method == "_OTHER" {
            "HTTP"
        } else {
            self.method
        };
        match &self.route {
            Some(route) => format!("{method} {route}"),
            None => method.to_owned(),
        }
    }

    fn open_span(&self, request: &Request) -> Span {
        let headers = request.headers();
        // HTTP/2 carries the host in the target itself.
        let host = text(headers, &header::HOST).and_then(|host| host.parse::<Authority>().ok());
        let host = host.or_else(|| request.uri().authority().cloned());
        // The query is left out: it is where tokens and addresses hide.
        let span = tracing::info_span!(
            parent: None,
            "http.server",
            otel.name = self.span_name(),
            otel.kind = "server",
            http.request.method = self.method,
            http.route = self.route,
            url.path = self.path,
            url.scheme = text(headers, &X_FORWARDED_PROTO).as_deref().unwrap_or("http"),
            server.address = host.as_ref().map(Authority::host),
            server.port = host.as_ref().and_then(Authority::port_u16).map(i64::from),
            client.address = self.client,
            user_agent.original = self.user_agent,
            network.protocol.version = protocol_version(request.version()),
        );
        if self.method == "_OTHER" {
            span.set_attribute("http.request.method_original", request.method().to_string());
        }
        span
    }

    /// The class of the failure, if it is one of ours: a 4xx is the client's.
    fn error_type(&self) -> Option<String> {
        match (&self.status, &self.report, &self.end) {
            (Some(status), Some(report), _) if status.is_server_error() => Some(report.kind.to_owned()),
            (Some(status), None, _) if status.is_server_error() => Some(status.as_u16().to_string()),
            (_, _, BodyEnd::Failed(_)) => Some("body".to_owned()),
            (None, ..) => Some("cancelled".to_owned()),
            _ => None,
        }
    }

    fn session_end(&self) -> SessionEnd {
        match (&self.report, self.status) {
            (Some(report), _) if report.is_panic() => SessionEnd::Crashed,
            (_, Some(status)) if status.is_server_error() => SessionEnd::Errored,
            _ if matches!(self.end, BodyEnd::Failed(_)) => SessionEnd::Errored,
            _ => SessionEnd::Healthy,
        }
    }

    fn close_span(&self) {
        if let Some(status) = self.status {
            self.span
                .set_attribute("http.response.status_code", i64::from(status.as_u16()));
        }
        if let Some(user) = self.scope.user() {
            self.span.set_attribute("user.id", user);
        }
        if let Some(id) = self.verdict.event_id() {
            self.span.set_attribute("sentry.event_id", id);
        }
        let Some(error_type) = self.error_type() else {
            return;
        };
        self.span.set_attribute("error.type", error_type);
        let reason = match (&self.report, &self.end) {
            (Some(report), _) => &report.message,
            (None, BodyEnd::Failed(reason)) => reason,
            _ => "",
        };
        self.span.set_status(Status::error(scrub(reason).into_owned()));
    }

    /// One line per request. Its level follows the status; a cancelled request is a warning.
    fn log(&self) {
        let message = match (self.status, &self.end) {
            (None, _) => "request cancelled",
            (_, BodyEnd::Failed(_)) => "response failed midway",
            (_, BodyEnd::Aborted) => "response aborted by the client",
            (_, BodyEnd::Complete) => ACCESS_COMPLETED,
        };
        let fatal = self.report.as_ref().is_some_and(ErrorReport::is_panic);
        // Milliseconds, as pino has it, to the microsecond.
        let elapsed = (self.started.elapsed().as_secs_f64() * 1e6).round() / 1e3;
        macro_rules! line {
            ($level:ident) => {
                tracing::$level!(
                    target: ACCESS_TARGET,
                    level = fatal.then_some(FATAL),
                    req.id = self.request_id,
                    req.method = self.method,
                    req.url = self.path,
                    req.route = self.route,
                    req.remoteAddress = self.client,
                    req.userAgent = self.user_agent,
                    res.statusCode = self.status.map(|status| status.as_u16()),
                    responseTime = elapsed,
                    userId = self.scope.user(),
                    err.r#type = self.error_type(),
                    err.message = self.report.as_ref().map(|report| report.message.as_str()),
                    err.stack = self.report.as_ref().map(ErrorReport::chain),
                    sentry = self.verdict.word(),
                    sentry_event_id = self.verdict.event_id(),
                    sentry_event = self.verdict.title(),
                    "{message}"
                )
            };
        }
        self.span.in_scope(|| match (self.status, &self.end) {
            (Some(status), _) if status.is_server_error() => line!(error),
            (_, BodyEnd::Failed(_)) => line!(error),
            (Some(status), _) if status.is_client_error() => line!(warn),
            (None, _) => line!(warn),
            _ => line!(info),
        });
    }
}

impl Drop for RequestRecord {
    fn drop(&mut self) {
        let metrics = Metrics::global();
        metrics.server_active(self.method, -1);
        let status = self.status.map(|status| status.as_u16());
        metrics.server_request(
            self.method,
            self.route.as_deref().unwrap_or_default(),
            status,
            self.started.elapsed(),
        );
        self.report_body();
        self.close_span();
        self.log();
        self.sentry.request_ended(self.started_at, self.session_end());
    }
}

fn text(headers: &HeaderMap, name: &HeaderName) -> Option<String> {
    headers.get(name)?.to_str().ok().map(str::to_owned)
}

/// The first forwarded address, else the peer's. Clients can forge the former: it is for reading, not for
/// decisions.
pub(super) fn client_address(request: &Request) -> Option<String> {
    let forwarded = text(request.headers(), &X_FORWARDED_FOR)
        .and_then(|list| list.split(',').next().map(|first| first.trim().to_owned()))
        .filter(|address| !address.is_empty());
    let peer = || {
        request
            .extensions()
            .get::<ConnectInfo<SocketAddr>>()
            .map(|ConnectInfo(peer)| peer.ip().to_string())
    };
    forwarded.or_else(peer)
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

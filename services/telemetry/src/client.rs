//! Calls to other services: context out, CLIENT span, duration.

use std::{borrow::Cow, sync::Arc, time::Instant};

use http::{HeaderName, HeaderValue, Method, StatusCode};
use opentelemetry::{
    Context,
    propagation::{TextMapCompositePropagator, TextMapPropagator},
    trace::{FutureExt, SpanKind, TraceContextExt},
};
use opentelemetry_http::HeaderInjector;
use reqwest::{IntoUrl, Request, RequestBuilder, Response, Url};
use serde::Serialize;

use crate::{
    http::known_method,
    metrics::Metrics,
    sentry::{Note, RequestScope},
    trace::{BAGGAGE, OpenSpan},
};

/// The headers by which a context travels.
const CONTEXT_HEADERS: [&str; 3] = ["traceparent", "tracestate", BAGGAGE];

/// A [`reqwest::Client`] whose requests continue the current trace, whatever context their own headers tell of.
#[derive(Clone, Debug)]
pub struct TracedClient {
    client: reqwest::Client,
    propagator: Arc<TextMapCompositePropagator>,
}

impl TracedClient {
    pub(crate) fn new(client: reqwest::Client, propagator: Arc<TextMapCompositePropagator>) -> Self {
        Self { client, propagator }
    }

    /// Begins a GET request.
    pub fn get(&self, url: impl IntoUrl) -> TracedRequest {
        self.request(Method::GET, url)
    }

    /// Begins a POST request.
    pub fn post(&self, url: impl IntoUrl) -> TracedRequest {
        self.request(Method::POST, url)
    }

    /// Begins a request.
    pub fn request(&self, method: Method, url: impl IntoUrl) -> TracedRequest {
        TracedRequest {
            request: self.client.request(method, url),
            client: self.clone(),
            template: None,
        }
    }

    /// Sends a request that was built elsewhere, such as a proxied one with a streaming body.
    pub async fn execute(&self, request: Request) -> reqwest::Result<Response> {
        self.send(request, None, 0).await
    }

    /// Like [`Self::execute`], for a request that was sent `count` times before. Each time is a span of its own.
    pub async fn resend(&self, request: Request, count: u32) -> reqwest::Result<Response> {
        self.send(request, None, count).await
    }

    /// Sends `request`; `template` is the low-cardinality form of its path (`/v1/users/{id}`) and names
    /// the span. Span and duration end with the response's headers, not with its body.
    pub async fn execute_as(&self, request: Request, template: Option<&str>) -> reqwest::Result<Response> {
        self.send(request, template, 0).await
    }

    async fn send(
        &self,
        mut request: Request,
        template: Option<&str>,
        resends: u32,
    ) -> reqwest::Result<Response> {
        let mut call = Call::start(&request, template, resends);
        let context = call.span.context().clone();
        self.inject(&context, &mut request);
        let result = self.client.execute(request).with_context(context).await;
        call.outcome = Outcome::of(result.as_ref());
        result
    }

    /// Writes `context` into the request's headers. Without spans it is the one that came in, passed on unchanged. A proxied
    /// request has the headers of its caller: what the propagators do not pass on must not go on by itself.
    fn inject(&self, context: &Context, request: &mut Request) {
        let headers = request.headers_mut();
        for name in CONTEXT_HEADERS {
            headers.remove(name);
        }
        self.propagator
            .inject_context(context, &mut HeaderInjector(headers));
    }
}

/// A request in the making, like [`reqwest::RequestBuilder`].
#[derive(Debug)]
#[must_use = "nothing is sent until `send`"]
pub struct TracedRequest {
    request: RequestBuilder,
    client: TracedClient,
    template: Option<Cow<'static, str>>,
}

impl TracedRequest {
    /// Names the span by the path's template (`/v1/users/{id}`) besides the method.
    pub fn template(mut self, template: impl Into<Cow<'static, str>>) -> Self {
        self.template = Some(template.into());
        self
    }

    /// Adds a header.
    pub fn header<N, V>(self, name: N, value: V) -> Self
    where
        HeaderName: TryFrom<N, Error: Into<http::Error>>,
        HeaderValue: TryFrom<V, Error: Into<http::Error>>,
    {
        self.map(|request| request.header(name, value))
    }

    /// Sends `Authorization: Bearer`.
    pub fn bearer_auth(self, token: &str) -> Self {
        self.map(|request| request.bearer_auth(token))
    }

    /// Adds query parameters. They are redacted in the span.
    pub fn query<T: Serialize + ?Sized>(self, query: &T) -> Self {
        self.map(|request| request.query(query))
    }

    /// Sends `body` as JSON.
    pub fn json<T: Serialize + ?Sized>(self, body: &T) -> Self {
        self.map(|request| request.json(body))
    }

    /// Sends `body` as it is.
    pub fn body(self, body: impl Into<reqwest::Body>) -> Self {
        self.map(|request| request.body(body))
    }

    /// Limits the whole request, from connecting to the end of the body.
    pub fn timeout(self, limit: std::time::Duration) -> Self {
        self.map(|request| request.timeout(limit))
    }

    /// Sends it. An error status is a response, not an error; see [`Response::error_for_status`].
    pub async fn send(self) -> reqwest::Result<Response> {
        self.client
            .execute_as(self.request.build()?, self.template.as_deref())
            .await
    }

    fn map(mut self, change: impl FnOnce(RequestBuilder) -> RequestBuilder) -> Self {
        self.request = change(self.request);
        self
    }
}

/// One call under way. Dropping it reports it, so that a call which its caller gave up on counts too.
struct Call {
    span: OpenSpan,
    method: &'static str,
    /// Without what may be secret.
    url: Url,
    started: Instant,
    outcome: Outcome,
}

/// How a call ended.
enum Outcome {
    Status(StatusCode),
    Failed {
        error_type: &'static str,
        reason: String,
    },
    /// The caller stopped waiting.
    Cancelled,
}

impl Outcome {
    fn of(result: Result<&Response, &reqwest::Error>) -> Self {
        match result {
            Ok(response) => Self::Status(response.status()),
            Err(error) => Self::Failed {
                error_type: failure(error),
                reason: root_cause(error),
            },
        }
    }
}

impl Call {
    fn start(request: &Request, template: Option<&str>, resends: u32) -> Self {
        let url = redacted(request.url());
        Self {
            span: client_span(request.method(), &url, template, resends),
            method: known_method(request.method()),
            url,
            started: Instant::now(),
            outcome: Outcome::Cancelled,
        }
    }
}

impl Drop for Call {
    fn drop(&mut self) {
        let status = match &self.outcome {
            Outcome::Status(status) => {
                self.span
                    .set("http.response.status_code", i64::from(status.as_u16()));
                Some(status.as_u16())
            }
            _ => None,
        };
        let failure = match &self.outcome {
            // To the caller a refusal by the other side is a failure too: unlike on the server, 4xx counts.
            Outcome::Status(status) if status.is_client_error() || status.is_server_error() => {
                Some((status.as_str().to_owned().into(), ""))
            }
            Outcome::Status(_) => None,
            Outcome::Failed { error_type, reason } => Some((Cow::Borrowed(*error_type), reason.as_str())),
            Outcome::Cancelled => Some(("cancelled".into(), "")),
        };
        let server = self.url.host_str().unwrap_or_default();
        let (duration, span) = (self.started.elapsed(), self.span.context().span());
        Metrics::global().client_request(self.method, server, status, duration, span.span_context());
        RequestScope::note(|| Note::Call {
            method: self.method,
            url: self.url.to_string(),
            status,
            error_type: failure.as_ref().map(|(error_type, _)| error_type.clone()),
        });
        if let Some((error_type, reason)) = failure {
            self.span.fail(error_type, reason);
        }
    }
}

/// `url` holds no secrets.
fn client_span(method: &Method, url: &Url, template: Option<&str>, resends: u32) -> OpenSpan {
    let known = known_method(method);
    let name = || match template {
        Some(template) => [known, " ", template].concat().into(),
        None => known.into(),
    };
    Context::map_current(|parent| {
        OpenSpan::start(parent, SpanKind::Client, name, |span| {
            span.add("http.request.method", known);
            span.add_some("server.address", url.host_str().map(str::to_owned));
            span.add_some("server.port", url.port_or_known_default().map(i64::from));
            span.add("url.full", url.to_string());
            span.add_some("url.template", template.map(str::to_owned));
            span.add_some(
                "http.request.resend_count",
                (resends > 0).then_some(i64::from(resends)),
            );
            if known == "_OTHER" {
                span.add("http.request.method_original", method.to_string());
            }
        })
    })
}

/// The URL without what may be secret: user, password and the values of the query.
fn redacted(url: &Url) -> Url {
    let mut shown = url.clone();
    // Both fail only for a URL that cannot have a user, which then has none.
    let _ = shown.set_username("");
    let _ = shown.set_password(None);
    shown.set_fragment(None);
    if url.query().is_some() {
        let names = url.query_pairs().map(|(name, _)| (name, "REDACTED"));
        shown.query_pairs_mut().clear().extend_pairs(names);
    }
    shown
}

fn failure(error: &reqwest::Error) -> &'static str {
    if error.is_timeout() {
        "timeout"
    } else if error.is_connect() {
        "connect"
    } else if error.is_body() || error.is_decode() {
        "body"
    } else {
        "request"
    }
}

/// The innermost reason. The outer texts hold the URL with its query, which may be secret.
fn root_cause(error: &reqwest::Error) -> String {
    let mut cause: &dyn std::error::Error = error;
    while let Some(source) = cause.source() {
        cause = source;
    }
    if std::ptr::addr_eq(cause, error) {
        failure(error).to_owned()
    } else {
        cause.to_string()
    }
}

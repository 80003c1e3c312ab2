//! Errors as clients see them: RFC 9457 problem details, one shape for every failure.

use std::{borrow::Cow, error::Error, fmt};

use axum::{
    Json,
    extract::{FromRequestParts, Request},
    middleware::Next,
    response::{IntoResponse, Response},
};
use http::{HeaderName, HeaderValue, Method, StatusCode, Uri, header};
use serde::{Deserialize, Serialize};
use tracewell_telemetry::ErrorReport;
use utoipa::ToSchema;

use crate::db::DbError;

/// Media type of a problem.
pub const PROBLEM_JSON: &str = "application/problem+json";

/// What went wrong, as RFC 9457 lays it out.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct Problem {
    /// Kind of problem; `about:blank` when `code` says it all.
    #[serde(rename = "type")]
    #[schema(example = "about:blank")]
    pub kind: Cow<'static, str>,
    /// The status in words.
    #[schema(example = "Unprocessable Entity")]
    pub title: Cow<'static, str>,
    /// The HTTP status code.
    #[schema(example = 422, minimum = 400, maximum = 599)]
    pub status: u16,
    /// What was wrong with this request, for a person.
    #[schema(example = "the body breaks the documented schema")]
    pub detail: Cow<'static, str>,
    /// Path of the request.
    #[schema(example = "/v1/signup")]
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub instance: Option<String>,
    /// Stable name of the problem, for programs; each answer of an operation lists those that it can have.
    #[schema(example = "invalid_body")]
    pub code: Cow<'static, str>,
    /// The parts of the body, the path or the query that break the documented schema.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub errors: Vec<FieldError>,
    /// Trace in which this happened, to be looked up in the tracing backend.
    #[schema(example = "4bf92f3577b34da6a3ce929d0e0e4736")]
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub trace_id: Option<String>,
}

/// One part of a body, or one parameter, that breaks the schema.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct FieldError {
    /// JSON Pointer (RFC 6901) to the part; empty for the whole body. Of a parameter it is its name: `/limit`.
    #[schema(example = "/email")]
    pub pointer: String,
    /// What is wrong with it.
    #[schema(example = "\"\" is shorter than 1 character")]
    pub detail: String,
}

/// The failure of a request: what the client is told, and the cause that only the log and the trace see.
#[derive(Debug)]
pub struct ApiError(Box<Failure>);

#[derive(Debug)]
struct Failure {
    status: StatusCode,
    code: &'static str,
    detail: Cow<'static, str>,
    errors: Vec<FieldError>,
    header: Option<(HeaderName, HeaderValue)>,
    source: Option<Box<dyn Error + Send + Sync>>,
    /// The service decided on it, to shed load.
    is_refusal: bool,
}

impl ApiError {
    /// A failure with its status, its stable code and a sentence for a person.
    pub fn new(status: StatusCode, code: &'static str, detail: impl Into<Cow<'static, str>>) -> Self {
        let (errors, header, source) = (Vec::new(), None, None);
        Self(Box::new(Failure {
            status,
            code,
            detail: detail.into(),
            errors,
            header,
            source,
            is_refusal: false,
        }))
    }

    /// 500, whose cause is told to the log alone.
    pub fn internal(source: impl Into<Box<dyn Error + Send + Sync>>) -> Self {
        Self::new(
            StatusCode::INTERNAL_SERVER_ERROR,
            "internal",
            "the service failed; the trace id leads to the cause",
        )
        .caused_by(source)
    }

    /// 404 for a thing that is not there, or that the caller may not know of.
    pub fn not_found(detail: impl Into<Cow<'static, str>>) -> Self {
        Self::new(StatusCode::NOT_FOUND, "not_found", detail)
    }

    /// 503 that asks the client to come back in `seconds`.
    pub fn unavailable(code: &'static str, detail: impl Into<Cow<'static, str>>, seconds: u16) -> Self {
        Self::new(StatusCode::SERVICE_UNAVAILABLE, code, detail)
            .with_header(header::RETRY_AFTER, seconds.into())
    }

    /// 503 by which the service refuses what is too much for it, and asks the client to come back in a second. It has no
    /// cause, and Sentry hears of it now and then only.
    pub fn overloaded(code: &'static str, detail: impl Into<Cow<'static, str>>) -> Self {
        let mut error = Self::unavailable(code, detail, 1);
        error.0.is_refusal = true;
        error
    }

    /// Adds the cause.
    #[must_use]
    pub fn caused_by(mut self, source: impl Into<Box<dyn Error + Send + Sync>>) -> Self {
        self.0.source = Some(source.into());
        self
    }

    /// Adds the parts of the request that are wrong.
    #[must_use]
    pub fn with_errors(mut self, errors: Vec<FieldError>) -> Self {
        self.0.errors = errors;
        self
    }

    /// Adds a header that belongs to the status, such as `WWW-Authenticate`.
    #[must_use]
    pub fn with_header(mut self, name: HeaderName, value: HeaderValue) -> Self {
        self.0.header = Some((name, value));
        self
    }

    /// The status the client sees.
    pub fn status(&self) -> StatusCode {
        self.0.status
    }

    /// The stable name the client sees.
    pub fn code(&self) -> &'static str {
        self.0.code
    }

    /// What log, span and Sentry are told of it, where it is the service's.
    fn report(&self) -> Option<ErrorReport> {
        match self.0.status {
            status if !status.is_server_error() => None,
            _ if self.0.is_refusal => Some(ErrorReport::refusal(self.0.code, &self.0.detail)),
            _ => Some(ErrorReport::named(self.0.code, self)),
        }
    }
}

impl fmt::Display for ApiError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}: {}", self.0.code, self.0.detail)
    }
}

impl Error for ApiError {
    fn source(&self) -> Option<&(dyn Error + 'static)> {
        self.0.source.as_deref().map(|source| source as _)
    }
}

impl From<DbError> for ApiError {
    fn from(error: DbError) -> Self {
        match error {
            DbError::Busy(_) => {
                Self::unavailable("database_busy", "the database is busy", 1).caused_by(error)
            }
            DbError::Away(_) => {
                Self::unavailable("database_away", "the database cannot be reached", 5).caused_by(error)
            }
            other => Self::internal(other),
        }
    }
}

impl IntoResponse for ApiError {
    fn into_response(self) -> Response {
        let report = self.report();
        let Failure {
            status,
            code,
            detail,
            errors,
            header,
            ..
        } = *self.0;
        let problem = Problem {
            kind: "about:blank".into(),
            title: status.canonical_reason().unwrap_or("Error").into(),
            status: status.as_u16(),
            detail,
            instance: None,
            code: code.into(),
            errors,
            trace_id: tracewell_telemetry::current_trace_id(),
        };
        let mut response = problem.into_response();
        if let Some(report) = report {
            response.extensions_mut().insert(report);
        }
        if let Some((name, value)) = header {
            response.headers_mut().insert(name, value);
        }
        response
    }
}

impl IntoResponse for Problem {
    fn into_response(self) -> Response {
        let status = StatusCode::from_u16(self.status).unwrap_or(StatusCode::INTERNAL_SERVER_ERROR);
        let mut response = (status, [(header::CONTENT_TYPE, PROBLEM_JSON)], Json(&self)).into_response();
        // Kept beside the rendered body for `add_instance`, which alone knows the path.
        response.extensions_mut().insert(self);
        response
    }
}

/// Middleware that adds the request's path to the problem of the response.
pub(crate) async fn add_instance(uri: Uri, request: Request, next: Next) -> Response {
    let mut response = next.run(request).await;
    let Some(mut problem) = response.extensions_mut().remove::<Problem>() else {
        return response;
    };
    problem.instance = Some(uri.path().to_owned());
    let (mut parts, _) = response.into_parts();
    parts.headers.remove(header::CONTENT_LENGTH);
    let (_, body) = problem.into_response().into_parts();
    Response::from_parts(parts, body)
}

/// Middleware that refuses a path or query with U+0000 in it, which no database here can store or compare.
pub(crate) async fn refuse_null_character(request: Request, next: Next) -> Response {
    let uri = request.uri();
    if uri.path().contains("%00") || uri.query().is_some_and(|query| query.contains("%00")) {
        let detail = "the URL contains the character U+0000";
        return ApiError::new(StatusCode::BAD_REQUEST, "null_character", detail).into_response();
    }
    next.run(request).await
}

/// The answer for a path that is no route.
pub async fn unknown_route(uri: Uri) -> ApiError {
    ApiError::new(
        StatusCode::NOT_FOUND,
        "unknown_route",
        format!("there is no route {}", uri.path()),
    )
}

/// The answer for a method that the route does not have.
pub async fn method_not_allowed(method: Method, uri: Uri) -> ApiError {
    let detail = format!(
        "{} has no method {method}; the Allow header lists those it has",
        uri.path()
    );
    ApiError::new(StatusCode::METHOD_NOT_ALLOWED, "method_not_allowed", detail)
}

/// Parameters of the query string, as axum's own extractor but with a problem for an answer.
#[derive(Debug, Clone, Copy, FromRequestParts)]
#[from_request(via(axum::extract::Query), rejection(ApiError))]
pub struct Query<T>(pub T);

impl From<axum::extract::rejection::QueryRejection> for ApiError {
    fn from(rejection: axum::extract::rejection::QueryRejection) -> Self {
        Self::new(StatusCode::BAD_REQUEST, "invalid_query", rejection.body_text())
    }
}

/// Parameters of the path, as axum's own extractor but with a problem for an answer.
#[derive(Debug, Clone, Copy, FromRequestParts)]
#[from_request(via(axum::extract::Path), rejection(ApiError))]
pub struct Path<T>(pub T);

impl From<axum::extract::rejection::RawPathParamsRejection> for ApiError {
    fn from(rejection: axum::extract::rejection::RawPathParamsRejection) -> Self {
        Self::new(StatusCode::BAD_REQUEST, "invalid_path", rejection.body_text())
    }
}

impl From<axum::extract::rejection::PathRejection> for ApiError {
    fn from(rejection: axum::extract::rejection::PathRejection) -> Self {
        Self::new(StatusCode::BAD_REQUEST, "invalid_path", rejection.body_text())
    }
}

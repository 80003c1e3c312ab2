//! What can go wrong between a client and an upstream, and how the client is told.

use std::error::Error;
use std::time::Duration;

use axum::response::{IntoResponse, Response};
use http::StatusCode;
use tracewell_kit::problem::ApiError;

/// Why the gateway answers instead of an upstream.
#[derive(Debug, thiserror::Error)]
pub enum GatewayError {
    /// See [`crate::routing::is_ambiguous`].
    #[error(
        "the path has a dot segment or a backslash, which servers read differently; write the path plainly"
    )]
    AmbiguousPath,
    /// See [`crate::routing::is_for_operators`].
    #[error("there is no route {0}")]
    NotPassedOn(String),
    /// No connection, or one that broke before the answer.
    #[error("{upstream} cannot be reached")]
    Unreachable {
        /// Its name.
        upstream: String,
        /// What the connection said.
        source: reqwest::Error,
    },
    /// The upstream is connected but silent.
    #[error("{upstream} did not answer within {} s", after.as_secs_f32())]
    Timeout {
        /// Its name.
        upstream: String,
        /// The limit.
        after: Duration,
    },
    /// The upstream changed the protocol without having been asked.
    #[error("{0} changed the protocol unasked")]
    UnaskedUpgrade(String),
    /// The request's body is longer than allowed.
    #[error("the body is larger than this gateway passes on")]
    BodyTooLarge,
    /// The client went away or broke off while it sent its body.
    #[error("the body broke off before its end")]
    BodyBroken(#[source] reqwest::Error),
    /// Too many requests from one address.
    #[error("too many requests from your address; try again in {retry_after_seconds} s")]
    RateLimited {
        /// When the next request is welcome.
        retry_after_seconds: u64,
    },
    /// The upstream has no usable API document.
    #[error("{upstream} offers no API document")]
    NoDocument {
        /// Its name.
        upstream: String,
        /// Why not.
        source: reqwest::Error,
    },
}

impl GatewayError {
    /// Sorts out why an exchange with `upstream` failed.
    pub fn from_exchange(upstream: &str, source: reqwest::Error) -> Self {
        let upstream = upstream.to_owned();
        if find_cause::<http_body_util::LengthLimitError>(&source).is_some() {
            Self::BodyTooLarge
        } else if find_cause::<axum::Error>(&source).is_some() {
            // Only the body of the client's request can fail with an error of the server's side.
            Self::BodyBroken(source)
        } else {
            Self::Unreachable { upstream, source }
        }
    }

    fn status_and_code(&self) -> (StatusCode, &'static str) {
        match self {
            Self::AmbiguousPath => (StatusCode::BAD_REQUEST, "ambiguous_path"),
            Self::NotPassedOn(_) => (StatusCode::NOT_FOUND, "unknown_route"),
            Self::BodyBroken(_) => (StatusCode::BAD_REQUEST, "broken_body"),
            Self::BodyTooLarge => (StatusCode::PAYLOAD_TOO_LARGE, "payload_too_large"),
            Self::RateLimited { .. } => (StatusCode::TOO_MANY_REQUESTS, "rate_limited"),
            Self::Unreachable { .. } => (StatusCode::BAD_GATEWAY, "upstream_unreachable"),
            Self::UnaskedUpgrade(_) => (StatusCode::BAD_GATEWAY, "upstream_protocol"),
            Self::NoDocument { .. } => (StatusCode::BAD_GATEWAY, "upstream_document"),
            Self::Timeout { .. } => (StatusCode::GATEWAY_TIMEOUT, "upstream_timeout"),
        }
    }
}

impl From<GatewayError> for ApiError {
    fn from(error: GatewayError) -> Self {
        let (status, code) = error.status_and_code();
        let told = Self::new(status, code, error.to_string());
        match &error {
            GatewayError::RateLimited { retry_after_seconds } => {
                told.with_header(http::header::RETRY_AFTER, (*retry_after_seconds).into())
            }
            _ => told.caused_by(error),
        }
    }
}

impl IntoResponse for GatewayError {
    fn into_response(self) -> Response {
        ApiError::from(self).into_response()
    }
}

/// The first of `error` and its causes that is an `E`.
pub(crate) fn find_cause<'a, E: Error + 'static>(error: &'a (dyn Error + 'static)) -> Option<&'a E> {
    std::iter::successors(Some(error), |&cause| cause.source()).find_map(<dyn Error + 'static>::downcast_ref)
}

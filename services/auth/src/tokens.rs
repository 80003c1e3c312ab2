//! The tokens that a client is given.

use http::{HeaderMap, header};
use jiff::Timestamp;
use serde::Serialize;
use tracewell_kit::token::{Claims, LIFETIME, SigningKey};
use utoipa::ToSchema;

use crate::{cookie, error::AuthError, opaque::OpaqueToken};

/// Where the client keeps its refresh token.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Keep {
    /// Itself: the answer's body has it.
    Client,
    /// In a cookie.
    Cookie,
}

impl Keep {
    /// As a sign-in's `cookie` says.
    pub(crate) fn of_browser(cookie: bool) -> Self {
        if cookie { Self::Cookie } else { Self::Client }
    }
}

/// The tokens of a session.
#[derive(Debug, Serialize, ToSchema)]
pub(crate) struct Tokens {
    /// For the `Authorization` header of further requests.
    #[schema(example = "eyJhbGciOiJFZERTQSJ9.eyJzdWIiOiJ1c3JfMSJ9.c2lnbmF0dXJl")]
    access_token: String,
    /// How to present it.
    #[schema(example = "Bearer")]
    token_type: &'static str,
    /// Seconds until it expires.
    #[schema(example = 600)]
    expires_in: i64,
    /// For `POST /v1/refresh`, once. Not there when it is in the cookie.
    #[serde(skip_serializing_if = "Option::is_none")]
    refresh_token: Option<OpaqueToken>,
}

impl Tokens {
    /// Signs an access token beside the session's refresh token; the headers set the cookie, if it is to be kept there.
    pub(crate) fn issue(
        key: &SigningKey,
        user_id: &str,
        session_id: &str,
        refresh_token: OpaqueToken,
        keep: Keep,
        now: Timestamp,
    ) -> Result<(Self, HeaderMap), AuthError> {
        let mut headers = HeaderMap::new();
        let refresh_token = match keep {
            Keep::Client => Some(refresh_token),
            Keep::Cookie => {
                headers.insert(header::SET_COOKIE, cookie::keep(&refresh_token)?);
                None
            }
        };
        let tokens = Self {
            access_token: key.sign(&Claims::new(user_id, now).in_session(session_id))?,
            token_type: "Bearer",
            expires_in: LIFETIME.as_secs(),
            refresh_token,
        };
        Ok((tokens, headers))
    }
}

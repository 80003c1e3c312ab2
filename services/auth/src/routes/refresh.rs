//! POST /v1/refresh

use std::sync::LazyLock;

use axum::{Json, extract::State};
use http::{HeaderMap, StatusCode, header};
use serde::Deserialize;
use tracewell_kit::{
    clock,
    db::Db,
    json::ValidJson,
    problem::{ApiError, PROBLEM_JSON, Problem},
    token::SigningKey,
};
use tracewell_telemetry::{Counter, counter};
use utoipa::ToSchema;

use crate::{
    client::Client,
    cookie,
    error::AuthError,
    keyring::KeyRing,
    opaque::OpaqueToken,
    store::{self, sessions::Refreshed},
    tokens::{Keep, Tokens},
};

static REFRESHES: LazyLock<Counter> = LazyLock::new(|| counter("auth.refresh", "Refreshes by outcome."));

/// A session that is to go on.
#[derive(Debug, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct Refresh {
    /// The last one that was given; left out when it is in the cookie.
    #[serde(default)]
    refresh_token: Option<OpaqueToken>,
}

/// Exchanges a refresh token for new tokens.
///
/// A refresh token is good once. Sent again within ten seconds, it gives the same successor, so that two tabs, or a
/// client whose answer was lost, need not sign in again. Sent again later it ends the session: one of two holders
/// must have stolen it.
#[utoipa::path(
    post, path = "/refresh", tag = "sessions", request_body = Refresh,
    responses(
        (status = 200, description = "The tokens", body = Tokens, links(
            ("refresh" = (operation_id = "refresh", description = "Refresh the access token again",
                request_body = json!({"refresh_token": "$response.body#/refresh_token"}))),
        )),
        (status = 401, description = "`invalid_refresh_token`, `refresh_token_reused` or `session_ended`",
            body = Problem, content_type = PROBLEM_JSON),
    )
)]
pub(crate) async fn refresh(
    State(db): State<Db>,
    State(keys): State<KeyRing>,
    client: Client,
    headers: HeaderMap,
    ValidJson(body): ValidJson<Refresh>,
) -> Result<(HeaderMap, Json<Tokens>), (HeaderMap, ApiError)> {
    let presented = match body.refresh_token {
        Some(token) => Some((token, Keep::Client)),
        None => cookie::read(&headers).map(|token| (token, Keep::Cookie)),
    };
    let refreshed = match &presented {
        Some((token, keep)) => continue_session(&db, &keys.signing(), &client, token, *keep).await,
        None => Err(AuthError::InvalidRefreshToken),
    };
    let outcome = match &refreshed {
        Ok(_) => "success",
        Err(AuthError::InvalidRefreshToken) => "invalid_refresh_token",
        Err(AuthError::RefreshTokenReused) => "refresh_token_reused",
        Err(AuthError::SessionEnded) => "session_ended",
        Err(_) => "error",
    };
    REFRESHES.add(1, &[("outcome", outcome)]);
    match refreshed {
        Ok((tokens, headers)) => Ok((headers, Json(tokens))),
        Err(error) => {
            let is_in_cookie = matches!(presented, Some((_, Keep::Cookie)));
            Err(refused(error.into(), is_in_cookie))
        }
    }
}

/// The answer to a refresh that failed. A cookie that is good no longer is taken away: a browser would send it again and
/// again.
fn refused(error: ApiError, is_in_cookie: bool) -> (HeaderMap, ApiError) {
    let is_useless = is_in_cookie && error.status() == StatusCode::UNAUTHORIZED;
    let cleared = is_useless.then_some((header::SET_COOKIE, cookie::CLEAR));
    (cleared.into_iter().collect(), error)
}

async fn continue_session(
    db: &Db,
    key: &SigningKey,
    client: &Client,
    token: &OpaqueToken,
    keep: Keep,
) -> Result<(Tokens, HeaderMap), AuthError> {
    let (salt, now) = (OpaqueToken::generate()?, clock::now());
    match store::sessions::refresh(db, token, &salt, client, now).await? {
        Refreshed::Continued {
            user_id,
            session_id,
            token,
        } => {
            tracewell_telemetry::user(&user_id, None);
            Tokens::issue(key, &user_id, &session_id, token, keep, now)
        }
        Refreshed::Reused => Err(AuthError::RefreshTokenReused),
        Refreshed::Ended => Err(AuthError::SessionEnded),
        Refreshed::Unknown => Err(AuthError::InvalidRefreshToken),
    }
}

//! Requests that may come again and have their effect once, by a key of the client's making: "The Idempotency-Key HTTP
//! Header Field" (draft-ietf-httpapi-idempotency-key-header-07). The header is optional.
//!
//! A handler takes [`Idempotent`], and so never sees a repeat; it begins the transaction of its effect by
//! [`Attempt::begin`] and ends it by [`Effect::commit`], which keeps the answer in it: a crash loses both or neither. What
//! fails has no effect, so nothing of it is kept, and a repeat is another try.
//!
//! Two at once: the row of the key is the first thing that the transaction writes. On SQLite the later request waits for
//! the writer, on PostgreSQL for the earlier one's row. If that was committed, the later one is told so (409) and has
//! changed nothing; if it was rolled back, the later one takes its place.
//!
//! The operation's description names [`IdempotencyKey`] among its `params`; what follows from that is documented by itself.

mod key;
mod store;

use std::fmt;

use axum::{
    Json,
    extract::{FromRef, FromRequest, FromRequestParts as _, MatchedPath, Request},
    response::{IntoResponse, Response},
};
use base64::{Engine as _, engine::general_purpose::URL_SAFE_NO_PAD};
use http::{HeaderName, HeaderValue, StatusCode, header, request::Parts, uri::PathAndQuery};
use ring::digest::{Context, SHA256};
use serde::{Serialize, de::DeserializeOwned};
use utoipa::ToSchema;

use crate::{
    auth::{CurrentUser, Verifier},
    db::{Db, Tx},
    json,
    problem::ApiError,
    upkeep::Housekeeping,
};

pub(crate) use self::key::{is_key, replayed};
pub use self::{
    key::{HEADER, IdempotencyKey, PATTERN},
    store::{TABLE, delete_old, forget_old},
};

/// Marks the answer to a repeat.
pub const REPLAYED: HeaderName = HeaderName::from_static("idempotency-replayed");

/// A request of the caller's with a JSON body, whose effect happens once if it carries a key.
#[derive(Debug)]
pub struct Idempotent<T> {
    /// Who asks.
    pub caller: CurrentUser,
    /// What for.
    pub body: T,
    /// How to let it happen.
    pub attempt: Attempt,
}

impl<S, T> FromRequest<S> for Idempotent<T>
where
    S: Send + Sync,
    T: DeserializeOwned + ToSchema + Send + 'static,
    Db: FromRef<S>,
    Verifier: FromRef<S>,
    // Who keeps answers forgets them too.
    Housekeeping: FromRef<S>,
{
    type Rejection = Rejection;

    async fn from_request(request: Request, state: &S) -> Result<Self, Rejection> {
        let (mut parts, body) = request.into_parts();
        let caller = CurrentUser::from_request_parts(&mut parts, state).await?;
        let key = IdempotencyKey::of(&parts.headers)?;
        let (operation, mut fingerprint) = (operation(&parts), fingerprint_of_head(&parts));
        let (bytes, body) = json::read(Request::from_parts(parts, body), state).await?;
        let db = Db::from_ref(state);
        let claim = key.map(|key| {
            fingerprint.update(&bytes);
            Claim {
                user_id: caller.id.clone(),
                operation,
                key,
                fingerprint: URL_SAFE_NO_PAD.encode(fingerprint.finish()),
            }
        });
        if let Some(claim) = &claim
            && let Some(earlier) = store::find(&db, claim).await.map_err(ApiError::from)?
        {
            return Err(earlier.answer_to(claim));
        }
        Ok(Self {
            caller,
            body,
            attempt: Attempt { db, claim },
        })
    }
}

/// Method and route. The path without its version is an alias, and so is not another operation.
fn operation(parts: &Parts) -> String {
    let route = parts.extensions.get::<MatchedPath>().map(MatchedPath::as_str);
    let route = route.unwrap_or_else(|| parts.uri.path());
    format!("{} {}", parts.method, route.strip_prefix("/v1").unwrap_or(route))
}

/// What makes a request this one, but for its body. The path is without the version, below which `Routes` nests.
fn fingerprint_of_head(parts: &Parts) -> Context {
    let mut fingerprint = Context::new(&SHA256);
    let target = parts
        .uri
        .path_and_query()
        .map_or_else(|| parts.uri.path(), PathAndQuery::as_str);
    // Neither can contain the line break.
    fingerprint.update(format!("{} {}\n", parts.method, target).as_bytes());
    fingerprint
}

/// What a request with a key lays claim to.
#[derive(Debug)]
struct Claim {
    user_id: String,
    operation: String,
    key: IdempotencyKey,
    /// Of method, path, query and body.
    fingerprint: String,
}

/// What was answered to an earlier request with the same key.
#[derive(Debug)]
struct Earlier {
    fingerprint: String,
    answer: Answer,
}

impl Earlier {
    fn answer_to(self, claim: &Claim) -> Rejection {
        if self.fingerprint == claim.fingerprint {
            return Rejection::Repeat(self.answer);
        }
        let detail =
            "this Idempotency-Key came with another request before; each request needs a key of its own";
        Rejection::Refused(ApiError::new(
            StatusCode::UNPROCESSABLE_ENTITY,
            "idempotency_key_reused",
            detail,
        ))
    }
}

/// An answer as it was given: status and JSON.
pub struct Answer {
    status: StatusCode,
    body: String,
}

/// Without the body, which may hold personal data.
impl fmt::Debug for Answer {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Answer")
            .field("status", &self.status)
            .finish_non_exhaustive()
    }
}

impl IntoResponse for Answer {
    fn into_response(self) -> Response {
        let headers = [
            (header::CONTENT_TYPE, HeaderValue::from_static("application/json")),
            (REPLAYED, HeaderValue::from_static("true")),
        ];
        (self.status, headers, self.body).into_response()
    }
}

/// Why the handler does not run.
#[derive(Debug)]
pub enum Rejection {
    /// Something is wrong with the request.
    Refused(ApiError),
    /// It has been answered before.
    Repeat(Answer),
}

impl From<ApiError> for Rejection {
    fn from(error: ApiError) -> Self {
        Self::Refused(error)
    }
}

impl IntoResponse for Rejection {
    fn into_response(self) -> Response {
        match self {
            Self::Refused(error) => error.into_response(),
            Self::Repeat(answer) => answer.into_response(),
        }
    }
}

/// The right to an effect that has not happened yet.
#[derive(Debug)]
#[must_use = "without it the effect happens at each repeat"]
pub struct Attempt {
    db: Db,
    claim: Option<Claim>,
}

impl Attempt {
    /// Starts the transaction of the effect. Refused (409) if another request with the key was faster.
    pub async fn begin(self) -> Result<Effect, ApiError> {
        let mut tx = self.db.begin().await?;
        if let Some(claim) = &self.claim
            && !store::insert(&mut tx, claim).await?
        {
            return Err(in_progress());
        }
        Ok(Effect {
            tx,
            claim: self.claim,
        })
    }
}

fn in_progress() -> ApiError {
    let detail =
        "a request with this Idempotency-Key was under way already; sent once more, this one gets its answer";
    ApiError::new(StatusCode::CONFLICT, "request_in_progress", detail)
        .with_header(header::RETRY_AFTER, HeaderValue::from_static("1"))
}

/// An effect under way; dropped without [`Effect::commit`], it has not happened.
#[derive(Debug)]
pub struct Effect {
    tx: Tx,
    claim: Option<Claim>,
}

impl Effect {
    /// The transaction that the effect is written in.
    pub fn tx(&mut self) -> &mut Tx {
        &mut self.tx
    }

    /// Makes the effect last, and with it what a repeat is answered.
    pub async fn commit<T: Serialize>(
        mut self,
        status: StatusCode,
        body: T,
    ) -> Result<(StatusCode, Json<T>), ApiError> {
        if let Some(claim) = &self.claim {
            let body = serde_json::to_string(&body).map_err(ApiError::internal)?;
            store::complete(&mut self.tx, claim, &Answer { status, body });
        }
        self.tx.commit().await?;
        Ok((status, Json(body)))
    }
}

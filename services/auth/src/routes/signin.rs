//! POST /v1/signin

use std::sync::LazyLock;

use axum::{Json, extract::State};
use http::HeaderMap;
use serde::{Deserialize, Serialize};
use tracewell_kit::{
    clock,
    db::Db,
    id,
    json::ValidJson,
    problem::{ApiError, PROBLEM_JSON, Problem},
    token::SigningKey,
};
use tracewell_telemetry::{Counter, counter};
use utoipa::ToSchema;

use crate::{
    client::Client,
    domain::{AuditKind, Email, Password, User},
    error::AuthError,
    hashing::{HashError, Hasher, Verdict},
    keyring::KeyRing,
    opaque::OpaqueToken,
    store::{self, audit::Subject},
    tokens::{Keep, Tokens},
};

static SIGNINS: LazyLock<Counter> = LazyLock::new(|| counter("auth.signin", "Sign-ins by outcome."));

/// Who signs in.
#[derive(Debug, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct Signin {
    email: Email,
    password: Password,
    /// Whether the refresh token goes into an `HttpOnly` cookie instead of the answer's body; for browsers.
    #[serde(default)]
    cookie: bool,
}

/// A successful sign-in.
#[derive(Debug, Serialize, ToSchema)]
pub(crate) struct SignedIn {
    #[serde(flatten)]
    tokens: Tokens,
    user: User,
}

/// Gives the tokens of a new session for an e-mail address and its password.
#[utoipa::path(
    post, path = "/signin", tag = "sessions", request_body = Signin,
    responses(
        (status = 200, description = "The tokens", body = SignedIn),
        (status = 401, description = "`invalid_credentials`", body = Problem, content_type = PROBLEM_JSON),
        (status = 403, description = "`account_locked`, said to who knows the password only",
            body = Problem, content_type = PROBLEM_JSON),
        (status = 429, description = "`too_many_attempts`: Retry-After says when to come again",
            body = Problem, content_type = PROBLEM_JSON),
        (status = 503, description = "`busy`", body = Problem, content_type = PROBLEM_JSON),
    )
)]
pub(crate) async fn signin(
    State(db): State<Db>,
    State(hasher): State<Hasher>,
    State(keys): State<KeyRing>,
    client: Client,
    ValidJson(body): ValidJson<Signin>,
) -> Result<(HeaderMap, Json<SignedIn>), ApiError> {
    let signed_in = attempt(&db, &hasher, &keys.signing(), &client, body).await;
    SIGNINS.add(1, &[("outcome", outcome(&signed_in))]);
    let (signed_in, headers) = signed_in?;
    Ok((headers, Json(signed_in)))
}

fn outcome<T>(signed_in: &Result<T, AuthError>) -> &'static str {
    match signed_in {
        Ok(_) => "success",
        Err(AuthError::InvalidCredentials) => "invalid_credentials",
        Err(AuthError::AccountLocked) => "account_locked",
        Err(AuthError::TooManyAttempts { .. }) => "too_many_attempts",
        Err(AuthError::Hash(HashError::Busy)) => "busy",
        Err(_) => "error",
    }
}

/// Signs in unless too many attempts have failed before.
async fn attempt(
    db: &Db,
    hasher: &Hasher,
    key: &SigningKey,
    client: &Client,
    body: Signin,
) -> Result<(SignedIn, HeaderMap), AuthError> {
    let email = body.email.clone();
    store::attempts::begin(db, &email, client, clock::now()).await?;
    let signed_in = sign_in(db, hasher, key, client, body).await;
    if !matches!(signed_in, Err(AuthError::InvalidCredentials)) {
        store::attempts::forgive(db, &email, client).await?;
    }
    signed_in
}

async fn sign_in(
    db: &Db,
    hasher: &Hasher,
    key: &SigningKey,
    client: &Client,
    body: Signin,
) -> Result<(SignedIn, HeaderMap), AuthError> {
    let (account, password_hash) = store::users::by_email(db, &body.email).await?.unzip();
    let verdict = hasher
        .verify(body.password.clone(), password_hash.clone())
        .await?;
    let (account, known_hash) = match account.zip(password_hash) {
        Some(found) if verdict != Verdict::Wrong => found,
        unknown => {
            // Written for unknown addresses too, since a write takes time.
            let subject = Subject {
                user: unknown.as_ref().map(|(account, _)| account.user.id.as_str()),
                ..Subject::default()
            };
            let mut tx = db.begin().await?;
            store::audit::record(&mut tx, AuditKind::SigninFailed, subject, client).await?;
            tx.commit().await?;
            return Err(AuthError::InvalidCredentials);
        }
    };
    if account.locked_at.is_some() {
        return Err(AuthError::AccountLocked);
    }
    let hash = match verdict {
        Verdict::Outdated => hasher.hash(body.password).await?,
        _ => known_hash.clone(),
    };
    let (user, now) = (account.user, clock::now());
    let (session_id, token) = (id::new("ses"), OpaqueToken::generate()?);
    let mut tx = db.begin().await?;
    if !store::users::confirm_password_hash(&mut tx, &user.id, &known_hash, &hash).await? {
        // Somebody has chosen another password since it was looked at, and ended every session.
        return Err(AuthError::InvalidCredentials);
    }
    store::sessions::open(&mut tx, &user.id, &session_id, &token, client, now).await?;
    let subject = Subject::user(&user.id).in_session(&session_id);
    store::audit::record(&mut tx, AuditKind::SignedIn, subject, client).await?;
    tx.commit().await?;
    let keep = if body.cookie { Keep::Cookie } else { Keep::Client };
    let (tokens, headers) = Tokens::issue(key, &user.id, &session_id, token, keep, now)?;
    Ok((SignedIn { tokens, user }, headers))
}

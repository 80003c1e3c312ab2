//! POST /v1/signin/second-factor

use axum::{Json, extract::State};
use http::HeaderMap;
use serde::Deserialize;
use tracewell_kit::{
    clock,
    db::Db,
    json::ValidJson,
    problem::{ApiError, PROBLEM_JSON, Problem},
    token::SigningKey,
};
use utoipa::ToSchema;

use super::signin::count;
use crate::{
    client::Client,
    domain::AuditKind,
    error::AuthError,
    keyring::KeyRing,
    opaque::OpaqueToken,
    sealing::Sealing,
    second_factor,
    signed_in::SignedIn,
    store::{self, attempts::Target, audit::Subject, challenges::Purpose},
    tokens::Keep,
};

/// The second half of a sign-in.
#[derive(Debug, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct SecondFactor {
    /// What `POST /v1/signin` answered.
    challenge: OpaqueToken,
    /// A code of the device, or a backup code.
    #[schema(min_length = 6, max_length = 32, example = "287082")]
    code: String,
    /// Whether the refresh token goes into an `HttpOnly` cookie instead of the answer's body; for browsers.
    #[serde(default)]
    cookie: bool,
}

/// Gives the tokens of a new session for a challenge of `POST /v1/signin` and a code.
#[utoipa::path(
    post, path = "/signin/second-factor", tag = "sessions", request_body = SecondFactor,
    responses(
        (status = 200, description = "The tokens", body = SignedIn),
        (status = 400, description = "`invalid_challenge`: sign in again",
            body = Problem, content_type = PROBLEM_JSON),
        (status = 403, description = "`wrong_code` or `account_locked`",
            body = Problem, content_type = PROBLEM_JSON),
        (status = 429, description = "`too_many_attempts`: Retry-After says when to come again",
            body = Problem, content_type = PROBLEM_JSON),
    )
)]
pub(crate) async fn signin_second_factor(
    State(db): State<Db>,
    State(keys): State<KeyRing>,
    State(sealing): State<Sealing>,
    client: Client,
    ValidJson(body): ValidJson<SecondFactor>,
) -> Result<(HeaderMap, Json<SignedIn>), ApiError> {
    let user_id =
        store::challenges::user_of(&db, &body.challenge, Purpose::SecondFactor, clock::now()).await?;
    let signed_in = match user_id {
        Some(user_id) => attempt(&db, &keys.signing(), &sealing, &client, &user_id, body).await,
        None => Err(AuthError::InvalidChallenge),
    };
    count(&signed_in, |_| "success");
    let (signed_in, headers) = signed_in?;
    Ok((headers, Json(signed_in)))
}

/// Signs in unless too many codes have been wrong before.
async fn attempt(
    db: &Db,
    key: &SigningKey,
    sealing: &Sealing,
    client: &Client,
    user_id: &str,
    body: SecondFactor,
) -> Result<(SignedIn, HeaderMap), AuthError> {
    let target = Target::Codes(user_id);
    store::attempts::begin(db, &target, client, clock::now()).await?;
    let signed_in = sign_in(db, key, sealing, client, user_id, body).await;
    match signed_in {
        Err(AuthError::WrongCode) => {
            let mut tx = db.begin().await?;
            store::audit::record(&mut tx, AuditKind::SigninFailed, Subject::user(user_id), client);
            tx.commit().await?;
        }
        // Said to who has the code only.
        Err(AuthError::AccountLocked) => store::attempts::forgive_now(db, &target, client).await?,
        _ => {}
    }
    signed_in
}

async fn sign_in(
    db: &Db,
    key: &SigningKey,
    sealing: &Sealing,
    client: &Client,
    user_id: &str,
    body: SecondFactor,
) -> Result<(SignedIn, HeaderMap), AuthError> {
    let mut tx = db.begin().await?;
    let account = store::users::hold(&mut tx, user_id)
        .await?
        .ok_or(AuthError::InvalidChallenge)?;
    // A wrong code gives the challenge back, since the transaction ends with it.
    store::challenges::take(&mut tx, &body.challenge, Purpose::SecondFactor, clock::now())
        .await?
        .ok_or(AuthError::InvalidChallenge)?;
    second_factor::take_code(&mut tx, sealing, client, user_id, &body.code).await?;
    let user = account.unless_locked()?;
    store::attempts::forgive(&mut tx, &Target::Codes(user_id), client).await?;
    SignedIn::finish(tx, key, client, user, Keep::of_browser(body.cookie)).await
}

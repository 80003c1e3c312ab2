//! POST /v1/signin/passkey/options and POST /v1/signin/passkey

use std::sync::Arc;

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

use crate::{
    client::Client,
    domain::AuditKind,
    error::AuthError,
    keyring::KeyRing,
    opaque::OpaqueToken,
    passkey::{Assertion, CEREMONY, RelyingParty, RequestOptions},
    routes::signin::count,
    signed_in::SignedIn,
    store::{self, audit::Subject, challenges::Purpose, passkeys::Use},
    tokens::Keep,
};

/// A passkey that was used.
#[derive(Debug, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct PasskeySignin {
    /// What `navigator.credentials.get` gave, as its `toJSON()` writes it.
    credential: Assertion,
    /// Whether the refresh token goes into an `HttpOnly` cookie instead of the answer's body; for browsers.
    #[serde(default)]
    cookie: bool,
}

/// Gives what a browser uses a passkey by: `navigator.credentials.get`. Nobody need say who they are.
#[utoipa::path(
    post, path = "/signin/passkey/options", tag = "passkeys",
    responses((status = 200, description = "The options", body = RequestOptions))
)]
pub(crate) async fn signin_passkey_options(
    State(db): State<Db>,
    State(relying_party): State<Arc<RelyingParty>>,
) -> Result<Json<RequestOptions>, ApiError> {
    let challenge = OpaqueToken::generate().map_err(AuthError::from)?;
    let mut tx = db.begin().await?;
    let end = clock::now() + CEREMONY;
    store::challenges::insert(&mut tx, &challenge, Purpose::PasskeySignin, None, end);
    tx.commit().await?;
    Ok(Json(relying_party.request_options(challenge)))
}

/// Gives the tokens of a new session for a passkey. It stands for both factors, so no code is asked for.
#[utoipa::path(
    post, path = "/signin/passkey", tag = "passkeys", request_body = PasskeySignin,
    responses(
        (status = 200, description = "The tokens", body = SignedIn),
        (status = 400, description = "`invalid_challenge` or `invalid_passkey`",
            body = Problem, content_type = PROBLEM_JSON),
        (status = 401, description = "`unknown_passkey`", body = Problem, content_type = PROBLEM_JSON),
        (status = 403, description = "`passkey_cloned` or `account_locked`",
            body = Problem, content_type = PROBLEM_JSON),
    )
)]
pub(crate) async fn signin_passkey(
    State(db): State<Db>,
    State(keys): State<KeyRing>,
    State(relying_party): State<Arc<RelyingParty>>,
    client: Client,
    ValidJson(body): ValidJson<PasskeySignin>,
) -> Result<(HeaderMap, Json<SignedIn>), ApiError> {
    let signed_in = sign_in(&db, &keys.signing(), &relying_party, &client, body).await;
    count(&signed_in, |_| "success");
    let (signed_in, headers) = signed_in?;
    Ok((headers, Json(signed_in)))
}

async fn sign_in(
    db: &Db,
    key: &SigningKey,
    relying_party: &RelyingParty,
    client: &Client,
    body: PasskeySignin,
) -> Result<(SignedIn, HeaderMap), AuthError> {
    let now = clock::now();
    let passkey = store::passkeys::by_credential(db, body.credential.credential_id())
        .await?
        .ok_or(AuthError::UnknownPasskey)?;
    let used = relying_party.authenticate(&body.credential, &passkey)?;
    let mut tx = db.begin().await?;
    let account = store::users::hold(&mut tx, &passkey.user_id)
        .await?
        .ok_or(AuthError::UnknownPasskey)?;
    store::challenges::take(&mut tx, &used.challenge, Purpose::PasskeySignin, now)
        .await?
        .ok_or(AuthError::InvalidChallenge)?;
    match store::passkeys::note_use(&mut tx, &passkey.id, used.sign_count, now).await? {
        Use::Noted => {}
        Use::Gone => return Err(AuthError::UnknownPasskey),
        Use::Cloned => {
            let subject = Subject::user(&passkey.user_id);
            store::audit::record(&mut tx, AuditKind::PasskeyCloned, subject, client);
            tx.commit().await?;
            return Err(AuthError::PasskeyCloned);
        }
    }
    let owner = account.unless_locked()?;
    SignedIn::finish(tx, key, client, owner, Keep::of_browser(body.cookie)).await
}

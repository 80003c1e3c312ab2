//! POST /v1/me/passkeys

use std::sync::Arc;

use axum::{Json, extract::State};
use http::StatusCode;
use serde::Deserialize;
use tracewell_kit::{
    clock,
    db::Db,
    id,
    json::ValidJson,
    problem::{ApiError, PROBLEM_JSON, Problem},
};
use utoipa::ToSchema;

use crate::{
    account_change,
    caller::Caller,
    client::Client,
    domain::{AuditKind, MOST_PASSKEYS, MailKind, Passkey},
    error::AuthError,
    mail::Mailer,
    passkey::{Registration, RelyingParty},
    refusals::CallerRefused,
    store::{self, challenges::Purpose},
};

/// A passkey that a browser has made.
#[derive(Debug, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct NewPasskey {
    /// What to call it.
    #[schema(min_length = 1, max_length = 100, example = "Ada's phone")]
    name: String,
    /// What `navigator.credentials.create` gave, as its `toJSON()` writes it.
    credential: Registration,
}

/// Adds a passkey, made by the options of `POST /v1/me/passkeys/options`.
#[utoipa::path(
    post, path = "/me/passkeys", tag = "passkeys", security(("bearer" = [])), request_body = NewPasskey,
    responses(
        CallerRefused,
        (status = 201, description = "The passkey", body = Passkey),
        (status = 400, description = "`invalid_challenge` or `invalid_passkey`",
            body = Problem, content_type = PROBLEM_JSON),
        (status = 409, description = "`passkey_exists` or `too_many_passkeys`", body = Problem, content_type = PROBLEM_JSON),
    )
)]
pub(crate) async fn add_passkey(
    State(db): State<Db>,
    State(relying_party): State<Arc<RelyingParty>>,
    State(mailer): State<Mailer>,
    client: Client,
    caller: Caller,
    ValidJson(body): ValidJson<NewPasskey>,
) -> Result<(StatusCode, Json<Passkey>), ApiError> {
    let (user, now) = (&caller.user, clock::now());
    let made = relying_party
        .register(&body.credential)
        .map_err(AuthError::from)?;
    let passkey = Passkey {
        id: id::new("pky"),
        name: body.name,
        created_at: now,
        last_used_at: None,
    };
    let mut tx = db.begin().await?;
    caller.hold(&mut tx).await?;
    let asked = store::challenges::take(&mut tx, &made.challenge, Purpose::PasskeyRegistration, now).await?;
    if asked != Some(Some(user.id.clone())) {
        return Err(AuthError::InvalidChallenge.into());
    }
    if store::passkeys::credential_ids(&mut tx, &user.id).await?.len() >= MOST_PASSKEYS {
        return Err(AuthError::TooManyPasskeys.into());
    }
    if !store::passkeys::insert(&mut tx, &user.id, &passkey, &made).await? {
        return Err(AuthError::PasskeyExists.into());
    }
    let (change, mail) = (AuditKind::PasskeyAdded, MailKind::SigninMethodsChanged);
    account_change::finish(tx, &caller, &client, &mailer, change, mail).await?;
    Ok((StatusCode::CREATED, Json(passkey)))
}

//! POST /v1/me/passkeys/options

use std::sync::Arc;

use axum::{Json, extract::State};
use base64::{Engine as _, prelude::BASE64_URL_SAFE_NO_PAD};
use serde::Deserialize;
use tracewell_kit::{
    clock,
    db::Db,
    json::ValidJson,
    problem::{ApiError, PROBLEM_JSON, Problem},
};
use utoipa::ToSchema;

use crate::{
    caller::Caller,
    client::Client,
    domain::{MOST_PASSKEYS, Password},
    error::AuthError,
    hashing::Hasher,
    opaque::OpaqueToken,
    passkey::{CEREMONY, CreationOptions, RelyingParty},
    reauthenticate::reauthenticate,
    refusals::OwnerRefused,
    store::{self, challenges::Purpose},
};

/// The owner's consent to one more way in.
#[derive(Debug, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct PasskeyConsent {
    password: Password,
}

/// Gives what a browser makes a passkey by: `navigator.credentials.create`.
#[utoipa::path(
    post, path = "/me/passkeys/options", tag = "passkeys", security(("bearer" = [])), request_body = PasskeyConsent,
    responses(
        OwnerRefused,
        (status = 200, description = "The options", body = CreationOptions),
        (status = 409, description = "`too_many_passkeys`", body = Problem, content_type = PROBLEM_JSON),
    )
)]
pub(crate) async fn passkey_options(
    State(db): State<Db>,
    State(hasher): State<Hasher>,
    State(relying_party): State<Arc<RelyingParty>>,
    client: Client,
    caller: Caller,
    ValidJson(body): ValidJson<PasskeyConsent>,
) -> Result<Json<CreationOptions>, ApiError> {
    reauthenticate(&db, &hasher, &caller, &client, body.password).await?;
    let user = &caller.user;
    let ids = store::passkeys::credential_ids(&db, &user.id).await?;
    if ids.len() >= MOST_PASSKEYS {
        return Err(AuthError::TooManyPasskeys.into());
    }
    let existing = ids.iter().filter_map(|id| BASE64_URL_SAFE_NO_PAD.decode(id).ok());
    let challenge = OpaqueToken::generate().map_err(AuthError::from)?;
    let end = clock::now() + CEREMONY;
    let mut tx = db.begin().await?;
    store::challenges::insert(
        &mut tx,
        &challenge,
        Purpose::PasskeyRegistration,
        Some(&user.id),
        end,
    );
    tx.commit().await?;
    let options = relying_party.creation_options(challenge, user, existing.collect());
    Ok(Json(options))
}

//! POST /v1/me/totp

use axum::{Json, extract::State};
use http::StatusCode;
use serde::Serialize;
use tracewell_kit::{
    clock,
    db::Db,
    json::ValidJson,
    problem::{ApiError, PROBLEM_JSON, Problem},
};
use utoipa::ToSchema;

use super::Consent;
use crate::{
    caller::Caller, client::Client, domain::TotpSecret, error::AuthError, hashing::Hasher,
    reauthenticate::reauthenticate, refusals::OwnerRefused, sealing::Sealing, second_factor, store,
};

/// What a device is set up with. It is shown this one time.
#[derive(Debug, Serialize, ToSchema)]
pub(crate) struct TotpSetup {
    /// To be typed into the authenticator app.
    #[schema(example = "GEZDGNBVGY3TQOJQGEZDGNBVGY3TQOJQ")]
    secret: String,
    /// To be scanned by it as a QR code.
    #[schema(
        example = "otpauth://totp/Tracewell:ada%40example%2Ecom?secret=GEZDGNBVGY3TQOJQGEZDGNBVGY3TQOJQ&issuer=Tracewell"
    )]
    uri: String,
}

/// Begins to set up a device for one-time passwords (RFC 6238: SHA-1, six digits, 30 seconds).
///
/// Signing in takes no code until `POST /v1/me/totp/confirm` has shown that the device makes right ones. Begun again
/// before that, the secret of the first time is void.
#[utoipa::path(
    post, path = "/me/totp", tag = "second factor", security(("bearer" = [])), request_body = Consent,
    responses(
        OwnerRefused,
        (status = 201, description = "The secret", body = TotpSetup),
        (status = 409, description = "`totp_enabled`", body = Problem, content_type = PROBLEM_JSON),
    )
)]
pub(crate) async fn begin(
    State(db): State<Db>,
    State(hasher): State<Hasher>,
    State(sealing): State<Sealing>,
    client: Client,
    caller: Caller,
    ValidJson(body): ValidJson<Consent>,
) -> Result<(StatusCode, Json<TotpSetup>), ApiError> {
    reauthenticate(&db, &hasher, &caller, &client, body.password).await?;
    let user = &caller.user;
    let secret = TotpSecret::generate().map_err(AuthError::from)?;
    let sealed = second_factor::seal(&sealing, &user.id, &secret).map_err(AuthError::from)?;
    let mut tx = db.begin().await?;
    caller.hold(&mut tx).await?;
    if !store::totp::begin(&mut tx, &user.id, sealed, clock::now()).await? {
        return Err(AuthError::TotpEnabled.into());
    }
    tx.commit().await?;
    let setup = TotpSetup {
        secret: secret.to_base32(),
        uri: secret.to_uri(&user.email),
    };
    Ok((StatusCode::CREATED, Json(setup)))
}

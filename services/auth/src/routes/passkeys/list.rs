//! GET /v1/me/passkeys

use axum::{Json, extract::State};
use serde::Serialize;
use tracewell_kit::{db::Db, problem::ApiError};
use utoipa::ToSchema;

use crate::{caller::Caller, domain::Passkey, refusals::CallerRefused, store};

/// The caller's passkeys, oldest first.
#[derive(Debug, Serialize, ToSchema)]
pub(crate) struct Passkeys {
    passkeys: Vec<Passkey>,
}

/// Lists the caller's passkeys.
#[utoipa::path(
    get, path = "/me/passkeys", tag = "passkeys", security(("bearer" = [])),
    responses(CallerRefused, (status = 200, description = "The passkeys", body = Passkeys))
)]
pub(crate) async fn list_passkeys(State(db): State<Db>, caller: Caller) -> Result<Json<Passkeys>, ApiError> {
    let passkeys = store::passkeys::of_user(&db, &caller.user.id).await?;
    Ok(Json(Passkeys { passkeys }))
}

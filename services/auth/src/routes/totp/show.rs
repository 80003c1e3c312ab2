//! GET /v1/me/totp

use axum::{Json, extract::State};
use jiff::Timestamp;
use serde::Serialize;
use tracewell_kit::{db::Db, problem::ApiError};
use utoipa::ToSchema;

use crate::{caller::Caller, refusals::CallerRefused, store};

/// Whether signing in takes a one-time password.
#[derive(Debug, Serialize, ToSchema)]
pub(crate) struct TotpState {
    /// Since when; null: it does not.
    enabled_at: Option<Timestamp>,
    /// Backup codes that are left.
    #[schema(example = 10)]
    backup_codes_left: i64,
}

/// Shows whether one-time passwords are on.
#[utoipa::path(
    get, path = "/me/totp", tag = "second factor", security(("bearer" = [])),
    responses(CallerRefused, (status = 200, description = "The state", body = TotpState))
)]
pub(crate) async fn show(State(db): State<Db>, caller: Caller) -> Result<Json<TotpState>, ApiError> {
    let device = store::totp::of_user(&db, &caller.user.id).await?;
    Ok(Json(TotpState {
        enabled_at: device.and_then(|device| device.confirmed_at),
        backup_codes_left: store::totp::codes_left(&db, &caller.user.id).await?,
    }))
}

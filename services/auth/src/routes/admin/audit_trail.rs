//! GET /v1/admin/users/{id}/audit-events

use axum::{Json, extract::State};
use tracewell_kit::{
    db::Db,
    problem::{ApiError, Path, Query},
};

use crate::{caller::Admin, paging::Paging, refusals::AdminRefused, routes::audit_trail::AuditTrail};

/// Lists what happened to an account, also to one that was deleted.
#[utoipa::path(
    get, path = "/admin/users/{id}/audit-events", tag = "admin", security(("bearer" = [])),
    params(("id" = String, Path, description = "Id of the account", max_length = 64), Paging),
    responses(
        AdminRefused,
        (status = 200, description = "The events", body = AuditTrail),
    )
)]
pub(crate) async fn audit_trail_of(
    State(db): State<Db>,
    _: Admin,
    Path(id): Path<String>,
    Query(paging): Query<Paging>,
) -> Result<Json<AuditTrail>, ApiError> {
    Ok(Json(AuditTrail::page(&db, id, paging).await?))
}

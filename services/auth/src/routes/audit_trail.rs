//! GET /v1/me/audit-events

use axum::{Json, extract::State};
use serde::Serialize;
use tracewell_kit::{
    db::Db,
    problem::{ApiError, Query},
};
use utoipa::ToSchema;

use crate::{
    caller::Caller,
    domain::AuditEvent,
    paging::{self, Paging},
    refusals::CallerRefused,
    store,
};

/// A page of an audit trail, newest first.
#[derive(Debug, Serialize, ToSchema)]
pub(crate) struct AuditTrail {
    events: Vec<AuditEvent>,
    /// `after` of the next page, if there is one.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(example = "evt_0198f3c1a5b27c3e9d4f5a6b7c8d9e0f")]
    next: Option<String>,
}

impl AuditTrail {
    pub(super) async fn page(db: &Db, user_id: String, paging: Paging) -> Result<Self, ApiError> {
        let (after, limit) = paging.resolve();
        let mut events = store::audit::of_user(db, user_id, after, i64::from(limit) + 1).await?;
        let next = paging::cut(&mut events, limit, |event| &event.id);
        Ok(Self { events, next })
    }
}

/// Lists what happened to the caller's account.
#[utoipa::path(
    get, path = "/me/audit-events", tag = "accounts", security(("bearer" = [])), params(Paging),
    responses(
        CallerRefused,
        (status = 200, description = "The events", body = AuditTrail),
    )
)]
pub(crate) async fn audit_trail(
    State(db): State<Db>,
    caller: Caller,
    Query(paging): Query<Paging>,
) -> Result<Json<AuditTrail>, ApiError> {
    Ok(Json(AuditTrail::page(&db, caller.user.id, paging).await?))
}

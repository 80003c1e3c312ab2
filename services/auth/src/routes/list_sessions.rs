//! GET /v1/sessions

use axum::{Json, extract::State};
use serde::Serialize;
use tracewell_kit::{
    clock,
    db::Db,
    problem::{ApiError, Query},
};
use utoipa::ToSchema;

use crate::{
    caller::Caller,
    domain::Session,
    paging::{self, Paging},
    refusals::CallerRefused,
    store,
};

/// A page of the caller's sessions, newest first.
#[derive(Debug, Serialize, ToSchema)]
pub(crate) struct Sessions {
    sessions: Vec<Session>,
    /// `after` of the next page, if there is one.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(example = "ses_0198f3c1a5b27c3e9d4f5a6b7c8d9e0f")]
    next: Option<String>,
}

/// Lists where the caller is signed in.
#[utoipa::path(
    get, path = "/sessions", tag = "sessions", security(("bearer" = [])), params(Paging),
    responses(
        CallerRefused,
        (status = 200, description = "The sessions", body = Sessions, links(
            ("revoke" = (operation_id = "revoke_session", description = "End the newest session",
                parameters(("id" = "$response.body#/sessions/0/id")))),
        )),
    )
)]
pub(crate) async fn list_sessions(
    State(db): State<Db>,
    caller: Caller,
    Query(paging): Query<Paging>,
) -> Result<Json<Sessions>, ApiError> {
    let (after, limit) = paging.resolve();
    let (user, current, most) = (&caller.user.id, &caller.session_id, i64::from(limit) + 1);
    let mut sessions = store::sessions::of_user(&db, user, current, after, most, clock::now()).await?;
    let next = paging::cut(&mut sessions, limit, |session| &session.id);
    Ok(Json(Sessions { sessions, next }))
}

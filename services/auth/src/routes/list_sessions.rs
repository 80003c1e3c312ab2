//! GET /v1/sessions

use axum::{Json, extract::State};
use serde::Serialize;
use tracewell_kit::{clock, db::Db, problem::ApiError};
use utoipa::ToSchema;

use crate::{caller::Caller, domain::Session, refusals::CallerRefused, store};

/// The caller's sessions, newest first.
#[derive(Debug, Serialize, ToSchema)]
pub(crate) struct Sessions {
    sessions: Vec<Session>,
}

/// Lists where the caller is signed in.
#[utoipa::path(
    get, path = "/sessions", tag = "sessions", security(("bearer" = [])),
    responses(
        CallerRefused,
        (status = 200, description = "The sessions", body = Sessions, links(
            ("revoke" = (operation_id = "revoke_session", description = "End the newest session",
                parameters(("id" = "$response.body#/sessions/0/id")))),
        )),
    )
)]
pub(crate) async fn list_sessions(State(db): State<Db>, caller: Caller) -> Result<Json<Sessions>, ApiError> {
    let sessions = store::sessions::of_user(&db, &caller.user.id, &caller.session_id, clock::now()).await?;
    Ok(Json(Sessions { sessions }))
}

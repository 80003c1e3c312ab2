//! DELETE /v1/sessions/{id}

use axum::extract::State;
use http::StatusCode;
use tracewell_kit::{
    clock,
    db::Db,
    problem::{ApiError, PROBLEM_JSON, Path, Problem},
};

use crate::{
    caller::Caller,
    client::Client,
    domain::AuditKind,
    refusals::CallerRefused,
    store::{self, audit::Subject},
};

/// Ends one of the caller's sessions.
#[utoipa::path(
    delete, path = "/sessions/{id}", tag = "sessions", security(("bearer" = [])),
    params(("id" = String, Path, description = "Id of the session", max_length = 64)),
    responses(
        CallerRefused,
        (status = 204, description = "The session has ended"),
        (status = 404, description = "`not_found`: no session of the caller that goes on",
            body = Problem, content_type = PROBLEM_JSON),
    )
)]
pub(crate) async fn revoke_session(
    State(db): State<Db>,
    client: Client,
    caller: Caller,
    Path(id): Path<String>,
) -> Result<StatusCode, ApiError> {
    let mut tx = db.begin().await?;
    if !store::sessions::revoke(&mut tx, &caller.user.id, &id, clock::now()).await? {
        return Err(ApiError::not_found(
            "you have no session with this id that goes on",
        ));
    }
    let subject = Subject::user(&caller.user.id).in_session(&id);
    store::audit::record(&mut tx, AuditKind::SessionRevoked, subject, &client);
    tx.commit().await?;
    Ok(StatusCode::NO_CONTENT)
}

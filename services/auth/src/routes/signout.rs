//! POST /v1/signout

use axum::extract::State;
use http::{HeaderName, HeaderValue, StatusCode, header};
use tracewell_kit::{clock, db::Db, problem::ApiError};

use crate::{
    caller::Caller,
    client::Client,
    cookie,
    domain::AuditKind,
    refusals::CallerRefused,
    store::{self, audit::Subject},
};

/// Ends the caller's session, and takes away the cookie of a browser.
///
/// The access token that is still out goes on at other services until it expires, ten minutes at most.
#[utoipa::path(
    post, path = "/signout", tag = "sessions", security(("bearer" = [])),
    responses(
        CallerRefused,
        (status = 204, description = "The session has ended"),
    )
)]
pub(crate) async fn signout(
    State(db): State<Db>,
    client: Client,
    caller: Caller,
) -> Result<(StatusCode, [(HeaderName, HeaderValue); 1]), ApiError> {
    let mut tx = db.begin().await?;
    store::sessions::revoke(&mut tx, &caller.user.id, &caller.session_id, clock::now()).await?;
    let subject = Subject::user(&caller.user.id).in_session(&caller.session_id);
    store::audit::record(&mut tx, AuditKind::SignedOut, subject, &client);
    tx.commit().await?;
    Ok((StatusCode::NO_CONTENT, [(header::SET_COOKIE, cookie::CLEAR)]))
}

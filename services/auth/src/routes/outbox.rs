//! GET /debug/mail beside the metrics, there with `DEBUG_MAIL=1` only: the mails have tokens in them.

use axum::{Json, extract::State};
use tracewell_kit::{db::Db, problem::ApiError};

use crate::store::{self, mails::OutboxMail};

/// The latest mails of the outbox, newest first.
pub(crate) async fn outbox(State(db): State<Db>) -> Result<Json<Vec<OutboxMail>>, ApiError> {
    Ok(Json(store::mails::latest(&db).await?))
}

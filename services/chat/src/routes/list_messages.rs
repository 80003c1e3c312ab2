//! GET /v1/conversations/{id}/messages

use axum::{Json, extract::State};
use serde::{Deserialize, Serialize};
use tracewell_kit::{
    auth::CurrentUser,
    db::Db,
    problem::{ApiError, PROBLEM_JSON, Path, Problem, Query},
};
use utoipa::{IntoParams, ToSchema};

use crate::{
    domain::{Message, Page, Range},
    store,
};

/// How many messages a page has unless asked otherwise.
const DEFAULT_LIMIT: u16 = 50;

/// Which messages: from the first after `after_seq` on or, with `before_seq` alone, from the last before it
/// back.
#[derive(Debug, Deserialize, IntoParams)]
#[into_params(parameter_in = Query)]
pub(crate) struct Window {
    /// Only messages after this `seq`.
    #[param(minimum = 0)]
    after_seq: Option<i64>,
    /// Only messages before this `seq`.
    #[param(minimum = 0)]
    before_seq: Option<i64>,
    /// How many at most; 50 unless said.
    #[param(minimum = 1, maximum = 200)]
    limit: Option<u16>,
}

/// A page of messages, in order of `seq`.
#[derive(Debug, Serialize, ToSchema)]
pub(crate) struct MessagePage {
    messages: Vec<Message>,
    /// `after_seq` of the next page, if there is one.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(example = 42)]
    next_after_seq: Option<i64>,
    /// `before_seq` of the next page back, if there is one and the question went back.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(example = 42)]
    next_before_seq: Option<i64>,
}

/// Lists messages of a conversation.
#[utoipa::path(
    get, path = "/conversations/{id}/messages", tag = "messages", security(("bearer" = [])),
    params(("id" = String, Path, description = "Id of the conversation", max_length = 64), Window),
    responses(
        (status = 200, description = "The messages", body = MessagePage),
        (status = 404, description = "`not_found`: no conversation of the caller", body = Problem, content_type = PROBLEM_JSON),
    )
)]
pub(crate) async fn list_messages(
    State(db): State<Db>,
    caller: CurrentUser,
    Path(conversation_id): Path<String>,
    Query(window): Query<Window>,
) -> Result<Json<MessagePage>, ApiError> {
    store::conversations::require_member(&db, &conversation_id, &caller.id).await?;
    let range = Range::new(window.after_seq, window.before_seq);
    let limit = window.limit.unwrap_or(DEFAULT_LIMIT);
    let Page {
        messages,
        next_after_seq,
        next_before_seq,
    } = store::messages::page(&db, &conversation_id, range, limit).await?;
    Ok(Json(MessagePage {
        messages,
        next_after_seq,
        next_before_seq,
    }))
}

//! POST /v1/conversations/{id}/messages

use std::sync::LazyLock;

use axum::{Json, extract::State};
use http::StatusCode;
use serde::Deserialize;
use tracewell_kit::{
    auth::CurrentUser,
    clock,
    db::Db,
    id,
    json::ValidJson,
    problem::{ApiError, PROBLEM_JSON, Path, Problem},
};
use tracewell_telemetry::{Counter, counter};
use utoipa::ToSchema;

use crate::{
    domain::Message,
    store::messages::{self, Draft, Sent},
};

static MESSAGES: LazyLock<Counter> = LazyLock::new(|| counter("chat.messages", "Messages sent, by outcome."));

/// A new message.
#[derive(Debug, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct NewMessage {
    /// What is said.
    #[schema(min_length = 1, max_length = 8000, example = "Noon at the usual place?")]
    body: String,
    /// An id of the sender's own making. Sending it again makes no second message.
    #[schema(min_length = 1, max_length = 64, example = "6f2b1c9a-1")]
    client_msg_id: String,
}

/// Says something in a conversation. Sending the same `client_msg_id` again gives the first message.
///
/// So it takes no `Idempotency-Key`: `client_msg_id` is one, which is known for as long as the message is there.
#[utoipa::path(
    post, path = "/conversations/{id}/messages", tag = "messages", security(("bearer" = [])), request_body = NewMessage,
    params(("id" = String, Path, description = "Id of the conversation", max_length = 64)),
    responses(
        (status = 201, description = "The message", body = Message),
        (status = 200, description = "The message, as an earlier request made it", body = Message),
        (status = 404, description = "`not_found`: no conversation of the caller", body = Problem, content_type = PROBLEM_JSON),
    )
)]
pub(crate) async fn send_message(
    State(db): State<Db>,
    caller: CurrentUser,
    Path(conversation_id): Path<String>,
    ValidJson(body): ValidJson<NewMessage>,
) -> Result<(StatusCode, Json<Message>), ApiError> {
    let draft = Draft {
        id: id::new("msg"),
        conversation_id,
        sender_id: caller.id,
        client_msg_id: body.client_msg_id,
        body: body.body,
        created_at: clock::now(),
    };
    match messages::append(&db, draft).await? {
        Sent::New(message) => {
            MESSAGES.add(1, &[("outcome", "new")]);
            Ok((StatusCode::CREATED, Json(message)))
        }
        Sent::Known(message) => {
            MESSAGES.add(1, &[("outcome", "repeated")]);
            Ok((StatusCode::OK, Json(message)))
        }
    }
}

//! POST /v1/conversations

use axum::{Json, extract::State};
use http::StatusCode;
use serde::Deserialize;
use tracewell_kit::{
    clock, id,
    idempotency::{IdempotencyKey, Idempotent},
    problem::{ApiError, PROBLEM_JSON, Problem},
};
use utoipa::ToSchema;

use crate::{domain::Conversation, entitlements::Entitlements, store};

/// Id of a user.
#[derive(Debug, Deserialize, ToSchema)]
#[schema(
    pattern = "^usr_[0-9A-Za-z]{1,60}$",
    example = "usr_0198f3c1a5b27c3e9d4f5a6b7c8d9e0f"
)]
struct UserId(String);

/// A new conversation.
#[derive(Debug, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct NewConversation {
    /// What it is about.
    #[schema(min_length = 1, max_length = 200, example = "Lunch")]
    title: String,
    /// Who else is in it.
    #[serde(default)]
    #[schema(max_items = 100)]
    member_ids: Vec<UserId>,
}

/// Makes a conversation of the caller with others.
#[utoipa::path(
    post, path = "/conversations", tag = "conversations", security(("bearer" = [])), request_body = NewConversation,
    params(IdempotencyKey),
    responses(
        (status = 201, description = "The conversation", body = Conversation),
        (status = 403, description = "`plan_limit`: the plan allows no more", body = Problem, content_type = PROBLEM_JSON),
    )
)]
pub(crate) async fn create_conversation(
    State(entitlements): State<Entitlements>,
    Idempotent {
        caller,
        body,
        attempt,
    }: Idempotent<NewConversation>,
) -> Result<(StatusCode, Json<Conversation>), ApiError> {
    let limit = entitlements.max_conversations(&caller.token).await?;
    let others = body.member_ids.into_iter().map(|UserId(id)| id).collect();
    let conversation = Conversation::start(id::new("cnv"), body.title, &caller.id, others, clock::now());
    let mut effect = attempt.begin().await?;
    store::conversations::insert(effect.tx(), &caller.id, &conversation, limit).await?;
    effect.commit(StatusCode::CREATED, conversation).await
}

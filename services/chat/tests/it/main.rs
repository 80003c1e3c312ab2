//! The chat service as a client sees it: the real router on a database of its own, by HTTP.

mod alone;
mod contract;
mod conversations;
mod messages;
mod monitoring;
mod repeats;
mod with_billing;

use serde_json::{Value, json};
use tracewell_chat::Chat;
use tracewell_kit::{
    db::Engine,
    testing::{Answer, Running, Setup},
};

async fn chat(engine: Engine) -> Setup<Running> {
    Running::start_on::<Chat>(engine, &[]).await
}

async fn create(chat: &Running, token: &str, members: &[&str]) -> Setup<Answer> {
    chat.post(
        "/v1/conversations",
        token,
        &json!({"title": "Lunch", "member_ids": members}),
    )
    .await
}

/// The id of a new conversation of the token's user with `members`.
async fn conversation(chat: &Running, token: &str, members: &[&str]) -> Setup<String> {
    let made = create(chat, token, members).await?;
    assert_eq!(made.status, 201, "{}", made.text);
    Ok(made.json()["id"].as_str().unwrap_or_default().to_owned())
}

async fn send(chat: &Running, token: &str, id: &str, client_msg_id: &str) -> Setup<Answer> {
    let body = json!({"body": format!("I am {client_msg_id}"), "client_msg_id": client_msg_id});
    chat.post(&format!("/v1/conversations/{id}/messages"), token, &body)
        .await
}

fn seqs(page: &Value) -> Vec<i64> {
    let messages = page["messages"].as_array().cloned().unwrap_or_default();
    messages
        .iter()
        .filter_map(|message| message["seq"].as_i64())
        .collect()
}

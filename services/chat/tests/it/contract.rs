//! What holds for every endpoint.

use tracewell_chat::Chat;
use tracewell_kit::testing::{Setup, assert_committed, assert_contract};

use crate::chat;

#[tokio::test]
async fn every_endpoint_refuses_what_it_must() -> Setup<()> {
    let chat = chat().await?;
    let token = chat.own_token("usr_ada")?;
    assert_contract::<Chat>(&chat, &token).await
}

#[test]
fn the_committed_document_is_the_codes() {
    assert_committed::<Chat>(include_str!("../../openapi.json"));
}

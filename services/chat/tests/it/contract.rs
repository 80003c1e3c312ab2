//! What holds for every endpoint.

use rstest::rstest;
use tracewell_chat::Chat;
use tracewell_kit::{
    db::Engine::{self, Postgres, Sqlite},
    testing::{Setup, assert_committed, assert_contract},
};

use crate::chat;

#[rstest]
#[tokio::test]
async fn every_endpoint_refuses_what_it_must(#[values(Sqlite, Postgres)] engine: Engine) -> Setup<()> {
    let chat = chat(engine).await?;
    let token = chat.own_token("usr_ada")?;
    assert_contract::<Chat>(&chat, &token).await
}

#[test]
fn the_committed_document_is_the_codes() {
    assert_committed::<Chat>(include_str!("../../openapi.json"));
}

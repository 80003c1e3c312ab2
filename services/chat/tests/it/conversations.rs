//! Conversations and who may see them.

use rstest::rstest;
use serde_json::json;
use tracewell_kit::{
    db::Engine::{self, Postgres, Sqlite},
    testing::Setup,
};

use crate::{chat, conversation, create, send};

#[rstest]
#[tokio::test]
async fn a_conversation_has_its_maker_and_the_others(
    #[values(Sqlite, Postgres)] engine: Engine,
) -> Setup<()> {
    let chat = chat(engine).await?;
    let made = create(
        &chat,
        &chat.own_token("usr_bob")?,
        &["usr_cy", "usr_ada", "usr_cy"],
    )
    .await?;
    assert_eq!(made.status, 201, "{}", made.text);
    let made = made.json();
    assert!(made["id"].as_str().is_some_and(|id| id.starts_with("cnv_")));
    assert_eq!((&made["title"], &made["last_seq"]), (&json!("Lunch"), &json!(0)));
    assert_eq!(made["member_ids"], json!(["usr_ada", "usr_bob", "usr_cy"]));
    Ok(())
}

#[rstest]
#[tokio::test]
async fn to_strangers_a_conversation_does_not_exist(#[values(Sqlite, Postgres)] engine: Engine) -> Setup<()> {
    let chat = chat(engine).await?;
    let (ada, eve) = (chat.own_token("usr_ada")?, chat.own_token("usr_eve")?);
    let id = conversation(&chat, &ada, &[]).await?;
    let path = format!("/v1/conversations/{id}/messages");
    chat.get(&path, &eve).await?.assert_problem(404, "not_found");
    send(&chat, &eve, &id, "1")
        .await?
        .assert_problem(404, "not_found");
    let nowhere = send(&chat, &ada, "cnv_none", "1").await?;
    nowhere.assert_problem(404, "not_found");
    assert_eq!(chat.get(&path, &ada).await?.json(), json!({"messages": []}));
    Ok(())
}

#[rstest]
#[tokio::test]
async fn a_wrong_part_of_the_body_is_pointed_at(#[values(Sqlite, Postgres)] engine: Engine) -> Setup<()> {
    let chat = chat(engine).await?;
    let body = json!({"title": "", "member_ids": ["usr_ada", "ada@example.com"]});
    let refused = chat
        .post("/v1/conversations", &chat.own_token("usr_ada")?, &body)
        .await?;
    refused.assert_problem(422, "invalid_body");
    assert_eq!(refused.pointers(), ["/member_ids/1", "/title"]);
    Ok(())
}

#[rstest]
#[tokio::test]
async fn alone_everybody_has_the_limit_of_the_free_plan(
    #[values(Sqlite, Postgres)] engine: Engine,
) -> Setup<()> {
    let chat = chat(engine).await?;
    let ada = chat.own_token("usr_ada")?;
    for _ in 0..20 {
        conversation(&chat, &ada, &[]).await?;
    }
    create(&chat, &ada, &[]).await?.assert_problem(403, "plan_limit");
    conversation(&chat, &chat.own_token("usr_bob")?, &["usr_ada"]).await?;
    Ok(())
}

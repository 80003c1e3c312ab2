//! Messages: order, idempotence, pages.

use std::collections::BTreeSet;

use rstest::rstest;
use serde_json::json;
use tracewell_kit::{
    db::Engine::{self, Postgres, Sqlite},
    testing::Setup,
};

use crate::{chat, conversation, send, seqs};

#[rstest]
#[tokio::test]
async fn a_message_is_read_by_every_member(#[values(Sqlite, Postgres)] engine: Engine) -> Setup<()> {
    let chat = chat(engine).await?;
    let (ada, bob) = (chat.own_token("usr_ada")?, chat.own_token("usr_bob")?);
    let id = conversation(&chat, &ada, &["usr_bob"]).await?;
    let sent = send(&chat, &ada, &id, "a-1").await?;
    assert_eq!(sent.status, 201, "{}", sent.text);
    let message = sent.json();
    assert_eq!(
        (&message["seq"], &message["sender_id"]),
        (&json!(1), &json!("usr_ada"))
    );
    let read = chat
        .get(&format!("/v1/conversations/{id}/messages"), &bob)
        .await?
        .json();
    assert_eq!(read, json!({"messages": [message]}));
    Ok(())
}

#[rstest]
#[tokio::test]
async fn a_repeated_send_gives_the_first_message(#[values(Sqlite, Postgres)] engine: Engine) -> Setup<()> {
    let chat = chat(engine).await?;
    let (ada, bob) = (chat.own_token("usr_ada")?, chat.own_token("usr_bob")?);
    let id = conversation(&chat, &ada, &["usr_bob"]).await?;
    let first = send(&chat, &ada, &id, "a-1").await?;
    let again = send(&chat, &ada, &id, "a-1").await?;
    assert_eq!((again.status.as_u16(), again.json()), (200, first.json()));
    // Another sender's ids are another sender's.
    assert_eq!(send(&chat, &bob, &id, "a-1").await?.status, 201);
    Ok(())
}

#[rstest]
#[tokio::test]
async fn a_message_sent_several_times_at_once_is_one(
    #[values(Sqlite, Postgres)] engine: Engine,
) -> Setup<()> {
    let chat = chat(engine).await?;
    let ada = chat.own_token("usr_ada")?;
    let id = conversation(&chat, &ada, &[]).await?;
    // Several rounds: in the first one the requests still queue for connections to the database.
    for seq in 1..=5 {
        let name = format!("a-{seq}");
        let answers = futures::future::try_join_all((0..8).map(|_| send(&chat, &ada, &id, &name))).await?;
        let mut statuses: Vec<_> = answers.iter().map(|answer| answer.status.as_u16()).collect();
        statuses.sort_unstable();
        assert_eq!(statuses, [200, 200, 200, 200, 200, 200, 200, 201]);
        assert!(answers.iter().all(|answer| answer.json() == answers[0].json()));
        // The tries that found it gave their places back.
        assert_eq!(answers[0].json()["seq"], seq);
    }
    Ok(())
}

#[rstest]
#[tokio::test]
async fn messages_sent_at_once_have_places_without_gaps(
    #[values(Sqlite, Postgres)] engine: Engine,
) -> Setup<()> {
    let chat = chat(engine).await?;
    let ada = chat.own_token("usr_ada")?;
    let id = conversation(&chat, &ada, &[]).await?;
    let names: Vec<_> = (0..10).map(|n| format!("a-{n}")).collect();
    let sends = names.iter().map(|name| send(&chat, &ada, &id, name));
    let answers = futures::future::try_join_all(sends).await?;
    let places: BTreeSet<_> = answers
        .iter()
        .filter_map(|answer| answer.json()["seq"].as_i64())
        .collect();
    assert_eq!(places, (1..=10).collect());
    Ok(())
}

#[rstest]
#[tokio::test]
async fn pages_cover_a_conversation_in_both_directions(
    #[values(Sqlite, Postgres)] engine: Engine,
) -> Setup<()> {
    let chat = chat(engine).await?;
    let ada = chat.own_token("usr_ada")?;
    let id = conversation(&chat, &ada, &[]).await?;
    for n in 0..5 {
        send(&chat, &ada, &id, &n.to_string()).await?;
    }
    let page = async |query: &str| {
        Ok::<_, Box<dyn std::error::Error + Send + Sync>>(
            chat.get(&format!("/v1/conversations/{id}/messages?{query}"), &ada)
                .await?
                .json(),
        )
    };
    let first = page("limit=2").await?;
    assert_eq!((seqs(&first), &first["next_after_seq"]), (vec![1, 2], &json!(2)));
    let last = page("limit=3&after_seq=2").await?;
    assert_eq!((seqs(&last), last.get("next_after_seq")), (vec![3, 4, 5], None));
    let back = page("limit=2&before_seq=5").await?;
    assert_eq!((seqs(&back), &back["next_before_seq"]), (vec![3, 4], &json!(3)));
    assert_eq!(seqs(&page("before_seq=3").await?), [1, 2]);
    assert_eq!(seqs(&page("after_seq=1&before_seq=4").await?), [2, 3]);
    assert_eq!(seqs(&page("after_seq=5").await?), [0; 0]);
    Ok(())
}

#[rstest]
#[tokio::test]
async fn a_window_that_makes_no_sense_is_refused(#[values(Sqlite, Postgres)] engine: Engine) -> Setup<()> {
    let chat = chat(engine).await?;
    let ada = chat.own_token("usr_ada")?;
    let id = conversation(&chat, &ada, &[]).await?;
    for query in ["limit=0", "limit=201", "limit=many", "after_seq=x"] {
        let path = format!("/v1/conversations/{id}/messages?{query}");
        chat.get(&path, &ada).await?.assert_problem(400, "invalid_query");
    }
    Ok(())
}

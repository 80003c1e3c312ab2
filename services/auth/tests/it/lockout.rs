//! Guessing at passwords.

use http::Method;
use rstest::rstest;
use serde_json::json;
use tracewell_kit::{
    clock,
    db::{
        Db,
        Engine::{self, Postgres, Sqlite},
        query,
    },
    testing::{Answer, Running, Setup},
};

use crate::{
    PASSWORD,
    mail::{reset, reset_token},
    open_auth, sign_up, start,
};

async fn attempt(auth: &Running, address: &str, email: &str, password: &str) -> Setup<Answer> {
    let request = auth
        .request(Method::POST, "/v1/signin", "")
        .header("x-forwarded-for", address)
        .json(&json!({"email": email, "password": password}));
    auth.send(request).await
}

#[rstest]
#[tokio::test]
async fn guesses_are_delayed_for_known_and_unknown_accounts_alike(
    #[values(Sqlite, Postgres)] engine: Engine,
) -> Setup<()> {
    let auth = open_auth(engine).await?;
    sign_up(&auth, "ada@example.com").await?;
    for email in ["ada@example.com", "nobody@example.com"] {
        for _ in 0..5 {
            attempt(&auth, "203.0.113.7", email, "not the password")
                .await?
                .assert_problem(401, "invalid_credentials");
        }
        // Refused before the password is looked at.
        let refused = attempt(&auth, "203.0.113.7", email, PASSWORD).await?;
        refused.assert_problem(429, "too_many_attempts");
        assert!(["1", "2"].contains(&refused.headers["retry-after"].to_str()?));
    }
    // The owner, somewhere else, is not shut out.
    let owner = attempt(&auth, "198.51.100.1", "ada@example.com", PASSWORD).await?;
    assert_eq!(owner.status, 200, "{}", owner.text);
    Ok(())
}

#[rstest]
#[tokio::test]
async fn guesses_at_once_are_not_all_the_first(#[values(Sqlite, Postgres)] engine: Engine) -> Setup<()> {
    let auth = open_auth(engine).await?;
    // Several rounds: in the first one the requests still queue for connections to the database.
    for round in 0..4 {
        let address = format!("203.0.113.{round}");
        let email = format!("ada{round}@example.com");
        let guesses = (0..12).map(|_| attempt(&auth, &address, &email, "not the password"));
        let answers = futures::future::try_join_all(guesses).await?;
        let tried = answers.iter().filter(|answer| answer.status == 401).count();
        assert_eq!(tried, 5);
    }
    Ok(())
}

#[rstest]
#[tokio::test]
async fn a_right_password_wipes_the_slate(#[values(Sqlite, Postgres)] engine: Engine) -> Setup<()> {
    let auth = open_auth(engine).await?;
    sign_up(&auth, "ada@example.com").await?;
    for _ in 0..3 {
        for _ in 0..4 {
            attempt(&auth, "203.0.113.7", "ada@example.com", "not the password").await?;
        }
        let right = attempt(&auth, "203.0.113.7", "ada@example.com", PASSWORD).await?;
        assert_eq!(right.status, 200, "{}", right.text);
    }
    Ok(())
}

#[rstest]
#[tokio::test]
async fn a_database_that_fails_gives_no_free_guesses(
    #[values(Sqlite, Postgres)] engine: Engine,
) -> Setup<()> {
    let auth = open_auth(engine).await?;
    sign_up(&auth, "ada@example.com").await?;
    // A wrong password cannot be written down any more, so each guess ends with an error.
    let db = Db::open(auth.database().url()).await?;
    let mut tx = db.begin().await?;
    query("audit_events", "ALTER TABLE audit_events RENAME TO gone")
        .execute(&mut tx)
        .await?;
    tx.commit().await?;
    for _ in 0..5 {
        attempt(&auth, "203.0.113.7", "ada@example.com", "not the password")
            .await?
            .assert_problem(500, "internal");
    }
    attempt(&auth, "203.0.113.7", "ada@example.com", "not the password")
        .await?
        .assert_problem(429, "too_many_attempts");
    Ok(())
}

#[rstest]
#[tokio::test]
async fn nobody_is_kept_out_of_where_they_have_been_in(
    #[values(Sqlite, Postgres)] engine: Engine,
) -> Setup<()> {
    let auth = open_auth(engine).await?;
    sign_up(&auth, "ada@example.com").await?;
    let at_home = async || attempt(&auth, "2001:db8:1:2::1", "ada@example.com", PASSWORD).await;
    assert_eq!(at_home().await?.status, 200);
    guessed_at(&auth, "ada@example.com").await?;
    attempt(&auth, "198.51.100.1", "ada@example.com", PASSWORD)
        .await?
        .assert_problem(429, "too_many_attempts");
    assert_eq!(at_home().await?.status, 200);
    // The same network, by another address of it; and there too a few guesses are enough.
    for _ in 0..5 {
        attempt(&auth, "2001:db8:1:2::9", "ada@example.com", "not the password")
            .await?
            .assert_problem(401, "invalid_credentials");
    }
    at_home().await?.assert_problem(429, "too_many_attempts");
    Ok(())
}

#[rstest]
#[tokio::test]
async fn a_reset_lets_its_owner_in_at_once(#[values(Sqlite, Postgres)] engine: Engine) -> Setup<()> {
    let auth = open_auth(engine).await?;
    sign_up(&auth, "ada@example.com").await?;
    guessed_at(&auth, "ada@example.com").await?;
    let token = reset_token(&auth, "ada@example.com").await?;
    assert_eq!(reset(&auth, &token, "a new password").await?.status, 204);
    let owner = attempt(&auth, "198.51.100.1", "ada@example.com", "a new password").await?;
    assert_eq!(owner.status, 200, "{}", owner.text);
    Ok(())
}

/// Many machines have guessed at the account's password.
async fn guessed_at(auth: &Running, email: &str) -> Setup<()> {
    let db = Db::open(auth.database().url()).await?;
    let mut tx = db.begin().await?;
    query(
        "failed_attempts",
        "INSERT INTO failed_attempts (scope, failures, last_at) VALUES ($1, 1000, $2)",
    )
    .bind(format!("account {email}"))
    .bind(clock::now().as_microsecond())
    .execute(&mut tx)
    .await?;
    Ok(tx.commit().await?)
}

#[tokio::test]
async fn no_client_chooses_its_address() -> Setup<()> {
    let auth = start(Sqlite, &[("HASH_COST", "m=8,t=1")]).await?;
    sign_up(&auth, "ada@example.com").await?;
    for round in 0..5 {
        attempt(
            &auth,
            &format!("203.0.113.{round}"),
            "ada@example.com",
            "not the password",
        )
        .await?;
    }
    attempt(&auth, "203.0.113.9", "ada@example.com", PASSWORD)
        .await?
        .assert_problem(429, "too_many_attempts");
    Ok(())
}

//! What ends when a password, a lock or an admin ends what somebody else may have begun.

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
    PASSWORD, SignedIn,
    admin::{admin, lock},
    mail::{confirm_change, mailed_token, mails, reset, reset_token, verify},
    open_auth,
    second_factor::{enable, remove},
    sign_in, signed_in, start,
};

/// What an owner, or an admin for them, does about somebody who knows the password.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Ending {
    Reset,
    Change,
    Lock,
    RemovalOfFactors,
}

async fn change_email(auth: &Running, user: &SignedIn, email: &str) -> Setup<Answer> {
    let body = json!({"email": email, "password": PASSWORD});
    auth.post("/v1/me/email", &user.access, &body).await
}

pub(crate) async fn change_password(auth: &Running, user: &SignedIn, new: &str) -> Setup<Answer> {
    let body = json!({"current_password": PASSWORD, "new_password": new});
    auth.post("/v1/change-password", &user.access, &body).await
}

/// Adds a passkey that no device has, past the service.
pub(crate) async fn insert_passkey(auth: &Running, user: &SignedIn, number: u32) -> Setup<()> {
    let db = Db::open(auth.database().url()).await?;
    let mut tx = db.begin().await?;
    query(
        "passkeys",
        "INSERT INTO passkeys (id, user_id, credential_id, name, public_key, sign_count, created_at) \
         VALUES ($1, $2, $1, 'theirs', '', 0, $3)",
    )
    .bind(format!("pky_{number}"))
    .bind(user.user_id.clone())
    .bind(clock::now().as_microsecond())
    .execute(&mut tx)
    .await?;
    Ok(tx.commit().await?)
}

#[rstest]
#[tokio::test]
async fn a_change_of_address_that_was_begun_ends_too(
    #[values(Sqlite, Postgres)] engine: Engine,
    #[values(Ending::Reset, Ending::Change, Ending::Lock, Ending::RemovalOfFactors)] ending: Ending,
) -> Setup<()> {
    let auth = open_auth(engine).await?;
    let ada = signed_in(&auth, "ada@example.com").await?;
    let proof = mailed_token(&auth, "ada@example.com", "verify_email").await?;
    assert_eq!(verify(&auth, &ada.access, &proof).await?.status, 204);
    let admin = admin(&auth).await?;
    if ending == Ending::RemovalOfFactors {
        enable(&auth, &ada.access).await?;
    }
    let forgotten = reset_token(&auth, "ada@example.com").await?;
    assert_eq!(change_email(&auth, &ada, "thief@example.com").await?.status, 202);
    let pending = mailed_token(&auth, "thief@example.com", "confirm_new_email").await?;
    // The owner hears of it while it can still be stopped.
    mails(&auth, "ada@example.com", "email_change_requested", 1).await?;

    let ended = match ending {
        Ending::Reset => reset(&auth, &forgotten, "a new password").await?,
        Ending::Change => change_password(&auth, &ada, "a new password").await?,
        Ending::Lock => lock(&auth, &admin, &ada.user_id, "lock").await?,
        Ending::RemovalOfFactors => remove(&auth, &admin, &ada.user_id).await?,
    };
    assert!(ended.status.is_success(), "{}", ended.text);
    if ending == Ending::Lock {
        lock(&auth, &admin, &ada.user_id, "unlock").await?;
    }
    let password = match ending {
        Ending::Reset | Ending::Change => "a new password",
        Ending::Lock | Ending::RemovalOfFactors => PASSWORD,
    };
    let again = SignedIn::read(&sign_in(&auth, "ada@example.com", password).await?)?;
    confirm_change(&auth, &again.access, &pending)
        .await?
        .assert_problem(400, "invalid_mail_token");
    reset(&auth, &forgotten, "another password")
        .await?
        .assert_problem(400, "invalid_mail_token");
    Ok(())
}

#[rstest]
#[tokio::test]
async fn a_mail_that_waits_is_not_sent_any_more(#[values(Sqlite, Postgres)] engine: Engine) -> Setup<()> {
    // A server that takes no mail, so that each waits for its next try.
    let variables = [("SMTP_URL", "smtp://127.0.0.1:9"), ("HASH_COST", "m=8,t=1")];
    let auth = start(engine, &variables).await?;
    let ada = signed_in(&auth, "ada@example.com").await?;
    assert_eq!(change_email(&auth, &ada, "thief@example.com").await?.status, 202);
    assert_eq!(change_password(&auth, &ada, "a new password").await?.status, 204);
    let db = Db::open(auth.database().url()).await?;
    let mut waiting = query("mails", "SELECT kind FROM mails")
        .all(&db, |row| row.get::<String>("kind"))
        .await?;
    waiting.sort();
    assert_eq!(waiting, ["email_change_requested", "password_changed"]);
    Ok(())
}

#[rstest]
#[tokio::test]
async fn who_signed_up_with_an_address_of_others_keeps_no_way_in(
    #[values(Sqlite, Postgres)] engine: Engine,
) -> Setup<()> {
    let auth = open_auth(engine).await?;
    let thief = signed_in(&auth, "ada@example.com").await?;
    enable(&auth, &thief.access).await?;
    insert_passkey(&auth, &thief, 1).await?;
    let token = reset_token(&auth, "ada@example.com").await?;
    assert_eq!(reset(&auth, &token, "a new password").await?.status, 204);

    let ada = SignedIn::read(&sign_in(&auth, "ada@example.com", "a new password").await?)?;
    let passkeys = auth.get("/v1/me/passkeys", &ada.access).await?;
    assert_eq!(passkeys.json(), json!({"passkeys": []}));
    let trail = auth.get("/v1/me/audit-events", &ada.access).await?.text;
    assert!(trail.contains("second_factors_removed"), "{trail}");
    Ok(())
}

#[rstest]
#[tokio::test]
async fn who_reads_the_mail_confirms_no_account_that_they_cannot_sign_in_to(
    #[values(Sqlite, Postgres)] engine: Engine,
) -> Setup<()> {
    let auth = open_auth(engine).await?;
    let grace = signed_in(&auth, "grace@example.com").await?;
    // A stranger signs up with Ada's address, and another gives it to an account of their own.
    let thief = signed_in(&auth, "ada@example.com").await?;
    let other = signed_in(&auth, "thief@example.com").await?;
    change_email(&auth, &other, "lovelace@example.com").await?;
    let proof = mailed_token(&auth, "ada@example.com", "verify_email").await?;
    let change = mailed_token(&auth, "lovelace@example.com", "confirm_new_email").await?;
    verify(&auth, "", &proof)
        .await?
        .assert_problem(401, "missing_token");
    confirm_change(&auth, "", &change)
        .await?
        .assert_problem(401, "missing_token");
    verify(&auth, &grace.access, &proof)
        .await?
        .assert_problem(400, "invalid_mail_token");
    confirm_change(&auth, &grace.access, &change)
        .await?
        .assert_problem(400, "invalid_mail_token");
    let me = auth.get("/v1/me", &thief.access).await?.json();
    assert!(me["email_verified_at"].is_null(), "{me}");
    let me = auth.get("/v1/me", &other.access).await?.json();
    assert_eq!(me["email"], "thief@example.com");
    Ok(())
}

#[rstest]
#[tokio::test]
async fn an_owner_who_had_confirmed_the_address_keeps_their_ways_in(
    #[values(Sqlite, Postgres)] engine: Engine,
) -> Setup<()> {
    let auth = open_auth(engine).await?;
    let ada = signed_in(&auth, "ada@example.com").await?;
    let proof = mailed_token(&auth, "ada@example.com", "verify_email").await?;
    assert_eq!(verify(&auth, &ada.access, &proof).await?.status, 204);
    enable(&auth, &ada.access).await?;
    insert_passkey(&auth, &ada, 1).await?;
    let token = reset_token(&auth, "ada@example.com").await?;
    assert_eq!(reset(&auth, &token, "a new password").await?.status, 204);
    assert_eq!(
        sign_in(&auth, "ada@example.com", "a new password").await?.status,
        202
    );
    Ok(())
}

#[rstest]
#[tokio::test]
async fn a_lock_holds_against_who_reads_the_mail(#[values(Sqlite, Postgres)] engine: Engine) -> Setup<()> {
    let auth = open_auth(engine).await?;
    let ada = signed_in(&auth, "ada@example.com").await?;
    let admin = admin(&auth).await?;
    lock(&auth, &admin, &ada.user_id, "lock").await?;
    let token = reset_token(&auth, "ada@example.com").await?;
    reset(&auth, &token, "a new password")
        .await?
        .assert_problem(403, "account_locked");
    // It is not spent by that.
    lock(&auth, &admin, &ada.user_id, "unlock").await?;
    assert_eq!(reset(&auth, &token, "a new password").await?.status, 204);
    Ok(())
}

#[rstest]
#[tokio::test]
async fn who_asks_for_the_cookie_in_vain_loses_it(#[values(Sqlite, Postgres)] engine: Engine) -> Setup<()> {
    let auth = open_auth(engine).await?;
    let ada = signed_in(&auth, "ada@example.com").await?;
    let refresh = auth
        .request(Method::POST, "/v1/refresh", "")
        .header("cookie", "__Host-refresh=unknown")
        .json(&json!({}));
    let refused = auth.send(refresh).await?;
    refused.assert_problem(401, "invalid_refresh_token");
    assert_cleared(&refused)?;
    let delete = auth.request(Method::DELETE, "/v1/me", &ada.access);
    let deleted = auth.send(delete.json(&json!({"password": PASSWORD}))).await?;
    assert_eq!(deleted.status, 204);
    assert_cleared(&deleted)
}

fn assert_cleared(answer: &Answer) -> Setup<()> {
    let set = answer.headers.get("set-cookie").ok_or("no cookie")?.to_str()?;
    assert!(
        set.starts_with("__Host-refresh=; ") && set.ends_with("Max-Age=0"),
        "{set}"
    );
    Ok(())
}

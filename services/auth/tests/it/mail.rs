//! What is mailed, and what the tokens in mails are good for.

use rstest::rstest;
use serde_json::{Value, json};
use tracewell_kit::{
    db::Engine::{self, Postgres, Sqlite},
    testing::{Answer, Running, Setup},
};

use crate::{PASSWORD, SignedIn, open_auth, refresh, sign_in, sign_up, signed_in, start};

/// The mails of this kind to this address, once there are as many, the latest first.
pub(crate) async fn mails(auth: &Running, recipient: &str, kind: &str, count: usize) -> Setup<Vec<Value>> {
    let deadline = std::time::Instant::now() + std::time::Duration::from_secs(10);
    loop {
        let outbox = auth.get("/debug/mail", "").await?.json();
        let found: Vec<Value> = outbox
            .as_array()
            .ok_or("no outbox")?
            .iter()
            .filter(|mail| mail["recipient"] == recipient && mail["kind"] == kind)
            .cloned()
            .collect();
        if found.len() >= count {
            return Ok(found);
        }
        if std::time::Instant::now() > deadline {
            return Err(format!("no {count} mails {kind} in {outbox}").into());
        }
        tokio::task::yield_now().await;
    }
}

/// The token in the latest mail of this kind.
pub(crate) async fn mailed_token(auth: &Running, recipient: &str, kind: &str) -> Setup<String> {
    let mails = mails(auth, recipient, kind, 1).await?;
    let text = mails[0]["text"].as_str().unwrap_or_default();
    let token = text.lines().find(|line| line.len() == 43 && !line.contains(' '));
    Ok(token.ok_or_else(|| format!("no token in {text}"))?.to_owned())
}

pub(crate) async fn verify(auth: &Running, access: &str, token: &str) -> Setup<Answer> {
    auth.post("/v1/verify-email", access, &json!({"token": token}))
        .await
}

pub(crate) async fn confirm_change(auth: &Running, access: &str, token: &str) -> Setup<Answer> {
    auth.post("/v1/confirm-email-change", access, &json!({"token": token}))
        .await
}

pub(crate) async fn reset(auth: &Running, token: &str, password: &str) -> Setup<Answer> {
    let body = json!({"token": token, "password": password});
    auth.post("/v1/reset-password", "", &body).await
}

pub(crate) async fn ask(auth: &Running, path: &str, email: &str) -> Setup<Answer> {
    auth.post(path, "", &json!({"email": email})).await
}

/// Asks for a new password, and gives the token of the mail.
pub(crate) async fn reset_token(auth: &Running, email: &str) -> Setup<String> {
    ask(auth, "/v1/forgot-password", email).await?;
    mailed_token(auth, email, "reset_password").await
}

#[rstest]
#[tokio::test]
async fn an_address_is_confirmed_once(#[values(Sqlite, Postgres)] engine: Engine) -> Setup<()> {
    let auth = open_auth(engine).await?;
    let ada = signed_in(&auth, "ada@example.com").await?;
    let token = mailed_token(&auth, "ada@example.com", "verify_email").await?;
    // Two clicks at once: one of them counts.
    let (one, other) = tokio::join!(
        verify(&auth, &ada.access, &token),
        verify(&auth, &ada.access, &token)
    );
    let mut statuses = [one?.status.as_u16(), other?.status.as_u16()];
    statuses.sort_unstable();
    assert_eq!(statuses, [204, 400]);
    verify(&auth, &ada.access, &token)
        .await?
        .assert_problem(400, "invalid_mail_token");
    let me = auth.get("/v1/me", &ada.access).await?.json();
    assert!(me["email_verified_at"].is_string(), "{me}");
    Ok(())
}

#[rstest]
#[tokio::test]
async fn a_forgotten_password_is_replaced_and_every_session_ends(
    #[values(Sqlite, Postgres)] engine: Engine,
) -> Setup<()> {
    let auth = open_auth(engine).await?;
    let ada = signed_in(&auth, "ada@example.com").await?;
    let known = ask(&auth, "/v1/forgot-password", "ada@example.com").await?;
    let unknown = ask(&auth, "/v1/forgot-password", "nobody@example.com").await?;
    assert_eq!((known.status.as_u16(), known.text.as_str()), (202, ""));
    assert_eq!((unknown.status, &unknown.text), (known.status, &known.text));

    let token = mailed_token(&auth, "ada@example.com", "reset_password").await?;
    verify(&auth, &ada.access, &token)
        .await?
        .assert_problem(400, "invalid_mail_token");
    assert_eq!(reset(&auth, &token, "a new password").await?.status, 204);
    reset(&auth, &token, "another password")
        .await?
        .assert_problem(400, "invalid_mail_token");
    auth.get("/v1/me", &ada.access)
        .await?
        .assert_problem(401, "session_ended");
    refresh(&auth, &ada.refresh)
        .await?
        .assert_problem(401, "session_ended");
    sign_in(&auth, "ada@example.com", PASSWORD)
        .await?
        .assert_problem(401, "invalid_credentials");
    assert_eq!(
        sign_in(&auth, "ada@example.com", "a new password").await?.status,
        200
    );
    mails(&auth, "ada@example.com", "password_changed", 1).await?;
    Ok(())
}

#[rstest]
#[tokio::test]
async fn no_session_by_the_old_password_outlives_a_reset(
    #[values(Sqlite, Postgres)] engine: Engine,
) -> Setup<()> {
    let auth = open_auth(engine).await?;
    for round in 0..12 {
        let email = format!("ada{round}@example.com");
        sign_up(&auth, &email).await?;
        let token = reset_token(&auth, &email).await?;
        let (signed_in, reset) = tokio::join!(
            sign_in(&auth, &email, PASSWORD),
            reset(&auth, &token, "a new password")
        );
        assert_eq!(reset?.status, 204);
        let signed_in = signed_in?;
        if signed_in.status == 200 {
            // It was first.
            let session = SignedIn::read(&signed_in)?;
            auth.get("/v1/me", &session.access)
                .await?
                .assert_problem(401, "session_ended");
        } else {
            signed_in.assert_problem(401, "invalid_credentials");
        }
    }
    Ok(())
}

#[rstest]
#[tokio::test]
async fn an_address_is_changed_by_who_reads_the_new_one(
    #[values(Sqlite, Postgres)] engine: Engine,
) -> Setup<()> {
    let auth = open_auth(engine).await?;
    let ada = signed_in(&auth, "ada@example.com").await?;
    signed_in(&auth, "bob@example.com").await?;
    let change = async |email: &str, password: &str| {
        let body = json!({"email": email, "password": password});
        auth.post("/v1/me/email", &ada.access, &body).await
    };
    let confirm = async |token: &str| confirm_change(&auth, &ada.access, token).await;
    change("ada@new.example.com", "not the password")
        .await?
        .assert_problem(403, "wrong_password");
    // Whether an address has an account is not said, and its owner is not written to.
    assert_eq!(change("bob@example.com", PASSWORD).await?.status, 202);
    assert_eq!(change("Ada@new.example.com", PASSWORD).await?.status, 202);
    let token = mailed_token(&auth, "ada@new.example.com", "confirm_new_email").await?;
    let old = mailed_token(&auth, "ada@example.com", "verify_email").await?;
    let outbox = auth.get("/debug/mail", "").await?.json();
    assert!(
        outbox
            .as_array()
            .ok_or("no outbox")?
            .iter()
            .all(|mail| { mail["recipient"] != "bob@example.com" || mail["kind"] == "verify_email" }),
        "{outbox}"
    );
    assert_eq!(
        auth.get("/v1/me", &ada.access).await?.json()["email"],
        "ada@example.com"
    );

    verify(&auth, &ada.access, &token)
        .await?
        .assert_problem(400, "invalid_mail_token");
    assert_eq!(confirm(&token).await?.status, 204);
    confirm(&token).await?.assert_problem(400, "invalid_mail_token");
    let me = auth.get("/v1/me", &ada.access).await?.json();
    assert_eq!(me["email"], "ada@new.example.com");
    assert!(me["email_verified_at"].is_string(), "{me}");
    // What was mailed to the old address is void, and it is told.
    verify(&auth, &ada.access, &old)
        .await?
        .assert_problem(400, "invalid_mail_token");
    mails(&auth, "ada@example.com", "email_changed", 1).await?;
    sign_in(&auth, "ada@example.com", PASSWORD)
        .await?
        .assert_problem(401, "invalid_credentials");
    assert_eq!(sign_in(&auth, "ada@new.example.com", PASSWORD).await?.status, 200);
    Ok(())
}

#[rstest]
#[tokio::test]
async fn of_two_who_want_an_address_one_gets_it(#[values(Sqlite, Postgres)] engine: Engine) -> Setup<()> {
    let auth = open_auth(engine).await?;
    let mut changes = Vec::new();
    for email in ["ada@example.com", "bob@example.com"] {
        let user = signed_in(&auth, email).await?;
        let body = json!({"email": "shared@example.com", "password": PASSWORD});
        auth.post("/v1/me/email", &user.access, &body).await?;
        mails(
            &auth,
            "shared@example.com",
            "confirm_new_email",
            changes.len() + 1,
        )
        .await?;
        let token = mailed_token(&auth, "shared@example.com", "confirm_new_email").await?;
        changes.push((user.access, token));
    }
    let confirm = async |(access, token): &(String, String)| confirm_change(&auth, access, token).await;
    let (one, other) = tokio::join!(confirm(&changes[0]), confirm(&changes[1]));
    let mut statuses = [one?.status.as_u16(), other?.status.as_u16()];
    statuses.sort_unstable();
    assert_eq!(statuses, [204, 409]);
    Ok(())
}

#[rstest]
#[tokio::test]
async fn an_address_cannot_be_flooded(#[values(Sqlite, Postgres)] engine: Engine) -> Setup<()> {
    let auth = open_auth(engine).await?;
    sign_up(&auth, "ada@example.com").await?;
    for _ in 0..5 {
        ask(&auth, "/v1/forgot-password", "ada@example.com").await?;
    }
    ask(&auth, "/v1/verify-email/resend", "nobody@example.com").await?;
    // Asked for last, so once it is there nothing of the others is to come.
    ask(&auth, "/v1/verify-email/resend", "ada@example.com").await?;
    mails(&auth, "ada@example.com", "verify_email", 2).await?;
    let sent = mails(&auth, "ada@example.com", "reset_password", 3).await?;
    assert_eq!(sent.len(), 3);
    let outbox = auth.get("/debug/mail", "").await?.text;
    assert!(!outbox.contains("nobody@example.com"), "{outbox}");
    Ok(())
}

#[rstest]
#[tokio::test]
async fn the_outbox_is_closed_unless_asked_for(#[values(Sqlite, Postgres)] engine: Engine) -> Setup<()> {
    // What fails on purpose is for those who operate the service; what tokens are in is for nobody.
    let auth = start(engine, &[("DEBUG_ENDPOINTS", "1")]).await?;
    auth.get("/debug/mail", "")
        .await?
        .assert_problem(404, "unknown_route");
    Ok(())
}

#[tokio::test]
async fn the_outbox_is_on_the_port_of_the_metrics() -> Setup<()> {
    let auth = start(Sqlite, &[("DEBUG_MAIL", "1"), ("METRICS_PORT", "0")]).await?;
    auth.get("/debug/mail", "")
        .await?
        .assert_problem(404, "unknown_route");
    let client = reqwest::Client::builder().no_proxy().build()?;
    let outbox = client
        .get(format!("{}/debug/mail", auth.ops_url()))
        .send()
        .await?;
    assert_eq!(
        (outbox.status().as_u16(), outbox.text().await?.as_str()),
        (200, "[]")
    );
    Ok(())
}

#[rstest]
#[tokio::test]
async fn every_change_is_told_however_many_there_are(
    #[values(Sqlite, Postgres)] engine: Engine,
) -> Setup<()> {
    let auth = open_auth(engine).await?;
    let ada = signed_in(&auth, "ada@example.com").await?;
    let passwords = [
        PASSWORD,
        "a new password",
        "a newer password",
        "a third password",
        PASSWORD,
    ];
    for [old, new] in passwords.array_windows() {
        let body = json!({"current_password": old, "new_password": new});
        let changed = auth.post("/v1/change-password", &ada.access, &body).await?;
        assert_eq!(changed.status, 204, "{}", changed.text);
    }
    mails(&auth, "ada@example.com", "password_changed", 4).await?;
    Ok(())
}

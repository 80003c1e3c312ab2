//! What admins may do, and how there comes to be one.

use std::process::Stdio;

use http::Method;
use rstest::rstest;
use tokio::io::AsyncWriteExt as _;
use tracewell_kit::{
    db::Engine::{self, Postgres, Sqlite},
    testing::{Answer, Running, Setup},
};

use crate::{
    PASSWORD, SignedIn,
    mail::{mailed_token, verify},
    open_auth, refresh, sign_in, signed_in,
};

/// Runs `create-admin` beside the running service, as an operator of it would.
async fn create_admin(auth: &Running, email: &str, password: &str) -> Setup<std::process::Output> {
    let mut child = tokio::process::Command::new(env!("CARGO_BIN_EXE_tracewell-auth"))
        .args(["create-admin", "--email", email])
        .env_clear()
        .env("DATABASE_URL", auth.database().variable())
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()?;
    let mut input = child.stdin.take().ok_or("no input")?;
    // One that does not ask for it may have closed its input by now.
    let _ = input.write_all(format!("{password}\n").as_bytes()).await;
    drop(input);
    Ok(child.wait_with_output().await?)
}

/// A signed-in admin.
pub(crate) async fn admin(auth: &Running) -> Setup<SignedIn> {
    let made = create_admin(auth, "root@example.com", PASSWORD).await?;
    assert!(made.status.success(), "{}", String::from_utf8_lossy(&made.stderr));
    SignedIn::read(&sign_in(auth, "root@example.com", PASSWORD).await?)
}

pub(crate) async fn lock(auth: &Running, admin: &SignedIn, id: &str, verb: &str) -> Setup<Answer> {
    let path = format!("/v1/admin/users/{id}/{verb}");
    auth.send(auth.request(Method::POST, &path, &admin.access)).await
}

#[rstest]
#[tokio::test]
async fn an_account_is_locked_and_unlocked(#[values(Sqlite, Postgres)] engine: Engine) -> Setup<()> {
    let auth = open_auth(engine).await?;
    let ada = signed_in(&auth, "ada@example.com").await?;
    let admin = admin(&auth).await?;
    let locked = lock(&auth, &admin, &ada.user_id, "lock").await?;
    assert!(locked.json()["locked_at"].is_string(), "{}", locked.text);
    auth.get("/v1/me", &ada.access)
        .await?
        .assert_problem(401, "session_ended");
    refresh(&auth, &ada.refresh)
        .await?
        .assert_problem(401, "session_ended");
    sign_in(&auth, "ada@example.com", PASSWORD)
        .await?
        .assert_problem(403, "account_locked");
    sign_in(&auth, "ada@example.com", "not the password")
        .await?
        .assert_problem(401, "invalid_credentials");
    let unlocked = lock(&auth, &admin, &ada.user_id, "unlock").await?;
    assert!(unlocked.json()["locked_at"].is_null(), "{}", unlocked.text);
    assert_eq!(sign_in(&auth, "ada@example.com", PASSWORD).await?.status, 200);

    let path = format!("/v1/admin/users/{}/audit-events", ada.user_id);
    let trail = auth.get(&path, &admin.access).await?.json();
    let events = trail["events"].as_array().ok_or("no events")?;
    let kinds: Vec<_> = events.iter().filter_map(|event| event["kind"].as_str()).collect();
    assert_eq!(
        kinds,
        [
            "signed_in",
            "account_unlocked",
            "signin_failed",
            "account_locked",
            "signed_in",
            "signed_up"
        ]
    );
    assert_eq!(events[1]["actor_id"], admin.user_id);
    Ok(())
}

#[rstest]
#[tokio::test]
async fn an_admin_cannot_lock_themselves_out(#[values(Sqlite, Postgres)] engine: Engine) -> Setup<()> {
    let auth = open_auth(engine).await?;
    let admin = admin(&auth).await?;
    lock(&auth, &admin, &admin.user_id, "lock")
        .await?
        .assert_problem(409, "own_account");
    lock(&auth, &admin, "usr_unknown", "lock")
        .await?
        .assert_problem(404, "not_found");
    Ok(())
}

#[rstest]
#[tokio::test]
async fn lists_come_in_pages(#[values(Sqlite, Postgres)] engine: Engine) -> Setup<()> {
    let auth = open_auth(engine).await?;
    for name in ["a", "b", "c"] {
        signed_in(&auth, &format!("{name}@example.com")).await?;
    }
    let admin = admin(&auth).await?;
    let (mut emails, mut after) = (Vec::new(), String::new());
    loop {
        let path = format!("/v1/admin/users?limit=2&after={after}");
        let page = auth.get(&path, &admin.access).await?.json();
        let users = page["users"].as_array().ok_or("no users")?;
        assert!(users.len() <= 2);
        emails.extend(
            users
                .iter()
                .filter_map(|user| user["email"].as_str().map(str::to_owned)),
        );
        match page["next"].as_str() {
            Some(next) => after = next.to_owned(),
            None => break,
        }
    }
    assert_eq!(
        emails,
        [
            "a@example.com",
            "b@example.com",
            "c@example.com",
            "root@example.com"
        ]
    );
    let first = auth
        .get("/v1/me/audit-events?limit=1", &admin.access)
        .await?
        .json();
    let path = format!(
        "/v1/me/audit-events?after={}",
        first["next"].as_str().unwrap_or_default()
    );
    let rest = auth.get(&path, &admin.access).await?.json();
    assert_eq!(
        (&first["events"][0]["kind"], &rest["events"][0]["kind"]),
        (&"signed_in".into(), &"admin_appointed".into())
    );
    auth.get("/v1/admin/users?limit=201", &admin.access)
        .await?
        .assert_problem(400, "invalid_query");
    Ok(())
}

#[rstest]
#[tokio::test]
async fn a_first_admin_needs_an_address_and_a_password(
    #[values(Sqlite, Postgres)] engine: Engine,
) -> Setup<()> {
    let auth = open_auth(engine).await?;
    for (email, password, reason) in [
        ("nobody", PASSWORD, "no e-mail address"),
        ("ada@example.com", "short", "12 to 128 characters"),
    ] {
        let refused = create_admin(&auth, email, password).await?;
        let said = String::from_utf8(refused.stderr)?;
        assert!(!refused.status.success() && said.contains(reason), "{said}");
        assert!(!said.contains(password), "{said}");
    }
    Ok(())
}

#[rstest]
#[tokio::test]
async fn an_account_becomes_an_admins_once_its_address_is_confirmed(
    #[values(Sqlite, Postgres)] engine: Engine,
) -> Setup<()> {
    let auth = open_auth(engine).await?;
    // Anybody may have signed up with the address.
    let ada = signed_in(&auth, "ada@example.com").await?;
    let refused = create_admin(&auth, "ADA@example.com", PASSWORD).await?;
    let said = String::from_utf8(refused.stderr)?;
    assert!(
        !refused.status.success() && said.contains("has not confirmed"),
        "{said}"
    );
    auth.get("/v1/admin/users", &ada.access)
        .await?
        .assert_problem(403, "admin_only");

    let proof = mailed_token(&auth, "ada@example.com", "verify_email").await?;
    assert_eq!(verify(&auth, &ada.access, &proof).await?.status, 204);
    // An account that exists keeps its password.
    assert!(create_admin(&auth, "ADA@example.com", "").await?.status.success());
    assert_eq!(auth.get("/v1/admin/users", &ada.access).await?.status, 200);
    // Said twice it is as true.
    for _ in 0..2 {
        let made = create_admin(&auth, "root@example.com", PASSWORD).await?;
        assert!(made.status.success(), "{}", String::from_utf8_lossy(&made.stderr));
    }
    Ok(())
}

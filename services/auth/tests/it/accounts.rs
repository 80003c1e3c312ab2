//! Sign-up, sign-in, the own account, the keys.

use rstest::rstest;
use serde_json::json;
use tracewell_kit::{
    clock,
    db::Engine::{self, Postgres, Sqlite},
    testing::{Answer, Setup, TestDatabase},
    token::{JwkSet, verify},
};

use crate::{
    PASSWORD, auth, keys,
    mail::{ask, mails},
    open_auth, refresh, sign_in, sign_up, signed_in, start, token,
};

#[rstest]
#[tokio::test]
async fn an_account_is_made_and_signed_into(#[values(Sqlite, Postgres)] engine: Engine) -> Setup<()> {
    let auth = auth(engine).await?;
    let made = sign_up(&auth, "Ada@Example.com").await?;
    assert_eq!((made.status.as_u16(), made.text.as_str()), (202, ""));
    assert_eq!(made.headers["cache-control"], "no-store");
    assert_eq!(made.headers["x-content-type-options"], "nosniff");

    let signed_in = sign_in(&auth, "ADA@example.com", PASSWORD).await?.json();
    assert_eq!(
        (&signed_in["token_type"], &signed_in["expires_in"]),
        (&json!("Bearer"), &json!(600))
    );
    let user = signed_in["user"].clone();
    assert_eq!(
        keys(&user),
        [
            "created_at",
            "display_name",
            "email",
            "email_verified_at",
            "id",
            "role"
        ]
    );
    assert_eq!(
        (&user["email"], &user["display_name"]),
        (&json!("ada@example.com"), &json!("Ada"))
    );
    assert!(user["id"].as_str().is_some_and(|id| id.starts_with("usr_")));
    let token = signed_in["access_token"].as_str().unwrap();
    let me = auth.get("/v1/me", token).await?;
    assert_eq!((me.status.as_u16(), me.json()), (200, user));
    Ok(())
}

#[rstest]
#[tokio::test]
async fn letters_are_the_same_however_a_keyboard_composes_them(
    #[values(Sqlite, Postgres)] engine: Engine,
) -> Setup<()> {
    let auth = auth(engine).await?;
    // A letter with its mark, and ligatures; then the letter and its mark apart, and letters.
    let composed = json!({"email": "j\u{f6}rg@example.com", "password": "sch\u{f6}ner \u{fb01}scher"});
    let apart = json!({"email": "jo\u{308}rg@example.com", "password": "scho\u{308}ner fischer"});
    assert_eq!(auth.post("/v1/signup", "", &composed).await?.status, 202);
    assert_eq!(auth.post("/v1/signin", "", &apart).await?.status, 200);
    Ok(())
}

#[rstest]
#[tokio::test]
async fn a_sign_up_does_not_tell_who_has_an_account(#[values(Sqlite, Postgres)] engine: Engine) -> Setup<()> {
    let auth = open_auth(engine).await?;
    let ada = signed_in(&auth, "ada@example.com").await?;
    let again = async |email: &str| {
        let body = json!({"email": email, "password": "a stranger's password", "display_name": "Eve"});
        auth.post("/v1/signup", "", &body).await
    };
    let (known, unknown) = (again("ADA@EXAMPLE.COM").await?, again("bob@example.com").await?);
    assert_eq!((known.status.as_u16(), known.text.as_str()), (202, ""));
    assert_eq!((unknown.status, &unknown.text), (known.status, &known.text));
    let names = |answer: &Answer| answer.headers.keys().cloned().collect::<Vec<_>>();
    assert_eq!(names(&known), names(&unknown));

    // Nothing has changed, and the owner hears of it, however often it is tried in vain.
    sign_in(&auth, "ada@example.com", "a stranger's password")
        .await?
        .assert_problem(401, "invalid_credentials");
    let me = auth.get("/v1/me", &ada.access).await?.json();
    assert_eq!(
        (&me["id"], &me["display_name"]),
        (&json!(ada.user_id), &json!("Ada"))
    );
    let trail = auth.get("/v1/me/audit-events", &ada.access).await?.text;
    assert!(trail.contains("signed_up_again"), "{trail}");
    for _ in 0..4 {
        again("ada@example.com").await?;
    }
    // Asked for last, so once it is there nothing of the others is to come.
    ask(&auth, "/v1/forgot-password", "ada@example.com").await?;
    mails(&auth, "ada@example.com", "reset_password", 1).await?;
    let told = mails(&auth, "ada@example.com", "account_exists", 3).await?;
    assert_eq!(told.len(), 3);
    Ok(())
}

#[rstest]
#[tokio::test]
async fn an_unknown_address_and_a_wrong_password_look_the_same(
    #[values(Sqlite, Postgres)] engine: Engine,
) -> Setup<()> {
    let auth = auth(engine).await?;
    sign_up(&auth, "ada@example.com").await?;
    let wrong = sign_in(&auth, "ada@example.com", "not the password").await?;
    wrong.assert_problem(401, "invalid_credentials");
    let unknown = sign_in(&auth, "bob@example.com", PASSWORD).await?;
    assert_eq!(
        (unknown.status, unknown.json()["detail"].clone()),
        (wrong.status, wrong.json()["detail"].clone())
    );
    let metrics = auth.get("/metrics", "").await?.text;
    assert!(
        metrics.contains(r#"auth_signin_total{outcome="invalid_credentials"}"#),
        "{metrics}"
    );
    Ok(())
}

#[tokio::test]
async fn what_happens_is_counted() -> Setup<()> {
    let auth = start(Sqlite, &[("HASH_COST", "m=8,t=1")]).await?;
    let ada = signed_in(&auth, "ada@example.com").await?;
    refresh(&auth, &ada.refresh).await?;
    refresh(&auth, &"x".repeat(43)).await?;
    for _ in 0..6 {
        sign_in(&auth, "ada@example.com", "not the password").await?;
    }
    let metrics = auth.get("/metrics", "").await?.text;
    for series in [
        "auth_hash_wait_seconds_count",
        r#"auth_signin_total{outcome="success"}"#,
        r#"auth_signin_total{outcome="too_many_attempts"}"#,
        r#"auth_refresh_total{outcome="success"}"#,
        r#"auth_refresh_total{outcome="invalid_refresh_token"}"#,
        r#"auth_lockouts_total{scope="account_and_address"}"#,
    ] {
        assert!(metrics.contains(series), "{series}: {metrics}");
    }
    Ok(())
}

#[rstest]
#[tokio::test]
async fn a_wrong_part_of_the_body_is_pointed_at_and_not_repeated(
    #[values(Sqlite, Postgres)] engine: Engine,
) -> Setup<()> {
    let auth = auth(engine).await?;
    let body = json!({"email": "nobody", "password": "hunter2", "display_name": ""});
    let refused = auth.post("/v1/signup", "", &body).await?;
    refused.assert_problem(422, "invalid_body");
    assert_eq!(refused.pointers(), ["/display_name", "/email", "/password"]);
    assert!(!refused.text.contains("hunter2"), "{}", refused.text);
    let long = json!({"email": "ada@example.com", "password": "x".repeat(129)});
    assert_eq!(
        auth.post("/v1/signup", "", &long).await?.pointers(),
        ["/password"]
    );
    Ok(())
}

#[rstest]
#[tokio::test]
async fn the_published_keys_verify_the_token(#[values(Sqlite, Postgres)] engine: Engine) -> Setup<()> {
    let auth = auth(engine).await?;
    let token = token(&auth).await?;
    let published = auth.get("/.well-known/jwks.json", "").await?;
    assert_eq!(published.headers["cache-control"], "public, max-age=300");
    let set: JwkSet = serde_json::from_value(published.json())?;
    let claims = verify(&token, &set, clock::now())?;
    assert!(claims.sub.starts_with("usr_"));
    assert!(!published.text.contains("\"d\""), "no private part");
    Ok(())
}

#[rstest]
#[tokio::test]
async fn the_key_and_the_accounts_outlive_the_process(
    #[values(Sqlite, Postgres)] engine: Engine,
) -> Setup<()> {
    let database = TestDatabase::create(engine).await?;
    let url = database.variable();
    let first = start(engine, &[("DATABASE_URL", &url)]).await?;
    let token = token(&first).await?;
    first.stop().await?;
    let second = start(engine, &[("DATABASE_URL", &url)]).await?;
    assert_eq!(second.get("/v1/me", &token).await?.status, 200);
    Ok(())
}

//! Sign-up, sign-in, the own account, the keys.

use rstest::rstest;
use serde_json::json;
use tracewell_kit::{
    clock,
    db::Engine::{self, Postgres, Sqlite},
    testing::{Setup, TestDatabase},
    token::{JwkSet, verify},
};

use crate::{PASSWORD, auth, keys, refresh, sign_in, sign_up, signed_in, start, token};

#[rstest]
#[tokio::test]
async fn an_account_is_made_and_signed_into(#[values(Sqlite, Postgres)] engine: Engine) -> Setup<()> {
    let auth = auth(engine).await?;
    let made = sign_up(&auth, "Ada@Example.com").await?;
    assert_eq!(made.status, 201, "{}", made.text);
    let user = made.json();
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
    assert_eq!(made.headers["cache-control"], "no-store");
    assert_eq!(made.headers["x-content-type-options"], "nosniff");

    let signed_in = sign_in(&auth, "ADA@example.com", PASSWORD).await?.json();
    assert_eq!(
        (&signed_in["token_type"], &signed_in["expires_in"]),
        (&json!("Bearer"), &json!(600))
    );
    assert_eq!(signed_in["user"], user);
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
    assert_eq!(auth.post("/v1/signup", "", &composed).await?.status, 201);
    assert_eq!(auth.post("/v1/signin", "", &apart).await?.status, 200);
    auth.post("/v1/signup", "", &apart)
        .await?
        .assert_problem(409, "email_taken");
    Ok(())
}

#[rstest]
#[tokio::test]
async fn an_address_has_one_account(#[values(Sqlite, Postgres)] engine: Engine) -> Setup<()> {
    let auth = auth(engine).await?;
    sign_up(&auth, "ada@example.com").await?;
    sign_up(&auth, "ADA@EXAMPLE.COM")
        .await?
        .assert_problem(409, "email_taken");
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

//! Changing the password, the profile, and leaving.

use http::Method;
use rstest::rstest;
use serde_json::{Value, json};
use tracewell_kit::{
    db::{
        Db,
        Engine::{self, Postgres, Sqlite},
        query,
    },
    testing::{Answer, Running, Setup, TestDatabase},
};

use crate::{PASSWORD, SignedIn, auth, open_auth, sign_in, sign_up, signed_in, start};

async fn send(auth: &Running, method: Method, path: &str, token: &str, body: &Value) -> Setup<Answer> {
    auth.send(auth.request(method, path, token).json(body)).await
}

#[rstest]
#[tokio::test]
async fn a_new_password_takes_the_old_one_and_ends_the_other_sessions(
    #[values(Sqlite, Postgres)] engine: Engine,
) -> Setup<()> {
    let auth = open_auth(engine).await?;
    let other = signed_in(&auth, "ada@example.com").await?;
    let ada = SignedIn::read(&sign_in(&auth, "ada@example.com", PASSWORD).await?)?;
    let change = async |current: &str| {
        let body = json!({"current_password": current, "new_password": "a new password"});
        auth.post("/v1/change-password", &ada.access, &body).await
    };
    change("not the password")
        .await?
        .assert_problem(403, "wrong_password");
    assert_eq!(change(PASSWORD).await?.status, 204);
    assert_eq!(auth.get("/v1/me", &ada.access).await?.status, 200);
    auth.get("/v1/me", &other.access)
        .await?
        .assert_problem(401, "session_ended");
    assert_eq!(
        sign_in(&auth, "ada@example.com", "a new password").await?.status,
        200
    );
    Ok(())
}

#[rstest]
#[tokio::test]
async fn the_name_is_changed_kept_or_taken_away(#[values(Sqlite, Postgres)] engine: Engine) -> Setup<()> {
    let auth = open_auth(engine).await?;
    let ada = signed_in(&auth, "ada@example.com").await?;
    let change = async |body: Value| {
        let answer = send(&auth, Method::PATCH, "/v1/me", &ada.access, &body).await?;
        let (given, kept) = (answer.json(), auth.get("/v1/me", &ada.access).await?.json());
        assert_eq!(given, kept);
        Setup::Ok(kept["display_name"].clone())
    };
    assert_eq!(change(json!({"display_name": "Ada L."})).await?, "Ada L.");
    assert_eq!(change(json!({})).await?, "Ada L.");
    assert_eq!(change(json!({"display_name": null})).await?, Value::Null);
    let empty = json!({"display_name": ""});
    send(&auth, Method::PATCH, "/v1/me", &ada.access, &empty)
        .await?
        .assert_problem(422, "invalid_body");
    Ok(())
}

#[rstest]
#[tokio::test]
async fn who_leaves_is_forgotten(#[values(Sqlite, Postgres)] engine: Engine) -> Setup<()> {
    let auth = open_auth(engine).await?;
    let ada = signed_in(&auth, "ada@example.com").await?;
    let delete = async |password: &str| {
        let body = json!({"password": password});
        send(&auth, Method::DELETE, "/v1/me", &ada.access, &body).await
    };
    delete("not the password")
        .await?
        .assert_problem(403, "wrong_password");
    assert_eq!(delete(PASSWORD).await?.status, 204);
    auth.get("/v1/me", &ada.access)
        .await?
        .assert_problem(401, "session_ended");
    sign_in(&auth, "ada@example.com", PASSWORD)
        .await?
        .assert_problem(401, "invalid_credentials");
    assert_eq!(sign_up(&auth, "ada@example.com").await?.status, 202);
    Ok(())
}

#[rstest]
#[tokio::test]
async fn a_sign_in_renews_a_hash_of_other_cost(#[values(Sqlite, Postgres)] engine: Engine) -> Setup<()> {
    let database = TestDatabase::create(engine).await?;
    let url = database.variable();
    let cheap = start(engine, &[("DATABASE_URL", &url), ("HASH_COST", "m=8,t=1")]).await?;
    sign_up(&cheap, "ada@example.com").await?;
    cheap.stop().await?;
    let dear = start(engine, &[("DATABASE_URL", &url), ("HASH_COST", "m=16,t=1")]).await?;
    assert_eq!(sign_in(&dear, "ada@example.com", PASSWORD).await?.status, 200);
    dear.stop().await?;
    let db = Db::open(database.url()).await?;
    let hash = query("users", "SELECT password_hash FROM users")
        .optional(&db, |row| row.get::<String>("password_hash"))
        .await?
        .ok_or("no account")?;
    assert!(hash.starts_with("$argon2id$v=19$m=16,t=1,p=1$"), "{hash}");
    Ok(())
}

#[rstest]
#[tokio::test]
async fn of_two_sign_ups_at_once_one_makes_the_account(
    #[values(Sqlite, Postgres)] engine: Engine,
) -> Setup<()> {
    let auth = auth(engine).await?;
    let sign_up = async |email: &str, password: &str| {
        let body = json!({"email": email, "password": password});
        auth.post("/v1/signup", "", &body).await
    };
    let passwords = ["one good password", "another password"];
    let (one, other) = tokio::join!(
        sign_up("ada@example.com", passwords[0]),
        sign_up("Ada@example.com", passwords[1])
    );
    assert_eq!([one?.status.as_u16(), other?.status.as_u16()], [202, 202]);
    let mut statuses = Vec::new();
    for password in passwords {
        statuses.push(sign_in(&auth, "ada@example.com", password).await?.status.as_u16());
    }
    statuses.sort_unstable();
    assert_eq!(statuses, [200, 401]);
    Ok(())
}

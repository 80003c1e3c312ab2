//! The refresh token in a browser's cookie.

use http::Method;
use rstest::rstest;
use serde_json::json;
use tracewell_kit::{
    db::Engine::{self, Postgres, Sqlite},
    testing::{Answer, Running, Setup},
};

use crate::{PASSWORD, open_auth, sign_up, start};

async fn browser_signin(auth: &Running) -> Setup<Answer> {
    let body = json!({"email": "ada@example.com", "password": PASSWORD, "cookie": true});
    auth.post("/v1/signin", "", &body).await
}

/// The cookie as the browser sends it back.
fn cookie(answer: &Answer) -> Setup<String> {
    let set = answer.headers.get("set-cookie").ok_or("no cookie")?.to_str()?;
    let (pair, attributes) = set.split_once("; ").ok_or("no attributes")?;
    assert_eq!(
        attributes,
        "Path=/; Secure; HttpOnly; SameSite=Lax; Max-Age=1209600"
    );
    assert!(pair.starts_with("__Host-refresh="), "{pair}");
    Ok(pair.to_owned())
}

async fn refresh(auth: &Running, cookie: &str, headers: &[(&str, &str)]) -> Setup<Answer> {
    let mut request = auth
        .request(Method::POST, "/v1/refresh", "")
        .header("cookie", cookie)
        .json(&json!({}));
    for (name, value) in headers {
        request = request.header(*name, *value);
    }
    auth.send(request).await
}

#[rstest]
#[tokio::test]
async fn a_browser_keeps_the_token_where_no_script_reads_it(
    #[values(Sqlite, Postgres)] engine: Engine,
) -> Setup<()> {
    let auth = open_auth(engine).await?;
    sign_up(&auth, "ada@example.com").await?;
    let signed_in = browser_signin(&auth).await?;
    assert!(signed_in.json()["refresh_token"].is_null(), "{}", signed_in.text);
    let first = cookie(&signed_in)?;
    let refreshed = refresh(&auth, &first, &[("sec-fetch-site", "same-origin")]).await?;
    assert_eq!(refreshed.status, 200, "{}", refreshed.text);
    assert!(refreshed.json()["refresh_token"].is_null(), "{}", refreshed.text);
    let second = cookie(&refreshed)?;
    assert_ne!(second, first);
    let token = refreshed.json()["access_token"]
        .as_str()
        .unwrap_or_default()
        .to_owned();
    let out = auth
        .send(auth.request(Method::POST, "/v1/signout", &token))
        .await?;
    assert!(
        out.headers["set-cookie"]
            .to_str()?
            .starts_with("__Host-refresh=; "),
        "{:?}",
        out.headers
    );
    refresh(&auth, &second, &[])
        .await?
        .assert_problem(401, "session_ended");
    refresh(&auth, "a=1", &[])
        .await?
        .assert_problem(401, "invalid_refresh_token");
    Ok(())
}

#[rstest]
#[tokio::test]
async fn another_site_cannot_use_the_cookie(#[values(Sqlite, Postgres)] engine: Engine) -> Setup<()> {
    let auth = start(
        engine,
        &[
            ("HASH_COST", "m=8,t=1"),
            ("CORS_ORIGINS", "https://app.example.com"),
        ],
    )
    .await?;
    sign_up(&auth, "ada@example.com").await?;
    let cookie = cookie(&browser_signin(&auth).await?)?;
    for foreign in [
        &[
            ("sec-fetch-site", "cross-site"),
            ("origin", "https://evil.example"),
        ][..],
        &[("sec-fetch-site", "same-site")],
        &[("origin", "https://evil.example")],
    ] {
        refresh(&auth, &cookie, foreign)
            .await?
            .assert_problem(403, "cross_origin");
    }
    let ours = [
        ("sec-fetch-site", "cross-site"),
        ("origin", "https://app.example.com"),
    ];
    let allowed = refresh(&auth, &cookie, &ours).await?;
    assert_eq!(allowed.status, 200, "{}", allowed.text);
    assert_eq!(
        allowed.headers["access-control-allow-origin"],
        "https://app.example.com"
    );
    assert_eq!(allowed.headers["access-control-allow-credentials"], "true");
    Ok(())
}

//! Passkeys, made and used by Chromium.

use std::net::TcpListener;

use http::Method;
use rstest::rstest;
use serde_json::{Value, json};
use tracewell_kit::{
    db::Engine::{self, Postgres, Sqlite},
    testing::{Answer, Browser, Running, Setup},
};

use crate::{
    PASSWORD, SignedIn, admin::admin, endings::insert_passkey, second_factor::remove, sign_in, signed_in,
    start,
};

/// Makes a passkey by the options that it is given.
const CREATE: &str = "const publicKey = PublicKeyCredential.parseCreationOptionsFromJSON(args[0]); \
     return (await navigator.credentials.create({publicKey})).toJSON();";
/// Uses one.
const GET: &str = "const publicKey = PublicKeyCredential.parseRequestOptionsFromJSON(args[0]); \
     return (await navigator.credentials.get({publicKey})).toJSON();";

/// Passkeys are bound to the origin, so the port must be known before.
pub(crate) async fn auth_for_browsers(engine: Engine) -> Setup<(Running, String)> {
    let port = TcpListener::bind("127.0.0.1:0")?.local_addr()?.port().to_string();
    let origin = format!("http://localhost:{port}");
    let variables = [
        ("HASH_COST", "m=8,t=1"),
        ("DEBUG_MAIL", "1"),
        ("PORT", &port),
        ("PASSKEY_ORIGINS", &origin),
    ];
    Ok((start(engine, &variables).await?, origin))
}

/// A browser with an authenticator, on a page of the service.
pub(crate) async fn browser_at(origin: &str) -> Setup<Browser> {
    Ok(browser_and_authenticator(origin).await?.0)
}

/// The same, with the authenticator's id.
async fn browser_and_authenticator(origin: &str) -> Setup<(Browser, String)> {
    let browser = Browser::start(&[]).await?;
    let authenticator = browser.add_authenticator().await?;
    browser.open(&format!("{origin}/api-docs/")).await?;
    Ok((browser, authenticator))
}

async fn options(auth: &Running, token: &str) -> Setup<Value> {
    let asked = auth
        .post("/v1/me/passkeys/options", token, &json!({"password": PASSWORD}))
        .await?;
    assert_eq!(asked.status, 200, "{}", asked.text);
    Ok(asked.json())
}

async fn add(auth: &Running, token: &str, credential: &Value) -> Setup<Answer> {
    let body = json!({"name": "Ada's phone", "credential": credential});
    auth.post("/v1/me/passkeys", token, &body).await
}

/// A credential that the browser gives for a sign-in.
async fn assertion(auth: &Running, browser: &Browser) -> Setup<Value> {
    let options = auth
        .send(auth.request(Method::POST, "/v1/signin/passkey/options", ""))
        .await?
        .json();
    browser.run(GET, &[options]).await
}

async fn use_it(auth: &Running, credential: &Value) -> Setup<Answer> {
    auth.post("/v1/signin/passkey", "", &json!({"credential": credential}))
        .await
}

#[rstest]
#[tokio::test]
async fn a_passkey_is_made_used_and_taken_away(#[values(Sqlite, Postgres)] engine: Engine) -> Setup<()> {
    let (auth, origin) = auth_for_browsers(engine).await?;
    let ada = signed_in(&auth, "ada@example.com").await?;
    let browser = browser_at(&origin).await?;

    auth.post(
        "/v1/me/passkeys/options",
        &ada.access,
        &json!({"password": "not the password"}),
    )
    .await?
    .assert_problem(403, "wrong_password");
    let created = browser.run(CREATE, &[options(&auth, &ada.access).await?]).await?;
    let bob = signed_in(&auth, "bob@example.com").await?;
    add(&auth, &bob.access, &created)
        .await?
        .assert_problem(400, "invalid_challenge");
    let added = add(&auth, &ada.access, &created).await?;
    assert_eq!(added.status, 201, "{}", added.text);
    add(&auth, &ada.access, &created)
        .await?
        .assert_problem(400, "invalid_challenge");
    // The authenticator has one for this account, and is told so.
    let second = browser.run(CREATE, &[options(&auth, &ada.access).await?]).await?;
    assert!(
        second["error"]
            .as_str()
            .is_some_and(|error| error.contains("InvalidStateError")),
        "{second}"
    );

    let credential = assertion(&auth, &browser).await?;
    let signed_in = use_it(&auth, &credential).await?;
    let session = SignedIn::read(&signed_in)?;
    assert_eq!(session.user_id, ada.user_id);
    assert_eq!(auth.get("/v1/me", &session.access).await?.status, 200);
    use_it(&auth, &credential)
        .await?
        .assert_problem(400, "invalid_challenge");
    let mut forged = assertion(&auth, &browser).await?;
    forged["response"]["signature"] = credential["response"]["signature"].clone();
    use_it(&auth, &forged)
        .await?
        .assert_problem(400, "invalid_passkey");

    let list = auth.get("/v1/me/passkeys", &ada.access).await?.json();
    let passkey = &list["passkeys"][0];
    assert!(
        passkey["last_used_at"].is_string() && passkey["name"] == "Ada's phone",
        "{list}"
    );
    let path = format!("/v1/me/passkeys/{}", passkey["id"].as_str().unwrap_or_default());
    let remove = async |token: &str| auth.send(auth.request(Method::DELETE, &path, token)).await;
    remove(&bob.access).await?.assert_problem(404, "not_found");
    assert_eq!(remove(&ada.access).await?.status, 204);
    use_it(&auth, &assertion(&auth, &browser).await?)
        .await?
        .assert_problem(401, "unknown_passkey");
    Ok(())
}

#[rstest]
#[tokio::test]
async fn the_copy_of_a_passkey_is_refused_and_its_owner_sees_it(
    #[values(Sqlite, Postgres)] engine: Engine,
) -> Setup<()> {
    let (auth, origin) = auth_for_browsers(engine).await?;
    let ada = signed_in(&auth, "ada@example.com").await?;
    let (browser, authenticator) = browser_and_authenticator(&origin).await?;
    let created = browser.run(CREATE, &[options(&auth, &ada.access).await?]).await?;
    assert_eq!(add(&auth, &ada.access, &created).await?.status, 201);
    let copied = browser.credentials(&authenticator).await?;
    for _ in 0..2 {
        let used = use_it(&auth, &assertion(&auth, &browser).await?).await?;
        assert_eq!(used.status, 200, "{}", used.text);
    }
    let kinds = async || {
        let trail = auth.get("/v1/me/audit-events", &ada.access).await?.json();
        let events = trail["events"].as_array().cloned().unwrap_or_default();
        Setup::Ok(
            events
                .into_iter()
                .map(|event| event["kind"].clone())
                .collect::<Vec<_>>(),
        )
    };
    assert!(!kinds().await?.contains(&json!("passkey_cloned")));

    // It counts on from where it was copied, behind its original.
    let (thief, stolen) = browser_and_authenticator(&origin).await?;
    for credential in &copied {
        thief.add_credential(&stolen, credential).await?;
    }
    use_it(&auth, &assertion(&auth, &thief).await?)
        .await?
        .assert_problem(403, "passkey_cloned");
    assert_eq!(kinds().await?.first(), Some(&json!("passkey_cloned")));
    let metrics = auth.get("/metrics", "").await?.text;
    assert!(
        metrics.lines().any(|line| line.starts_with("auth_signin_total")
            && line.contains(r#"outcome="passkey_cloned""#)),
        "{metrics}"
    );
    Ok(())
}

#[rstest]
#[tokio::test]
async fn an_authenticator_that_has_rsa_alone_signs_in(
    #[values(Sqlite, Postgres)] engine: Engine,
) -> Setup<()> {
    const RS256: i64 = -257;
    let (auth, origin) = auth_for_browsers(engine).await?;
    let ada = signed_in(&auth, "ada@example.com").await?;
    let browser = browser_at(&origin).await?;
    let mut options = options(&auth, &ada.access).await?;
    let offered = options["pubKeyCredParams"]
        .as_array_mut()
        .ok_or("no algorithms")?;
    offered.retain(|parameters| parameters["alg"] == RS256);
    let created = browser.run(CREATE, &[options]).await?;
    assert_eq!(created["response"]["publicKeyAlgorithm"], RS256, "{created}");
    let added = add(&auth, &ada.access, &created).await?;
    assert_eq!(added.status, 201, "{}", added.text);
    let credential = assertion(&auth, &browser).await?;
    let session = SignedIn::read(&use_it(&auth, &credential).await?)?;
    assert_eq!(session.user_id, ada.user_id);
    let mut forged = assertion(&auth, &browser).await?;
    forged["response"]["signature"] = credential["response"]["signature"].clone();
    use_it(&auth, &forged)
        .await?
        .assert_problem(400, "invalid_passkey");
    Ok(())
}

#[tokio::test]
async fn the_browser_keeps_the_tokens_of_a_page_in_a_cookie() -> Setup<()> {
    let (auth, origin) = auth_for_browsers(Sqlite).await?;
    signed_in(&auth, "ada@example.com").await?;
    let browser = browser_at(&origin).await?;
    // All from the page, as a front end does it. Browsers take a `__Host-` cookie from localhost, which counts as safe.
    let script = "
        const post = async (path, body, token) => {
            const headers = {'content-type': 'application/json'};
            if (token) headers.authorization = `Bearer ${token}`;
            const answer = await fetch(path, {method: 'POST', headers, body: JSON.stringify(body ?? {})});
            if (!answer.ok) throw new Error(`${path}: ${answer.status} ${await answer.text()}`);
            return answer.json();
        };
        const [email, password] = args;
        const {access_token} = await post('/v1/signin', {email, password});
        const asked = await post('/v1/me/passkeys/options', {password}, access_token);
        const made = await navigator.credentials.create(
            {publicKey: PublicKeyCredential.parseCreationOptionsFromJSON(asked)});
        await post('/v1/me/passkeys', {name: 'laptop', credential: made.toJSON()}, access_token);
        const get = await post('/v1/signin/passkey/options');
        const used = await navigator.credentials.get(
            {publicKey: PublicKeyCredential.parseRequestOptionsFromJSON(get)});
        const signedIn = await post('/v1/signin/passkey', {credential: used.toJSON(), cookie: true});
        const refreshed = await post('/v1/refresh', {});
        return {inBody: signedIn.refresh_token ?? null, readable: document.cookie, user: signedIn.user.email,
            refreshed: Boolean(refreshed.access_token)};
    ";
    let seen = browser
        .run(script, &["ada@example.com".into(), PASSWORD.into()])
        .await?;
    assert_eq!(
        seen,
        json!({"inBody": null, "readable": "", "user": "ada@example.com", "refreshed": true})
    );
    Ok(())
}

#[rstest]
#[tokio::test]
async fn a_passkey_stands_for_both_factors(#[values(Sqlite, Postgres)] engine: Engine) -> Setup<()> {
    let (auth, origin) = auth_for_browsers(engine).await?;
    let ada = signed_in(&auth, "ada@example.com").await?;
    let browser = browser_at(&origin).await?;
    let created = browser.run(CREATE, &[options(&auth, &ada.access).await?]).await?;
    assert_eq!(add(&auth, &ada.access, &created).await?.status, 201);
    crate::second_factor::enable(&auth, &ada.access).await?;
    assert_eq!(sign_in(&auth, "ada@example.com", PASSWORD).await?.status, 202);
    assert_eq!(
        use_it(&auth, &assertion(&auth, &browser).await?).await?.status,
        200
    );
    Ok(())
}

#[rstest]
#[tokio::test]
async fn an_account_has_a_bounded_number_of_passkeys(
    #[values(Sqlite, Postgres)] engine: Engine,
) -> Setup<()> {
    let (auth, origin) = auth_for_browsers(engine).await?;
    let ada = signed_in(&auth, "ada@example.com").await?;
    for number in 1..20 {
        insert_passkey(&auth, &ada, number).await?;
    }
    let browser = browser_at(&origin).await?;
    let created = browser.run(CREATE, &[options(&auth, &ada.access).await?]).await?;
    insert_passkey(&auth, &ada, 20).await?;
    add(&auth, &ada.access, &created)
        .await?
        .assert_problem(409, "too_many_passkeys");
    let consent = json!({"password": PASSWORD});
    auth.post("/v1/me/passkeys/options", &ada.access, &consent)
        .await?
        .assert_problem(409, "too_many_passkeys");
    Ok(())
}

#[rstest]
#[tokio::test]
async fn an_admin_takes_lost_passkeys_away(#[values(Sqlite, Postgres)] engine: Engine) -> Setup<()> {
    let (auth, origin) = auth_for_browsers(engine).await?;
    let ada = signed_in(&auth, "ada@example.com").await?;
    let browser = browser_at(&origin).await?;
    let created = browser.run(CREATE, &[options(&auth, &ada.access).await?]).await?;
    assert_eq!(add(&auth, &ada.access, &created).await?.status, 201);
    let admin = admin(&auth).await?;
    assert_eq!(remove(&auth, &admin, &ada.user_id).await?.status, 204);
    use_it(&auth, &assertion(&auth, &browser).await?)
        .await?
        .assert_problem(401, "unknown_passkey");
    Ok(())
}

#[test]
fn an_origin_outside_of_the_domain_is_said_at_the_start() {
    let runtime = tokio::runtime::Runtime::new().unwrap();
    let refused = runtime.block_on(start(
        Sqlite,
        &[
            ("PASSKEY_RP_ID", "example.com"),
            ("PASSKEY_ORIGINS", "https://badexample.com"),
        ],
    ));
    let said = refused.err().unwrap().to_string();
    assert!(
        said.contains("https://badexample.com") && said.contains("example.com"),
        "{said}"
    );
}

//! Tokens that must not be taken, at every operation that takes one (RFC 8725).

use base64::{
    Engine as _,
    prelude::{BASE64_STANDARD, BASE64_URL_SAFE_NO_PAD},
};
use http::Method;
use ring::{
    hmac,
    signature::{Ed25519KeyPair, KeyPair as _},
};
use serde_json::{Value, json};
use tracewell_kit::{
    clock,
    db::{Db, Engine::Sqlite, query},
    testing::{Running, Setup, TestDatabase},
    token::SigningKey,
};

use crate::{SignedIn, signed_in, start};

/// The service's own key, known to the test: it is stored as releases before sealing did.
struct Key {
    pair: Ed25519KeyPair,
    kid: String,
}

impl Key {
    fn generate() -> Setup<(Self, Vec<u8>)> {
        let pkcs8 = SigningKey::generate_pkcs8()?;
        let kid = SigningKey::from_pkcs8(&pkcs8)?.kid().to_owned();
        let pair = Ed25519KeyPair::from_pkcs8(&pkcs8).map_err(|error| error.to_string())?;
        Ok((Self { pair, kid }, pkcs8))
    }

    /// A token with this header and these claims, rightly signed.
    fn sign(&self, header: &Value, claims: &Value) -> String {
        let message = message(header, claims);
        let signature = self.pair.sign(message.as_bytes());
        format!("{message}.{}", BASE64_URL_SAFE_NO_PAD.encode(signature))
    }
}

fn message(header: &Value, claims: &Value) -> String {
    let part = |value: &Value| BASE64_URL_SAFE_NO_PAD.encode(value.to_string());
    format!("{}.{}", part(header), part(claims))
}

/// A service that signs by a key of the test's.
async fn auth_with(pkcs8: &[u8], kid: &str, database: &TestDatabase) -> Setup<Running> {
    let url = database.variable();
    let variables = [("DATABASE_URL", url.as_str()), ("HASH_COST", "m=8,t=1")];
    start(Sqlite, &variables).await?.stop().await?;
    let db = Db::open(database.url()).await?;
    let mut tx = db.begin().await?;
    query("signing_keys", "DELETE FROM signing_keys")
        .execute(&mut tx)
        .await?;
    query(
        "signing_keys",
        "INSERT INTO signing_keys (kid, pkcs8, created_at, activated_at) VALUES ($1, $2, $3, $3)",
    )
    .bind(kid.to_owned())
    .bind(BASE64_STANDARD.encode(pkcs8))
    .bind(clock::now().as_microsecond())
    .execute(&mut tx)
    .await?;
    tx.commit().await?;
    start(Sqlite, &variables).await
}

fn claims_of(token: &str) -> Setup<Value> {
    let part = token.split('.').nth(1).ok_or("no claims")?;
    Ok(serde_json::from_slice(&BASE64_URL_SAFE_NO_PAD.decode(part)?)?)
}

fn changed(claims: &Value, name: &str, value: impl Into<Value>) -> Value {
    let mut claims = claims.clone();
    claims[name] = value.into();
    claims
}

/// Each with what it is.
fn corpus(key: &Key, ada: &SignedIn, bob: &SignedIn) -> Setup<Vec<(&'static str, String)>> {
    let header = json!({"alg": "EdDSA", "typ": "JWT", "kid": key.kid});
    let (good, now) = (claims_of(&ada.access)?, clock::now().as_second());
    let with = |name: &str, value: Value| key.sign(&header, &changed(&good, name, value));
    let signed = |header: Value| key.sign(&header, &good);
    let unsigned = |header: Value| format!("{}.", message(&header, &good));
    let (other, _) = Key::generate()?;
    let by_hmac = {
        let message = message(&json!({"alg": "HS256", "typ": "JWT", "kid": key.kid}), &good);
        let secret = hmac::Key::new(hmac::HMAC_SHA256, key.pair.public_key().as_ref());
        let tag = hmac::sign(&secret, message.as_bytes());
        format!("{message}.{}", BASE64_URL_SAFE_NO_PAD.encode(tag))
    };
    let (head, tail) = ada.access.rsplit_once('.').ok_or("no signature")?;
    Ok(vec![
        (
            "algorithm none, unsigned",
            unsigned(json!({"alg": "none", "kid": key.kid})),
        ),
        (
            "algorithm None, unsigned",
            unsigned(json!({"alg": "None", "kid": key.kid})),
        ),
        (
            "algorithm none, signed",
            signed(json!({"alg": "none", "kid": key.kid})),
        ),
        ("algorithm EdDSA, unsigned", unsigned(header.clone())),
        ("HMAC with the public key", by_hmac),
        (
            "algorithm HS256, signed",
            signed(json!({"alg": "HS256", "kid": key.kid})),
        ),
        ("unknown key", signed(json!({"alg": "EdDSA", "kid": "unknown"}))),
        ("no key named", signed(json!({"alg": "EdDSA"}))),
        ("another key under our name", other.sign(&header, &good)),
        (
            "key in the header",
            other.sign(
                &json!({"alg": "EdDSA", "kid": other.kid, "jwk": {"kty": "OKP",
            "crv": "Ed25519", "x": BASE64_URL_SAFE_NO_PAD.encode(other.pair.public_key())}}),
                &good,
            ),
        ),
        (
            "key name that is a path",
            signed(json!({"alg": "EdDSA", "kid": "../../../dev/null"})),
        ),
        (
            "critical extension",
            signed(json!({"alg": "EdDSA", "kid": key.kid, "crit": ["b64"], "b64": false})),
        ),
        ("wrong issuer", with("iss", "somebody".into())),
        ("wrong audience", with("aud", "others".into())),
        ("list of audiences", with("aud", json!(["others", "tracewell"]))),
        ("expired", with("exp", (now - 60).into())),
        ("expires as text", with("exp", "never".into())),
        ("not yet valid", with("iat", (now + 600).into())),
        ("no session", with("sid", Value::Null)),
        ("unknown session", with("sid", "ses_unknown".into())),
        (
            "somebody else's session",
            with("sid", claims_of(&bob.access)?["sid"].clone()),
        ),
        ("unknown user", with("sub", "usr_unknown".into())),
        (
            "claims of another token",
            format!("{}.{tail}", message(&header, &claims_of(&bob.access)?)),
        ),
        ("cut signature", format!("{head}.{}", &tail[..tail.len() - 2])),
        ("oversized", with("jti", "x".repeat(8000).into())),
        ("no token", "e30.e30.e30".to_owned()),
    ])
}

#[tokio::test]
async fn no_operation_takes_a_forged_token() -> Setup<()> {
    let (key, pkcs8) = Key::generate()?;
    let database = TestDatabase::create(Sqlite).await?;
    let auth = auth_with(&pkcs8, &key.kid, &database).await?;
    let (ada, bob) = (
        signed_in(&auth, "ada@example.com").await?,
        signed_in(&auth, "bob@example.com").await?,
    );
    // What the corpus changes is taken as it is: each refusal is for what was changed.
    let header = json!({"alg": "EdDSA", "typ": "JWT", "kid": key.kid});
    let own = key.sign(&header, &claims_of(&ada.access)?);
    assert_eq!(auth.get("/v1/me", &own).await?.status, 200);

    let corpus = corpus(&key, &ada, &bob)?;
    let document = auth.get("/api-docs.json", "").await?.json();
    let mut operations = 0;
    for (path, item) in document["paths"].as_object().ok_or("no paths")? {
        for (method, operation) in item.as_object().ok_or("no operations")? {
            if operation["security"].is_null() {
                continue;
            }
            operations += 1;
            for (what, token) in &corpus {
                let method: Method = method.to_uppercase().parse()?;
                let refused = auth.send(auth.request(method, path, token)).await?;
                assert_eq!(refused.status, 401, "{what} at {path}: {}", refused.text);
                assert!(
                    refused.headers.contains_key("www-authenticate"),
                    "{what} at {path}"
                );
            }
        }
    }
    assert!(operations > 15, "{operations}");
    // None of them was taken for a session's end either.
    assert_eq!(auth.get("/v1/me", &ada.access).await?.status, 200);
    Ok(())
}

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

/// What is sent, what it is, and the code that refuses it.
struct Forged(&'static str, String, &'static str);

/// Signed in a way that is never accepted, or by nobody.
fn wrongly_signed(key: &Key, good: &Value) -> Setup<Vec<Forged>> {
    let header = json!({"alg": "EdDSA", "typ": "JWT", "kid": key.kid});
    let signed = |header: Value| key.sign(&header, good);
    let unsigned = |header: Value| format!("{}.", message(&header, good));
    let (other, _) = Key::generate()?;
    let public = BASE64_URL_SAFE_NO_PAD.encode(key.pair.public_key());
    let jwk = json!({"kty": "OKP", "crv": "Ed25519", "kid": key.kid, "x": public}).to_string();
    // SubjectPublicKeyInfo of an Ed25519 key is this and the key (RFC 8410, 10.1).
    let spki = [
        b"\x30\x2a\x30\x05\x06\x03\x2b\x65\x70\x03\x21\x00",
        key.pair.public_key().as_ref(),
    ]
    .concat();
    let pem = format!(
        "-----BEGIN PUBLIC KEY-----\n{}\n-----END PUBLIC KEY-----\n",
        BASE64_STANDARD.encode(spki)
    );
    let by_hmac = |secret: &[u8]| {
        let message = message(&json!({"alg": "HS256", "typ": "JWT", "kid": key.kid}), good);
        let tag = hmac::sign(&hmac::Key::new(hmac::HMAC_SHA256, secret), message.as_bytes());
        format!("{message}.{}", BASE64_URL_SAFE_NO_PAD.encode(tag))
    };
    let elsewhere = |name: &str| {
        let mut header = json!({"alg": "EdDSA", "kid": other.kid});
        header[name] = "https://evil.example/keys".into();
        other.sign(&header, good)
    };
    let own =
        json!({"kty": "OKP", "crv": "Ed25519", "x": BASE64_URL_SAFE_NO_PAD.encode(other.pair.public_key())});
    let rows = [
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
        (
            "HMAC with the public key",
            by_hmac(key.pair.public_key().as_ref()),
        ),
        (
            "HMAC with the public key in base64url",
            by_hmac(public.as_bytes()),
        ),
        ("HMAC with the public key as a JWK", by_hmac(jwk.as_bytes())),
        ("HMAC with the public key in PEM", by_hmac(pem.as_bytes())),
        (
            "algorithm HS256, signed",
            signed(json!({"alg": "HS256", "kid": key.kid})),
        ),
        ("unknown key", signed(json!({"alg": "EdDSA", "kid": "unknown"}))),
        ("no key named", signed(json!({"alg": "EdDSA"}))),
        ("another key under our name", other.sign(&header, good)),
        (
            "key in the header",
            other.sign(&json!({"alg": "EdDSA", "kid": other.kid, "jwk": own}), good),
        ),
        ("key at an address of the header", elsewhere("jku")),
        ("certificate at an address of the header", elsewhere("x5u")),
        (
            "key name that is a path",
            signed(json!({"alg": "EdDSA", "kid": "../../../dev/null"})),
        ),
        (
            "critical extension",
            signed(json!({"alg": "EdDSA", "kid": key.kid, "crit": ["b64"], "b64": false})),
        ),
        (
            "another kind of token",
            signed(json!({"alg": "EdDSA", "kid": key.kid, "typ": "dpop+jwt"})),
        ),
    ];
    let refused = |(what, token)| Forged(what, token, "invalid_token");
    Ok(rows.into_iter().map(refused).collect())
}

/// Rightly signed, and saying what is not so.
fn wrong_claims(key: &Key, good: &Value, of_bob: &Value) -> Vec<Forged> {
    let header = json!({"alg": "EdDSA", "typ": "JWT", "kid": key.kid});
    let now = clock::now().as_second();
    let with = |name: &str, value: Value| key.sign(&header, &changed(good, name, value));
    let without = |name: &str| {
        let mut claims = good.clone();
        claims.as_object_mut().map(|claims| claims.remove(name));
        key.sign(&header, &claims)
    };
    let past = changed(&changed(good, "iat", now - 660), "exp", now - 60);
    vec![
        Forged("wrong issuer", with("iss", "somebody".into()), "invalid_token"),
        Forged("wrong audience", with("aud", "others".into()), "invalid_token"),
        Forged(
            "list of audiences",
            with("aud", json!(["others", "tracewell"])),
            "invalid_token",
        ),
        Forged("expired", key.sign(&header, &past), "token_expired"),
        Forged("expires as text", with("exp", "never".into()), "invalid_token"),
        Forged(
            "expires at a fraction",
            with(
                "exp",
                json!(f64::from(u32::try_from(now).unwrap_or_default()) + 60.5),
            ),
            "invalid_token",
        ),
        Forged("good for ever", with("exp", i64::MAX.into()), "invalid_token"),
        Forged(
            "good for longer than a number has",
            with("exp", json!(1e300)),
            "invalid_token",
        ),
        Forged("no end", without("exp"), "invalid_token"),
        Forged("no time of issue", without("iat"), "invalid_token"),
        Forged("no subject", without("sub"), "invalid_token"),
        Forged(
            "issued in future",
            with("iat", (now + 600).into()),
            "invalid_token",
        ),
        Forged("not yet valid", with("nbf", (now + 600).into()), "invalid_token"),
        Forged("no session", with("sid", Value::Null), "session_ended"),
        Forged(
            "unknown session",
            with("sid", "ses_unknown".into()),
            "session_ended",
        ),
        Forged(
            "somebody else's session",
            with("sid", of_bob["sid"].clone()),
            "session_ended",
        ),
        Forged("unknown user", with("sub", "usr_unknown".into()), "session_ended"),
        Forged("oversized", with("jti", "x".repeat(8000).into()), "invalid_token"),
    ]
}

/// Of a good token, the parts put together otherwise.
fn misshapen(good: &str, of_bob: &Value) -> Setup<Vec<Forged>> {
    let (head, tail) = good.rsplit_once('.').ok_or("no signature")?;
    let (header, claims) = head.split_once('.').ok_or("no claims")?;
    let padded = |part: &str| format!("{part}{}", "=".repeat((4 - part.len() % 4) % 4).as_str());
    let of_bob = BASE64_URL_SAFE_NO_PAD.encode(of_bob.to_string());
    let rows = [
        ("claims of another token", format!("{header}.{of_bob}.{tail}")),
        ("cut signature", format!("{head}.{}", &tail[..tail.len() - 2])),
        ("padded signature", format!("{head}.{}", padded(tail))),
        ("two parts", head.to_owned()),
        ("four parts", format!("{good}.{tail}")),
        (
            "five parts, as if encrypted",
            format!("{header}.{claims}.{tail}.{tail}.{tail}"),
        ),
        ("a part before", format!("{header}.{good}")),
        ("no token", "e30.e30.e30".to_owned()),
    ];
    let refused = |(what, token)| Forged(what, token, "invalid_token");
    Ok(rows.into_iter().map(refused).collect())
}

fn corpus(key: &Key, ada: &SignedIn, bob: &SignedIn) -> Setup<Vec<Forged>> {
    let (good, of_bob) = (claims_of(&ada.access)?, claims_of(&bob.access)?);
    let mut all = wrongly_signed(key, &good)?;
    all.extend(wrong_claims(key, &good, &of_bob));
    all.extend(misshapen(&ada.access, &of_bob)?);
    Ok(all)
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
            for Forged(what, token, code) in &corpus {
                let method: Method = method.to_uppercase().parse()?;
                let refused = auth.send(auth.request(method, path, token)).await?;
                let told = (refused.status.as_u16(), refused.json()["code"].clone());
                assert_eq!(told, (401, json!(code)), "{what} at {path}: {}", refused.text);
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

//! Access tokens: JSON Web Tokens signed with Ed25519, and nothing else.
//!
//! A token's header may name any algorithm; only `EdDSA` is ever looked at, so neither `none` nor a
//! public key taken for an HMAC secret can be smuggled in (RFC 8725, sections 3.1 and 3.2).

use base64::{Engine, prelude::BASE64_URL_SAFE_NO_PAD};
use jiff::Timestamp;
use ring::{
    rand::SystemRandom,
    signature::{Ed25519KeyPair, KeyPair},
};
use serde::{Deserialize, Serialize, de::DeserializeOwned};
use utoipa::ToSchema;

use crate::signatures::Signatures;

/// Who signs tokens (`iss`).
pub const ISSUER: &str = "tracewell-auth";
/// Whom tokens are for (`aud`).
pub const AUDIENCE: &str = "tracewell";
/// How long a token is good for.
pub const LIFETIME: jiff::SignedDuration = jiff::SignedDuration::from_mins(10);
/// How far clocks of two machines may differ.
const LEEWAY: jiff::SignedDuration = jiff::SignedDuration::from_secs(30);
/// Longer ones are not ours, and are refused before any work is spent on them.
const MAX_LENGTH: usize = 4096;

/// What a token says.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Claims {
    /// Issuer.
    pub iss: String,
    /// Audience.
    pub aud: String,
    /// The user's id.
    pub sub: String,
    /// Issued at, seconds since 1970.
    pub iat: i64,
    /// Expires at, seconds since 1970.
    pub exp: i64,
    /// Not good before, seconds since 1970; ours have none.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub nbf: Option<i64>,
    /// The token's own id.
    pub jti: String,
    /// The session that the token was issued in, by which the auth service knows whether it goes on.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub sid: Option<String>,
}

impl Claims {
    /// The claims of a token for `user_id`, issued at `now`.
    pub fn new(user_id: impl Into<String>, now: Timestamp) -> Self {
        Self {
            iss: ISSUER.into(),
            aud: AUDIENCE.into(),
            sub: user_id.into(),
            iat: now.as_second(),
            exp: now.as_second() + LIFETIME.as_secs(),
            nbf: None,
            jti: crate::id::new("tok"),
            sid: None,
        }
    }

    /// The same claims, issued in the session with this id.
    #[must_use]
    pub fn in_session(self, session_id: impl Into<String>) -> Self {
        Self {
            sid: Some(session_id.into()),
            ..self
        }
    }
}

#[derive(Serialize, Deserialize)]
struct Header {
    alg: String,
    #[serde(default)]
    typ: Option<String>,
    #[serde(default)]
    kid: Option<String>,
    /// Extensions that a verifier must understand; we understand none (RFC 7515, section 4.1.11).
    #[serde(default, skip_serializing_if = "Option::is_none")]
    crit: Option<serde_json::Value>,
}

/// A public key as JWKS publishes it (RFC 8037).
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct Jwk {
    /// Key type.
    #[schema(example = "OKP")]
    pub kty: String,
    /// Curve.
    #[schema(example = "Ed25519")]
    pub crv: String,
    /// Algorithm.
    #[serde(default)]
    #[schema(example = "EdDSA")]
    pub alg: String,
    /// What the key is for.
    #[serde(rename = "use", default)]
    #[schema(example = "sig")]
    pub usage: String,
    /// Name of the key, which a token's header repeats.
    #[schema(example = "key_0198f3c1a5b27c3e9d4f5a6b7c8d9e0f")]
    pub kid: String,
    /// The public key, base64url.
    #[schema(example = "11qYAYKxCrfVS_7TyWQHOg7hcvPapiMlrwIaaPcHURo")]
    pub x: String,
}

/// The published keys.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct JwkSet {
    /// The keys that verify tokens now.
    pub keys: Vec<Jwk>,
}

/// Why a token is refused.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum TokenError {
    /// Not three base64url parts of JSON.
    #[error("the token is malformed")]
    Malformed,
    /// Signed in a way that is never accepted.
    #[error("the token's algorithm is not EdDSA")]
    Algorithm,
    /// The key is not, or no longer, published.
    #[error("the token's key is unknown")]
    UnknownKey,
    /// The signature does not fit.
    #[error("the token's signature is wrong")]
    Signature,
    /// Made by or for somebody else, not yet good, or good for too long.
    #[error("the token's issuer, audience or times are wrong")]
    Claims,
    /// Its time is over.
    #[error("the token has expired")]
    Expired,
}

/// The private key could not be made or read.
#[derive(Debug, thiserror::Error)]
#[error("the signing key is unusable: {0}")]
pub struct KeyError(&'static str);

/// A private key that signs tokens.
pub struct SigningKey {
    pair: Ed25519KeyPair,
    kid: String,
}

impl SigningKey {
    /// A new key in PKCS#8 form, to be stored.
    pub fn generate_pkcs8() -> Result<Vec<u8>, KeyError> {
        let document =
            Ed25519KeyPair::generate_pkcs8(&SystemRandom::new()).map_err(|_| KeyError("no randomness"))?;
        Ok(document.as_ref().to_vec())
    }

    /// The key stored in PKCS#8 form. Its `kid` is its RFC 7638 thumbprint, so it needs no register.
    pub fn from_pkcs8(pkcs8: &[u8]) -> Result<Self, KeyError> {
        let pair =
            Ed25519KeyPair::from_pkcs8(pkcs8).map_err(|_| KeyError("not an Ed25519 key in PKCS#8 form"))?;
        let x = BASE64_URL_SAFE_NO_PAD.encode(pair.public_key());
        let canonical = format!(r#"{{"crv":"Ed25519","kty":"OKP","x":"{x}"}}"#);
        let thumbprint = ring::digest::digest(&ring::digest::SHA256, canonical.as_bytes());
        Ok(Self {
            pair,
            kid: BASE64_URL_SAFE_NO_PAD.encode(thumbprint),
        })
    }

    /// Name of the key.
    pub fn kid(&self) -> &str {
        &self.kid
    }

    /// The public half.
    pub fn jwk(&self) -> Jwk {
        Jwk {
            kty: "OKP".into(),
            crv: "Ed25519".into(),
            alg: "EdDSA".into(),
            usage: "sig".into(),
            kid: self.kid.clone(),
            x: BASE64_URL_SAFE_NO_PAD.encode(self.pair.public_key()),
        }
    }

    /// The signed token.
    pub fn sign(&self, claims: &Claims) -> Result<String, serde_json::Error> {
        let header = Header {
            alg: "EdDSA".into(),
            typ: Some("JWT".into()),
            kid: Some(self.kid.clone()),
            crit: None,
        };
        let message = format!("{}.{}", encode(&header)?, encode(claims)?);
        let signature = BASE64_URL_SAFE_NO_PAD.encode(self.pair.sign(message.as_bytes()));
        Ok(format!("{message}.{signature}"))
    }
}

/// The claims of `token`, if one of `keys` signed it and it is good at `now`.
pub fn verify(token: &str, keys: &JwkSet, now: Timestamp) -> Result<Claims, TokenError> {
    verify_by(&Signatures::default(), token, keys, now)
}

/// As [`verify`], by what is known of signatures.
pub(crate) fn verify_by(
    signatures: &Signatures,
    token: &str,
    keys: &JwkSet,
    now: Timestamp,
) -> Result<Claims, TokenError> {
    if token.len() > MAX_LENGTH {
        return Err(TokenError::Malformed);
    }
    let (message, signature) = token.rsplit_once('.').ok_or(TokenError::Malformed)?;
    let (header, claims) = message.split_once('.').ok_or(TokenError::Malformed)?;
    let header: Header = decode(header)?;
    if header.alg != "EdDSA" {
        return Err(TokenError::Algorithm);
    }
    let is_other_kind = header.typ.is_some_and(|typ| !typ.eq_ignore_ascii_case("JWT"));
    if header.crit.is_some() || is_other_kind {
        return Err(TokenError::Malformed);
    }
    let kid = header.kid.ok_or(TokenError::UnknownKey)?;
    let public = public_key(keys, &kid).ok_or(TokenError::UnknownKey)?;
    let signature = BASE64_URL_SAFE_NO_PAD
        .decode(signature)
        .map_err(|_| TokenError::Malformed)?;
    if !signatures.fits(&public, message.as_bytes(), &signature) {
        return Err(TokenError::Signature);
    }
    // Read only now: whatever an unsigned token says is of no interest.
    let claims: Claims = decode(claims)?;
    let (leeway, now) = (LEEWAY.as_secs(), now.as_second());
    let is_early = claims.iat.max(claims.nbf.unwrap_or(claims.iat)) > now + leeway;
    // Whoever could sign one that is good for ever signs nothing for us.
    let is_lasting = claims.exp.saturating_sub(claims.iat) > LIFETIME.as_secs();
    if claims.iss != ISSUER || claims.aud != AUDIENCE || is_early || is_lasting {
        return Err(TokenError::Claims);
    }
    if claims.exp.saturating_add(leeway) <= now {
        Err(TokenError::Expired)
    } else {
        Ok(claims)
    }
}

fn public_key(keys: &JwkSet, kid: &str) -> Option<Vec<u8>> {
    let key = keys
        .keys
        .iter()
        .find(|key| key.kid == kid && key.kty == "OKP" && key.crv == "Ed25519")?;
    BASE64_URL_SAFE_NO_PAD.decode(&key.x).ok()
}

fn encode(part: &impl Serialize) -> Result<String, serde_json::Error> {
    Ok(BASE64_URL_SAFE_NO_PAD.encode(serde_json::to_vec(part)?))
}

fn decode<T: DeserializeOwned>(part: &str) -> Result<T, TokenError> {
    let bytes = BASE64_URL_SAFE_NO_PAD
        .decode(part)
        .map_err(|_| TokenError::Malformed)?;
    serde_json::from_slice(&bytes).map_err(|_| TokenError::Malformed)
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn now() -> Timestamp {
        Timestamp::from_second(1_800_000_000).unwrap()
    }

    fn key() -> SigningKey {
        SigningKey::from_pkcs8(&SigningKey::generate_pkcs8().unwrap()).unwrap()
    }

    fn set(key: &SigningKey) -> JwkSet {
        JwkSet {
            keys: vec![key.jwk()],
        }
    }

    /// A token whose header and claims are free, signed rightly by `key`.
    fn craft(key: &SigningKey, header: &serde_json::Value, claims: &serde_json::Value) -> String {
        let message = format!("{}.{}", encode(header).unwrap(), encode(claims).unwrap());
        let signature = BASE64_URL_SAFE_NO_PAD.encode(key.pair.sign(message.as_bytes()));
        format!("{message}.{signature}")
    }

    #[test]
    fn a_signed_token_verifies() {
        let (key, claims) = (key(), Claims::new("usr_1", now()));
        assert_eq!(verify(&key.sign(&claims).unwrap(), &set(&key), now()), Ok(claims));
    }

    #[test]
    fn only_eddsa_is_accepted() {
        let key = key();
        let claims = serde_json::to_value(Claims::new("usr_1", now())).unwrap();
        for alg in ["none", "None", "HS256", "ES256", "eddsa", ""] {
            let token = craft(&key, &json!({"alg": alg, "kid": key.kid()}), &claims);
            assert_eq!(
                verify(&token, &set(&key), now()),
                Err(TokenError::Algorithm),
                "{alg}"
            );
        }
        // The public key as an HMAC secret, the classic confusion.
        let message = format!(
            "{}.{}",
            encode(&json!({"alg": "HS256", "kid": key.kid()})).unwrap(),
            encode(&claims).unwrap()
        );
        let secret = ring::hmac::Key::new(ring::hmac::HMAC_SHA256, key.pair.public_key().as_ref());
        let mac = BASE64_URL_SAFE_NO_PAD.encode(ring::hmac::sign(&secret, message.as_bytes()));
        assert_eq!(
            verify(&format!("{message}.{mac}"), &set(&key), now()),
            Err(TokenError::Algorithm)
        );
    }

    #[test]
    fn a_token_must_be_signed_by_the_key_it_names() {
        let (ours, theirs) = (key(), key());
        let claims = Claims::new("usr_1", now());
        assert_eq!(
            verify(&theirs.sign(&claims).unwrap(), &set(&ours), now()),
            Err(TokenError::UnknownKey)
        );
        let forged = craft(
            &theirs,
            &json!({"alg": "EdDSA", "kid": ours.kid()}),
            &serde_json::to_value(&claims).unwrap(),
        );
        assert_eq!(verify(&forged, &set(&ours), now()), Err(TokenError::Signature));
        let nameless = craft(
            &ours,
            &json!({"alg": "EdDSA"}),
            &serde_json::to_value(&claims).unwrap(),
        );
        assert_eq!(verify(&nameless, &set(&ours), now()), Err(TokenError::UnknownKey));
        let token = ours.sign(&claims).unwrap();
        let unsigned = token.rsplit_once('.').unwrap().0.to_owned() + ".";
        assert_eq!(verify(&unsigned, &set(&ours), now()), Err(TokenError::Signature));
    }

    #[test]
    fn claims_are_held_against_issuer_audience_and_time() {
        let key = key();
        let check = |change: &dyn Fn(&mut Claims), at: Timestamp| {
            let mut claims = Claims::new("usr_1", now());
            change(&mut claims);
            verify(&key.sign(&claims).unwrap(), &set(&key), at).map(|_| ())
        };
        assert_eq!(
            check(&|c| c.iss = "someone".into(), now()),
            Err(TokenError::Claims)
        );
        assert_eq!(
            check(&|c| c.aud = "others".into(), now()),
            Err(TokenError::Claims)
        );
        assert_eq!(check(&|c| c.iat += 31, now()), Err(TokenError::Claims));
        assert_eq!(check(&|c| c.exp += 1, now()), Err(TokenError::Claims));
        assert_eq!(check(&|c| c.exp = i64::MAX, now()), Err(TokenError::Claims));
        assert_eq!(check(&|c| c.nbf = Some(c.iat + 30), now()), Ok(()));
        assert_eq!(
            check(&|c| c.nbf = Some(c.iat + 31), now()),
            Err(TokenError::Claims)
        );
        let end = now() + LIFETIME + LEEWAY;
        assert_eq!(check(&|_| {}, end - jiff::SignedDuration::from_secs(1)), Ok(()));
        assert_eq!(check(&|_| {}, end), Err(TokenError::Expired));
    }

    #[test]
    fn a_known_signature_saves_no_token_whose_key_or_time_is_over() {
        let (key, signatures) = (key(), Signatures::default());
        let token = key.sign(&Claims::new("usr_1", now())).unwrap();
        let verify = |keys: &JwkSet, at| verify_by(&signatures, &token, keys, at).map(|claims| claims.sub);
        assert_eq!(verify(&set(&key), now()), Ok("usr_1".to_owned()));
        assert_eq!(verify(&JwkSet::default(), now()), Err(TokenError::UnknownKey));
        let later = now() + LIFETIME + LEEWAY;
        assert_eq!(verify(&set(&key), later), Err(TokenError::Expired));
        let mut renamed = set(&self::key());
        renamed.keys[0].kid = key.kid().to_owned();
        assert_eq!(verify(&renamed, now()), Err(TokenError::Signature));
    }

    #[test]
    fn what_is_no_token_is_malformed() {
        let key = key();
        let critical = craft(
            &key,
            &json!({"alg": "EdDSA", "kid": key.kid(), "crit": ["b64"]}),
            &json!({}),
        );
        let long = "a".repeat(MAX_LENGTH + 1);
        for text in ["", "a", "a.b", "a.b.c", "....", "e30.e30.e30=", &critical, &long] {
            assert_eq!(
                verify(text, &set(&key), now()),
                Err(TokenError::Malformed),
                "{text}"
            );
        }
    }
}

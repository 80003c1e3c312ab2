//! What no browser sends: answers of an authenticator of our own, changed in one place each.

use ring::{
    rand::SystemRandom,
    signature::{ECDSA_P256_SHA256_ASN1_SIGNING, EcdsaKeyPair, Ed25519KeyPair, KeyPair as _},
};
use serde_json::{Value as Json, json};

use super::*;

const ORIGIN: &str = "https://app.example.com";
const USER: &str = "usr_ada";
const CHALLENGE: &str = "c2VjcmV0LXNlY3JldC1zZWNyZXQtc2VjcmV0LXNlY3I";
/// User present, user verified, attested credential data.
const MADE: u8 = 0b0100_0101;
const USED: u8 = 0b0000_0101;

fn relying_party() -> RelyingParty {
    let origins = [http::HeaderValue::from_static(ORIGIN)].into_iter().collect();
    RelyingParty::new(&"example.com".parse().unwrap(), &origins).unwrap()
}

/// An authenticator with one key.
enum Authenticator {
    Ed25519(Ed25519KeyPair),
    P256(EcdsaKeyPair),
}

impl Authenticator {
    fn ed25519() -> Self {
        let pkcs8 = Ed25519KeyPair::generate_pkcs8(&SystemRandom::new()).unwrap();
        Self::Ed25519(Ed25519KeyPair::from_pkcs8(pkcs8.as_ref()).unwrap())
    }

    fn p256() -> Self {
        let (algorithm, random) = (&ECDSA_P256_SHA256_ASN1_SIGNING, SystemRandom::new());
        let pkcs8 = EcdsaKeyPair::generate_pkcs8(algorithm, &random).unwrap();
        Self::P256(EcdsaKeyPair::from_pkcs8(algorithm, pkcs8.as_ref(), &random).unwrap())
    }

    fn key(&self) -> PublicKey {
        match self {
            Self::Ed25519(pair) => PublicKey::Ed25519(pair.public_key().as_ref().to_vec()),
            Self::P256(pair) => PublicKey::P256(pair.public_key().as_ref().to_vec()),
        }
    }

    fn sign(&self, message: &[u8]) -> Vec<u8> {
        match self {
            Self::Ed25519(pair) => pair.sign(message).as_ref().to_vec(),
            Self::P256(pair) => pair
                .sign(&SystemRandom::new(), message)
                .unwrap()
                .as_ref()
                .to_vec(),
        }
    }
}

/// What an answer consists of.
struct Parts {
    client_data: Json,
    relying_party: &'static str,
    flags: u8,
    count: u32,
}

impl Parts {
    fn of(kind: &str, flags: u8) -> Self {
        Self {
            client_data: json!({"type": kind, "challenge": CHALLENGE, "origin": ORIGIN, "crossOrigin": false}),
            relying_party: "example.com",
            flags,
            count: 0,
        }
    }

    fn authenticator_data(&self) -> Vec<u8> {
        let hash = digest::digest(&digest::SHA256, self.relying_party.as_bytes());
        [hash.as_ref(), &[self.flags], &self.count.to_be_bytes()].concat()
    }

    fn client_data(&self) -> Vec<u8> {
        self.client_data.to_string().into_bytes()
    }

    fn registration(&self, id: &[u8], key: &[u8]) -> Registration {
        let length = u16::try_from(id.len()).unwrap().to_be_bytes();
        let data = [&self.authenticator_data(), &[0; 16][..], &length, id, key].concat();
        let object = Value::Map(vec![
            ("fmt".into(), "none".into()),
            ("attStmt".into(), Value::Map(Vec::new())),
            ("authData".into(), Value::Bytes(data)),
        ]);
        let mut bytes = Vec::new();
        ciborium::into_writer(&object, &mut bytes).unwrap();
        let encode = |bytes: &[u8]| BASE64_URL_SAFE_NO_PAD.encode(bytes);
        serde_json::from_value(
            json!({"id": encode(b"id"), "rawId": encode(b"id"), "type": "public-key", "response": {
            "clientDataJSON": encode(&self.client_data()), "attestationObject": encode(&bytes)}}),
        )
        .unwrap()
    }

    fn assertion(&self, by: &Authenticator, user: &str) -> Assertion {
        let (data, client_data) = (self.authenticator_data(), self.client_data());
        let hash = digest::digest(&digest::SHA256, &client_data);
        let signature = by.sign(&[&data, hash.as_ref()].concat());
        let encode = |bytes: &[u8]| BASE64_URL_SAFE_NO_PAD.encode(bytes);
        serde_json::from_value(json!({"rawId": encode(b"id"), "type": "public-key", "response": {
            "clientDataJSON": encode(&client_data), "authenticatorData": encode(&data),
            "signature": encode(&signature), "userHandle": encode(user.as_bytes())}}))
        .unwrap()
    }
}

fn stored(by: &Authenticator, sign_count: i64) -> StoredPasskey {
    StoredPasskey {
        id: "pky_1".into(),
        user_id: USER.into(),
        public_key: BASE64_URL_SAFE_NO_PAD.encode(by.key().write().unwrap()),
        sign_count,
    }
}

#[test]
fn a_passkey_is_taken_as_it_was_made_and_verifies() {
    for authenticator in [Authenticator::ed25519(), Authenticator::p256()] {
        let key = authenticator.key().write().unwrap();
        let registration = Parts::of("webauthn.create", MADE).registration(b"id", &key);
        let made = relying_party().register(&registration).unwrap();
        assert_eq!(made.challenge.expose(), CHALLENGE);
        assert_eq!(made.public_key, stored(&authenticator, 0).public_key);
        let assertion = Parts::of("webauthn.get", USED).assertion(&authenticator, USER);
        let used = relying_party()
            .authenticate(&assertion, &stored(&authenticator, 0))
            .unwrap();
        assert_eq!((used.challenge.expose(), used.sign_count), (CHALLENGE, None));
    }
}

#[test]
fn an_authenticator_that_counts_is_told_from_one_that_does_not() {
    let authenticator = Authenticator::p256();
    let count = |count, known| {
        let parts = Parts {
            count,
            ..Parts::of("webauthn.get", USED)
        };
        let assertion = parts.assertion(&authenticator, USER);
        let used = relying_party().authenticate(&assertion, &stored(&authenticator, known));
        used.unwrap().sign_count
    };
    assert_eq!([count(0, 0), count(5, 0), count(0, 5)], [None, Some(5), Some(0)]);
}

type Change<'a> = &'a dyn Fn(&mut Parts);

#[test]
fn what_was_changed_in_one_place_is_refused_for_it() {
    let authenticator = Authenticator::ed25519();
    let key = authenticator.key().write().unwrap();
    let changes: [(Change<'_>, PasskeyError); 11] = [
        (
            &|parts| parts.client_data["type"] = "payment.get".into(),
            PasskeyError::Ceremony,
        ),
        (
            &|parts| parts.client_data["origin"] = "https://evil.example".into(),
            PasskeyError::Origin,
        ),
        (
            &|parts| parts.client_data["origin"] = "http://app.example.com".into(),
            PasskeyError::Origin,
        ),
        (
            &|parts| parts.client_data["crossOrigin"] = true.into(),
            PasskeyError::Origin,
        ),
        (
            &|parts| parts.client_data["topOrigin"] = "https://evil.example".into(),
            PasskeyError::Origin,
        ),
        (
            &|parts| parts.client_data["challenge"] = Json::Null,
            PasskeyError::ClientData,
        ),
        (
            &|parts| parts.relying_party = "evil.example",
            PasskeyError::RelyingParty,
        ),
        (&|parts| parts.flags &= !1, PasskeyError::UserVerification),
        (&|parts| parts.flags &= !4, PasskeyError::UserVerification),
        (&|parts| parts.flags |= 16, PasskeyError::AuthenticatorData),
        (
            &|parts| parts.client_data = "no object".into(),
            PasskeyError::ClientData,
        ),
    ];
    for (change, reason) in changes {
        let mut parts = Parts::of("webauthn.create", MADE);
        change(&mut parts);
        let registered = relying_party().register(&parts.registration(b"id", &key));
        assert_eq!(registered.err(), Some(reason));
        let mut parts = Parts::of("webauthn.get", USED);
        change(&mut parts);
        let assertion = parts.assertion(&authenticator, USER);
        let used = relying_party().authenticate(&assertion, &stored(&authenticator, 0));
        assert_eq!(used.err(), Some(reason));
    }
}

#[test]
fn a_passkey_of_another_key_account_or_ceremony_is_refused() {
    let (ours, theirs) = (Authenticator::ed25519(), Authenticator::ed25519());
    let check = |parts: Parts, by: &Authenticator, user| {
        let used = relying_party().authenticate(&parts.assertion(by, user), &stored(&ours, 0));
        used.err()
    };
    let get = || Parts::of("webauthn.get", USED);
    assert_eq!(check(get(), &theirs, USER), Some(PasskeyError::Signature));
    assert_eq!(check(get(), &ours, "usr_bob"), Some(PasskeyError::Owner));
    assert_eq!(
        check(Parts::of("webauthn.create", USED), &ours, USER),
        Some(PasskeyError::Ceremony)
    );
}

#[test]
fn a_registration_that_is_cut_or_of_an_unknown_kind_is_refused() {
    let key = Authenticator::p256().key().write().unwrap();
    let create = |flags, id: &[u8], key: &[u8]| {
        let registration = Parts::of("webauthn.create", flags).registration(id, key);
        relying_party().register(&registration).err()
    };
    assert_eq!(
        create(USED, b"id", &key),
        Some(PasskeyError::AuthenticatorData),
        "no credential"
    );
    assert_eq!(
        create(MADE, b"other", &key),
        Some(PasskeyError::AuthenticatorData)
    );
    assert_eq!(create(MADE, b"", &key), Some(PasskeyError::AuthenticatorData));
    for end in 0..key.len() {
        assert_eq!(
            create(MADE, b"id", &key[..end]),
            Some(PasskeyError::PublicKey),
            "{end}"
        );
    }
    // P-384, which was not asked for.
    let mut other = key.clone();
    let at = key.windows(2).position(|pair| pair == [0x20, 0x01]).unwrap();
    other[at + 1] = 0x02;
    assert_eq!(create(MADE, b"id", &other), Some(PasskeyError::PublicKey));
}

//! Passwords and keys that the operator makes: once, when their Secret is made.

use std::collections::BTreeMap;
use std::fmt;

use base64::{Engine as _, prelude::BASE64_STANDARD};
use serde_json::{Map, Value, json};
use sha2::{Digest, Sha256};

use crate::hash::hexadecimal;
use crate::kinds::ObjectKey;
use crate::labels::Component;

/// Key of a password in its Secret.
pub(crate) const PASSWORD_KEY: &str = "password";
/// Key, in its Secret, of a key that a service seals with.
pub(crate) const ENCRYPTION_KEY: &str = "key";

/// Random bytes, from which passwords are made. They come from outside, as everything does that a decision rests on.
#[derive(Clone, Copy)]
pub struct Entropy([u8; 32]);

impl Entropy {
    /// These bytes must never be used for a second decision.
    pub const fn new(bytes: [u8; 32]) -> Self {
        Self(bytes)
    }

    /// The content of a Secret, 256 bits: a password in hexadecimal digits, which need no escape anywhere, or a key in
    /// base64. The component says which.
    pub(crate) fn make(&self, secret: &ObjectKey, component: Option<&str>) -> Content {
        let digest = Sha256::new()
            .chain_update(self.0)
            .chain_update(secret.to_string())
            .finalize();
        let (key, text) = if component == Some(Component::EncryptionKey.as_str()) {
            (ENCRYPTION_KEY, BASE64_STANDARD.encode(digest))
        } else {
            (PASSWORD_KEY, hexadecimal(&digest, digest.len()))
        };
        Content(BTreeMap::from([(key, text)]))
    }
}

impl fmt::Debug for Entropy {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Entropy(withheld)")
    }
}

/// Content of a Secret. It stands beside the object that it belongs to, never in it, so that whoever shows objects does
/// not show it.
#[derive(Clone, PartialEq, Eq)]
pub struct Content(BTreeMap<&'static str, String>);

impl Content {
    /// The fields of the Secret. It is immutable: another password is another Secret.
    pub fn reveal(&self) -> Map<String, Value> {
        let fields = [
            ("type", json!("Opaque")),
            ("immutable", json!(true)),
            ("stringData", json!(self.0)),
        ];
        fields
            .map(|(field, value)| (field.to_owned(), value))
            .into_iter()
            .collect()
    }
}

impl fmt::Debug for Content {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Content(withheld)")
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::kinds::Kind;

    fn password(bytes: [u8; 32], name: &str) -> String {
        let key = ObjectKey {
            kind: Kind::Secret,
            namespace: "shop".to_owned(),
            name: name.to_owned(),
        };
        Entropy::new(bytes).make(&key, None).0[PASSWORD_KEY].clone()
    }

    #[test]
    fn passwords_differ_by_their_bytes_and_by_their_secret() {
        let one = password([1; 32], "a");
        assert_eq!(one.len(), 64);
        assert!(one.bytes().all(|b| b.is_ascii_hexdigit()));
        assert_ne!(one, password([1; 32], "b"));
        assert_ne!(one, password([2; 32], "a"));
    }

    #[test]
    fn a_key_has_32_bytes_in_base64() {
        let key = ObjectKey {
            kind: Kind::Secret,
            namespace: "shop".to_owned(),
            name: "a".to_owned(),
        };
        let made = Entropy::new([1; 32]).make(&key, Some("encryption-key"));
        assert_eq!(
            BASE64_STANDARD
                .decode(&made.0[ENCRYPTION_KEY])
                .map(|bytes| bytes.len()),
            Ok(32)
        );
    }

    #[test]
    fn nothing_confidential_is_debugged() {
        let entropy = Entropy::new([7; 32]);
        let key = ObjectKey {
            kind: Kind::Secret,
            namespace: "shop".to_owned(),
            name: "a".to_owned(),
        };
        assert_eq!(
            format!("{entropy:?} {:?}", entropy.make(&key, None)),
            "Entropy(withheld) Content(withheld)"
        );
    }
}

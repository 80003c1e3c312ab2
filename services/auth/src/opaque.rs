//! Opaque tokens: 256 random bits that only their holder knows. The service keeps their hash.

use std::fmt;

use base64::{Engine as _, prelude::BASE64_URL_SAFE_NO_PAD};
use ring::{
    digest, hmac,
    rand::{SecureRandom as _, SystemRandom},
};
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;
use zeroize::ZeroizeOnDrop;

/// The system gives no randomness.
#[derive(Debug, thiserror::Error)]
#[error("the system gives no randomness")]
pub(crate) struct NoRandomness;

/// A token that says nothing by itself.
#[derive(Clone, Serialize, Deserialize, ToSchema, ZeroizeOnDrop)]
#[schema(
    min_length = 43,
    max_length = 43,
    example = "c2VjcmV0LXNlY3JldC1zZWNyZXQtc2VjcmV0LXNlY3I"
)]
pub(crate) struct OpaqueToken(String);

impl OpaqueToken {
    pub(crate) fn generate() -> Result<Self, NoRandomness> {
        let mut bytes = [0; 32];
        SystemRandom::new().fill(&mut bytes).map_err(|_| NoRandomness)?;
        Ok(Self(BASE64_URL_SAFE_NO_PAD.encode(bytes)))
    }

    /// The token as its holder sends it.
    pub(crate) fn expose(&self) -> &str {
        &self.0
    }

    /// What is stored of it. A fast hash will do: 256 random bits cannot be guessed.
    pub(crate) fn hash(&self) -> String {
        BASE64_URL_SAFE_NO_PAD.encode(digest::digest(&digest::SHA256, self.0.as_bytes()))
    }

    /// The token that follows this one, always the same for the same `salt`. It takes both to make it: neither an
    /// old token nor the database alone leads to one that is in use.
    pub(crate) fn successor(&self, salt: &str) -> Self {
        let key = hmac::Key::new(hmac::HMAC_SHA256, self.0.as_bytes());
        Self(BASE64_URL_SAFE_NO_PAD.encode(hmac::sign(&key, salt.as_bytes())))
    }
}

impl From<String> for OpaqueToken {
    fn from(text: String) -> Self {
        Self(text)
    }
}

impl fmt::Debug for OpaqueToken {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("OpaqueToken(***)")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_successor_takes_the_token_and_the_salt() {
        let (token, other) = (OpaqueToken::generate().unwrap(), OpaqueToken::generate().unwrap());
        let successor = token.successor("salt");
        assert_eq!(successor.expose().len(), 43);
        assert_eq!(successor.expose(), token.successor("salt").expose());
        for different in [token.successor("pepper"), other.successor("salt"), token.clone()] {
            assert_ne!(successor.expose(), different.expose());
        }
    }
}

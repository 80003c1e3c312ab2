//! Passwords on their way to the hash: they cannot be printed, stored or sent, and are wiped from memory after use.

use std::fmt;

use serde::Deserialize;
use unicode_normalization::UnicodeNormalization as _;
use utoipa::ToSchema;
use zeroize::ZeroizeOnDrop;

// NIST SP 800-63B asks for length, not for kinds of characters.
/// 12 to 128 characters of any kind.
#[derive(Clone, Deserialize, ToSchema, ZeroizeOnDrop)]
#[serde(from = "String")]
#[schema(
    format = "password",
    min_length = 12,
    max_length = 128,
    example = "correct horse battery staple"
)]
pub(crate) struct Password(String);

impl Password {
    /// The password, if it has 12 to 128 characters.
    pub(crate) fn new(text: &str) -> Option<Self> {
        (12..=128)
            .contains(&text.chars().count())
            .then(|| Self::from(text.to_owned()))
    }

    pub(crate) fn as_bytes(&self) -> &[u8] {
        self.0.as_bytes()
    }
}

// NFKC, so that the same keys typed on another system, which composes characters otherwise, give the same password
// (NIST SP 800-63B, 3.1.1.2).
impl From<String> for Password {
    fn from(text: String) -> Self {
        Self(text.nfkc().collect())
    }
}

impl fmt::Debug for Password {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Password(***)")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn composed_and_decomposed_characters_are_the_same_password() {
        let (composed, decomposed) = ("caf\u{e9} au lait", "cafe\u{301} au lait");
        assert_eq!(
            Password::from(composed.to_owned()).as_bytes(),
            Password::from(decomposed.to_owned()).as_bytes()
        );
        assert!(Password::new("elevenchars").is_none());
        assert!(Password::new("twelve chars").is_some());
    }
}

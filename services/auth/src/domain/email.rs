//! E-mail addresses as the key of an account.

use serde::{Deserialize, Serialize};
use unicode_normalization::UnicodeNormalization as _;
use utoipa::ToSchema;

// The case of the local part is significant by RFC 5321, but no provider in use keeps two mailboxes apart by
// it, and two accounts that differ in case only would be a trap. NFC is what RFC 6532, 3.1 asks for.
/// An e-mail address. Case makes no difference.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(from = "String")]
#[schema(format = "email", max_length = 254, example = "ada@example.com")]
pub(crate) struct Email(String);

impl From<String> for Email {
    fn from(text: String) -> Self {
        Self(text.to_lowercase().nfc().collect())
    }
}

impl Email {
    pub(crate) fn as_str(&self) -> &str {
        &self.0
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn case_makes_no_second_account() {
        assert_eq!(
            Email::from("Ada@Example.COM".to_owned()),
            Email::from("ada@example.com".to_owned())
        );
    }
}

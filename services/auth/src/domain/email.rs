//! E-mail addresses as the key of an account.

use serde::{Deserialize, Serialize};
use unicode_normalization::UnicodeNormalization as _;
use utoipa::ToSchema;

// The case of the local part is significant by RFC 5321, but no provider in use keeps two mailboxes apart by
// it, and two accounts that differ in case only would be a trap. NFC is what RFC 6532, 3.1 asks for. Of the two ways to
// write a domain the one that people read is kept, or one mailbox could have two accounts.
/// An e-mail address, of any letters (RFC 6531). Case makes no difference.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(from = "String")]
#[schema(format = "idn-email", max_length = 254, example = "ada@example.com")]
pub(crate) struct Email(String);

impl From<String> for Email {
    fn from(text: String) -> Self {
        let text: String = text.to_lowercase().nfc().collect();
        let Some((user, domain)) = text.rsplit_once('@') else {
            return Self(text);
        };
        match idna::domain_to_unicode(domain) {
            (domain, Ok(())) => Self(format!("{user}@{domain}")),
            (_, Err(_)) => Self(text),
        }
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

    #[test]
    fn the_two_ways_to_write_a_domain_or_a_letter_make_no_second_account() {
        let email = Email::from("J\u{f6}rg@B\u{fc}cher.example".to_owned());
        assert_eq!(email.as_str(), "j\u{f6}rg@b\u{fc}cher.example");
        for other in [
            "jo\u{308}rg@b\u{fc}cher.example",
            "j\u{f6}rg@xn--bcher-kva.example",
        ] {
            assert_eq!(Email::from(other.to_owned()), email, "{other}");
        }
    }

    #[test]
    fn a_domain_that_is_no_name_is_kept() {
        for text in ["ada@[192.0.2.1]", "ada@xn--a.example", "nobody"] {
            assert_eq!(Email::from(text.to_owned()).as_str(), text);
        }
    }
}

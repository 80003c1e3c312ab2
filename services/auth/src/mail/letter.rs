//! The text of each mail, plain and as HTML.
//!
//! No text comes from a user: a name such as "click on evil.example" would make our mail carry somebody else's words.

use std::{fmt, str::FromStr};

use crate::{domain::MailKind, opaque::OpaqueToken};

/// Where the links of mails lead: pages of the platform's own front end.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct LinkBase(String);

impl LinkBase {
    /// The token stands in the fragment, which browsers send to no server and put into no `Referer`.
    fn link(&self, page: &str, token: &OpaqueToken) -> String {
        format!("{}/{page}#token={}", self.0, token.expose())
    }
}

/// The text is no base of links.
#[derive(Debug, thiserror::Error)]
#[error("not an http or https URL without query")]
pub(crate) struct InvalidLinkBase;

impl FromStr for LinkBase {
    type Err = InvalidLinkBase;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let uri: http::Uri = text.parse().map_err(|_| InvalidLinkBase)?;
        let is_base = matches!(uri.scheme_str(), Some("http" | "https"))
            && uri.query().is_none()
            && !text.contains(['#', '"', '<', '>', '@']);
        if is_base {
            Ok(Self(text.trim_end_matches('/').to_owned()))
        } else {
            Err(InvalidLinkBase)
        }
    }
}

impl fmt::Display for LinkBase {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

/// A mail that is written.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Letter {
    pub(crate) subject: &'static str,
    pub(crate) text: String,
    pub(crate) html: String,
}

impl Letter {
    /// Writes the mail; `token` is what its reader proves to be one with.
    pub(crate) fn write(kind: MailKind, token: Option<&OpaqueToken>, links: Option<&LinkBase>) -> Self {
        let (subject, page, before, after) = match kind {
            MailKind::VerifyEmail => (
                "Confirm your e-mail address",
                "verify-email",
                "Somebody, we hope you, made an account with this address. To confirm that it is yours, sign in and use \
                 this within 24 hours:",
                "If it was not you, do nothing.",
            ),
            MailKind::AccountExists => (
                "You have an account already",
                "",
                "Somebody, we hope you, wanted to make an account with this address, which has one. Nothing was changed.",
                "If it was you, sign in; if you do not know the password, ask for a new one. If it was not you, do \
                 nothing.",
            ),
            MailKind::ResetPassword => (
                "Choose a new password",
                "reset-password",
                "Somebody, we hope you, asked for a new password for the account with this address. To choose one, \
                 use this within 30 minutes:",
                "If it was not you, do nothing: your password stays as it is.",
            ),
            MailKind::PasswordChanged => (
                "Your password was changed",
                "",
                "The password of the account with this address was changed, and its other sessions have ended.",
                "If it was not you, ask for a new password at once.",
            ),
            MailKind::SigninMethodsChanged => (
                "The ways to sign in to your account were changed",
                "",
                "One-time passwords or a passkey were added to the account with this address, or taken away.",
                "If it was not you, choose a new password at once and look at your passkeys and sessions.",
            ),
            MailKind::SecondFactorsRemoved => (
                "An administrator took your second factors away",
                "",
                "An administrator took the one-time passwords and passkeys of the account with this address away, and its \
                 sessions have ended. The password alone lets in now.",
                "If you did not ask for it, choose a new password at once and tell an administrator.",
            ),
            MailKind::ConfirmNewEmail => (
                "Confirm your new e-mail address",
                "confirm-email-change",
                "Somebody, we hope you, wants this to be the address of their account. To confirm that it is yours, sign in to \
                 the account and use this within 24 hours:",
                "If it was not you, do nothing.",
            ),
            MailKind::EmailChangeRequested => (
                "Your account is to have another e-mail address",
                "",
                "Somebody, we hope you, wants another address for the account with this one. It is changed once the new one \
                 is confirmed, which it can be for 24 hours.",
                "If it was not you, choose a new password at once: that stops it.",
            ),
            MailKind::EmailChanged => (
                "Your account has another e-mail address now",
                "",
                "The account with this address has another one now, and no more mail about it comes here.",
                "If it was not you, tell an administrator at once.",
            ),
        };
        let key = token
            .map(|token| links.map_or_else(|| token.expose().to_owned(), |links| links.link(page, token)));
        let (text_key, html_key) = match (&key, links) {
            (None, _) => (String::new(), String::new()),
            (Some(key), None) => (format!("{key}\n\n"), format!("<p><code>{key}</code></p>\n")),
            (Some(key), Some(_)) => (
                format!("{key}\n\n"),
                format!("<p><a href=\"{key}\">{subject}</a></p>\n<p>{key}</p>\n"),
            ),
        };
        Self {
            subject,
            text: format!("{before}\n\n{text_key}{after}\n"),
            html: format!(
                "<!DOCTYPE html>\n<html lang=\"en\"><head><meta charset=\"utf-8\"><title>{subject}</title></head>\n\
                 <body>\n<p>{before}</p>\n{html_key}<p>{after}</p>\n</body></html>\n"
            ),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_token_is_in_both_texts_and_in_the_fragment_of_the_link() {
        let token = OpaqueToken::generate().unwrap();
        let links: LinkBase = "https://app.example.com/".parse().unwrap();
        let letter = Letter::write(MailKind::ResetPassword, Some(&token), Some(&links));
        let link = format!("https://app.example.com/reset-password#token={}", token.expose());
        assert!(
            letter.text.contains(&format!("\n\n{link}\n\n")),
            "{}",
            letter.text
        );
        assert!(
            letter.html.contains(&format!("href=\"{link}\"")),
            "{}",
            letter.html
        );
        let bare = Letter::write(MailKind::VerifyEmail, Some(&token), None);
        assert!(
            bare.text.contains(&format!("\n\n{}\n\n", token.expose())),
            "{}",
            bare.text
        );
    }

    #[test]
    fn what_is_no_base_of_links_is_refused() {
        for text in [
            "app.example.com",
            "ftp://a.example",
            "https://a/?b=1",
            "https://a/#b",
            "https://u:p@a",
        ] {
            assert!(text.parse::<LinkBase>().is_err(), "{text}");
        }
    }
}

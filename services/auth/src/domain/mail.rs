//! What the service mails, and what the tokens in its mails are for.

use std::fmt;

use jiff::{SignedDuration, Timestamp};
use serde::{Deserialize, Serialize, de::IntoDeserializer};

use super::Email;

/// Kinds of mail.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub(crate) enum MailKind {
    /// Asks to prove that the address is read.
    VerifyEmail,
    /// Tells that somebody signed up with the address of an account.
    AccountExists,
    /// Lets who reads the address choose a new password.
    ResetPassword,
    /// Tells that the password was changed, in case its owner did not.
    PasswordChanged,
    /// Tells that one-time passwords or a passkey were added or taken away.
    SigninMethodsChanged,
    /// Tells that an admin took one-time passwords and passkeys away.
    SecondFactorsRemoved,
    /// Asks to prove that an address, which is to become that of the account, is read.
    ConfirmNewEmail,
    /// Tells the address of an account that it is to be replaced, while that can still be stopped.
    EmailChangeRequested,
    /// Tells the old address that the account has another one now.
    EmailChanged,
}

impl fmt::Display for MailKind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.serialize(f)
    }
}

impl MailKind {
    /// The kind that is written so.
    pub(crate) fn parse(text: &str) -> Option<Self> {
        let text: serde::de::value::StrDeserializer<'_, serde::de::value::Error> = text.into_deserializer();
        Self::deserialize(text).ok()
    }

    /// Those that have a token.
    pub(crate) const WITH_TOKEN: [Self; 3] = [Self::VerifyEmail, Self::ResetPassword, Self::ConfirmNewEmail];

    /// How long the token of such a mail is good; `None`: the mail has no token.
    pub(crate) fn token_lifetime(self) -> Option<SignedDuration> {
        match self {
            Self::VerifyEmail | Self::ConfirmNewEmail => Some(SignedDuration::from_hours(24)),
            Self::ResetPassword => Some(SignedDuration::from_mins(30)),
            Self::AccountExists
            | Self::PasswordChanged
            | Self::SigninMethodsChanged
            | Self::SecondFactorsRemoved
            | Self::EmailChangeRequested
            | Self::EmailChanged => None,
        }
    }

    /// Whether it goes out however many there were: it tells an owner of a change, and somebody who knows the password could
    /// use the notices up before a change that matters.
    pub(crate) fn is_notice_of_change(self) -> bool {
        self.token_lifetime().is_none() && self != Self::AccountExists
    }
}

/// At most so many mails of another kind go to an address in an hour: whoever knows it can ask for them.
pub(crate) const MAILS_PER_HOUR: i64 = 3;
/// How long a process has to send a mail before it is due again; more than an SMTP dialogue may take.
pub(crate) const LEASE: SignedDuration = SignedDuration::from_mins(5);
/// A mail that could not be sent so often is given up.
const MAX_ATTEMPTS: i64 = 10;

/// A mail that is to be sent.
#[derive(Debug, Clone)]
pub(crate) struct Mail {
    pub(crate) id: String,
    pub(crate) kind: MailKind,
    pub(crate) recipient: Email,
    /// The account that it is about, where the address does not tell.
    pub(crate) user_id: Option<String>,
    /// Span of the request that asked for it.
    pub(crate) traceparent: Option<String>,
    pub(crate) created_at: Timestamp,
    /// How often it was tried.
    pub(crate) attempts: i64,
}

impl Mail {
    /// When to try again after a failure; `None`: not any more. From 30 s, doubled each time up to an hour.
    pub(crate) fn next_attempt(&self, now: Timestamp) -> Option<Timestamp> {
        let factor = 1_i64 << self.attempts.clamp(0, 7);
        let pause = SignedDuration::from_secs(30 * factor).min(SignedDuration::from_hours(1));
        (self.attempts + 1 < MAX_ATTEMPTS).then(|| now + pause)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_has_a_token_is_listed() {
        use MailKind::*;
        for kind in [
            VerifyEmail,
            AccountExists,
            ResetPassword,
            PasswordChanged,
            SigninMethodsChanged,
            SecondFactorsRemoved,
            ConfirmNewEmail,
            EmailChangeRequested,
            EmailChanged,
        ] {
            let is_listed = MailKind::WITH_TOKEN.contains(&kind);
            assert_eq!(kind.token_lifetime().is_some(), is_listed, "{kind}");
        }
    }

    #[test]
    fn a_mail_is_tried_again_later_and_later_and_then_given_up() {
        let now = Timestamp::from_second(1_800_000_000).unwrap();
        let pause = |attempts| {
            let mail = Mail {
                id: "mail_1".into(),
                kind: MailKind::VerifyEmail,
                recipient: "ada@example.com".to_owned().into(),
                user_id: None,
                traceparent: None,
                created_at: now,
                attempts,
            };
            mail.next_attempt(now).map(|at| at.duration_since(now).as_secs())
        };
        assert_eq!(
            [0, 1, 6, 7, 8, 9].map(pause),
            [Some(30), Some(60), Some(1920), Some(3600), Some(3600), None]
        );
    }
}

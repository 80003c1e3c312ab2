//! The audit trail: what happened to an account, and from where.

use std::fmt;

use jiff::Timestamp;
use serde::{Deserialize, Serialize, de::IntoDeserializer};
use utoipa::ToSchema;

/// What happened.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "snake_case")]
pub(crate) enum AuditKind {
    SignedUp,
    /// Somebody signed up with the address, which had this account already.
    SignedUpAgain,
    SignedIn,
    SigninFailed,
    SignedOut,
    SessionRevoked,
    /// A refresh token was used twice, and its session ended for it.
    TokenReused,
    EmailVerified,
    ProfileChanged,
    PasswordChanged,
    PasswordReset,
    AccountLocked,
    AccountUnlocked,
    AccountDeleted,
    AdminAppointed,
    TotpEnabled,
    TotpDisabled,
    BackupCodesReplaced,
    BackupCodeUsed,
    PasskeyAdded,
    PasskeyRemoved,
    /// A passkey that counts its uses did not count on, so there are two of it.
    PasskeyCloned,
    EmailChanged,
    /// One-time passwords and passkeys were taken away: by an admin, whose owner had lost them, or by a reset of the
    /// password, since nobody had proved to read the address when they were added.
    SecondFactorsRemoved,
}

impl fmt::Display for AuditKind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.serialize(f)
    }
}

impl AuditKind {
    /// The kind that is written so.
    pub(crate) fn parse(text: &str) -> Option<Self> {
        let text: serde::de::value::StrDeserializer<'_, serde::de::value::Error> = text.into_deserializer();
        Self::deserialize(text).ok()
    }
}

/// An entry of the audit trail.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, ToSchema)]
pub(crate) struct AuditEvent {
    /// Id of the entry; later ones sort after earlier ones.
    #[schema(example = "evt_0198f3c1a5b27c3e9d4f5a6b7c8d9e0f")]
    pub(crate) id: String,
    /// What happened.
    pub(crate) kind: AuditKind,
    /// When.
    pub(crate) at: Timestamp,
    /// Who did it, where that was not the user.
    #[schema(example = "usr_0198f3c1a5b27c3e9d4f5a6b7c8d9e0f")]
    pub(crate) actor_id: Option<String>,
    /// In which session.
    #[schema(example = "ses_0198f3c1a5b27c3e9d4f5a6b7c8d9e0f")]
    pub(crate) session_id: Option<String>,
    /// From which address.
    #[schema(example = "203.0.113.7")]
    pub(crate) address: Option<String>,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_kind_is_read_as_it_is_written() {
        let kind = AuditKind::TokenReused;
        assert_eq!(kind.to_string(), "token_reused");
        assert_eq!(AuditKind::parse(&kind.to_string()), Some(kind));
        assert_eq!(AuditKind::parse("danced"), None);
    }
}

//! Passkeys: the relying party's part of Web Authentication, Level 3, on `ring`.
//!
//! What is asked for and checked is one thing only, a discoverable credential with user verification, which stands for
//! both factors. No attestation is asked for, so none is looked at: we take every maker's authenticators. Why this is
//! not a crate: docs/adr/0021-passkeys-on-ring.md.

mod authenticator_data;
mod client_data;
mod messages;
mod public_key;
mod relying_party;

pub(crate) use self::{
    messages::{Assertion, CreationOptions, Registration, RequestOptions},
    relying_party::{CEREMONY, NewPasskey, PasskeyOrigins, RelyingParty, RelyingPartyId, StoredPasskey},
};

/// What an answer of an authenticator can be refused for (Web Authentication, 7.1 and 7.2).
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub(crate) enum PasskeyError {
    #[error("the client data are not what Web Authentication writes")]
    ClientData,
    #[error("the client data are of another ceremony")]
    Ceremony,
    #[error(
        "the answer comes from a page that may not use passkeys here; PASSKEY_ORIGINS lists those that may"
    )]
    Origin,
    #[error("the authenticator data are malformed")]
    AuthenticatorData,
    #[error("the passkey is one of another site")]
    RelyingParty,
    #[error("the authenticator did not make sure that its owner was there")]
    UserVerification,
    #[error("the public key is of a kind that was not asked for")]
    PublicKey,
    #[error("the signature is wrong")]
    Signature,
    #[error("the passkey belongs to another account")]
    Owner,
}

//! Passkeys, as their owner sees them.

use jiff::Timestamp;
use serde::Serialize;
use utoipa::ToSchema;

/// So many passkeys an account has at most: each one is listed, and told to every browser that makes another.
pub(crate) const MOST_PASSKEYS: usize = 20;

/// A passkey of an account.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, ToSchema)]
pub(crate) struct Passkey {
    /// Id of the passkey, ours and not the authenticator's.
    #[schema(example = "pky_0198f3c1a5b27c3e9d4f5a6b7c8d9e0f")]
    pub(crate) id: String,
    /// What its owner calls it.
    #[schema(example = "Ada's phone")]
    pub(crate) name: String,
    /// When it was made.
    pub(crate) created_at: Timestamp,
    /// When it was last signed in with.
    pub(crate) last_used_at: Option<Timestamp>,
}

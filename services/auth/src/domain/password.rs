//! Passwords on their way to the hash: they cannot be printed, stored or sent.

use std::fmt;

use serde::Deserialize;
use utoipa::ToSchema;

// NIST SP 800-63B asks for length, not for kinds of characters.
/// 12 to 128 characters of any kind.
#[derive(Clone, Deserialize, ToSchema)]
#[schema(
    format = "password",
    min_length = 12,
    max_length = 128,
    example = "correct horse battery staple"
)]
pub(crate) struct Password(String);

impl Password {
    pub(crate) fn as_bytes(&self) -> &[u8] {
        self.0.as_bytes()
    }
}

impl fmt::Debug for Password {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Password(***)")
    }
}

//! Identifiers: a prefix that names the kind of thing, and a UUID of version 7, which sorts by time.

use uuid::Uuid;

/// A new identifier such as `usr_0198f3c1a5b27c3e9d4f5a6b7c8d9e0f`.
pub fn new(prefix: &str) -> String {
    format!("{prefix}_{}", Uuid::now_v7().simple())
}

//! The account.

use jiff::Timestamp;
use serde::Serialize;
use utoipa::ToSchema;

use super::Email;

/// An account, as its owner sees it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, ToSchema)]
pub(crate) struct User {
    /// Id of the account.
    #[schema(example = "usr_0198f3c1a5b27c3e9d4f5a6b7c8d9e0f")]
    pub(crate) id: String,
    /// Address of the account, in lower case.
    pub(crate) email: Email,
    /// Name to show, if one was given.
    pub(crate) display_name: Option<String>,
    /// When the account was made.
    pub(crate) created_at: Timestamp,
}

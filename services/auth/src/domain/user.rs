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
    /// When the owner proved to read mail to the address.
    pub(crate) email_verified_at: Option<Timestamp>,
    /// Name to show, if one was given.
    #[schema(example = "Ada")]
    pub(crate) display_name: Option<String>,
    /// What the account may do.
    pub(crate) role: Role,
    /// When the account was made.
    pub(crate) created_at: Timestamp,
}

/// What an account may do.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, ToSchema)]
#[serde(rename_all = "snake_case")]
pub(crate) enum Role {
    /// Whatever concerns the account itself.
    User,
    /// Other accounts too.
    Admin,
}

impl Role {
    /// The role that is stored so.
    pub(crate) fn parse(text: &str) -> Option<Self> {
        match text {
            "user" => Some(Self::User),
            "admin" => Some(Self::Admin),
            _ => None,
        }
    }
}

/// An account, as admins see it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, ToSchema)]
pub(crate) struct Account {
    #[serde(flatten)]
    pub(crate) user: User,
    /// Since when the account is locked by an admin, if it is.
    pub(crate) locked_at: Option<Timestamp>,
}

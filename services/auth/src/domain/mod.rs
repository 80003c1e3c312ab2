//! Accounts, free of HTTP and SQL.

mod audit;
mod email;
pub(crate) mod lockout;
pub(crate) mod mail;
mod password;
pub(crate) mod rotation;
pub(crate) mod session;
mod user;

pub(crate) use audit::{AuditEvent, AuditKind};
pub(crate) use email::Email;
pub(crate) use mail::MailKind;
pub(crate) use password::Password;
pub(crate) use session::Session;
pub(crate) use user::{Account, Role, User};

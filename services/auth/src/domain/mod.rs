//! Accounts, free of HTTP and SQL.

mod audit;
mod backup_code;
mod email;
pub(crate) mod lockout;
pub(crate) mod mail;
mod passkey;
mod password;
pub(crate) mod rotation;
pub(crate) mod session;
mod totp;
mod user;

pub(crate) use audit::{AuditEvent, AuditKind};
pub(crate) use backup_code::BackupCode;
pub(crate) use email::Email;
pub(crate) use mail::MailKind;
pub(crate) use passkey::{MOST_PASSKEYS, Passkey};
pub(crate) use password::Password;
pub(crate) use session::Session;
pub(crate) use totp::TotpSecret;
pub(crate) use user::{Account, Role, User};

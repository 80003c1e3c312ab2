//! Accounts, free of HTTP and SQL.

mod email;
mod password;
mod user;

pub(crate) use email::Email;
pub(crate) use password::Password;
pub(crate) use user::User;

//! The accounts.

use jiff::Timestamp;
use tracewell_kit::db::{Db, DbError, Reader, Row, Tx, query};

use crate::domain::{Account, Email, Role, User};

/// Stores a new account, and gives the id of the account that has the address: another one's if it had one already, which
/// stays as it is. Both write, and take the same time.
pub(crate) async fn insert(
    tx: &mut Tx,
    user: &User,
    password_hash: String,
) -> Result<Option<String>, DbError> {
    query(
        "users",
        "INSERT INTO users (id, email, display_name, password_hash, created_at) VALUES ($1, $2, $3, $4, $5) \
         ON CONFLICT (email) DO UPDATE SET email = excluded.email RETURNING id",
    )
    .bind(user.id.clone())
    .bind(user.email.as_str())
    .bind(user.display_name.clone())
    .bind(password_hash)
    .bind(user.created_at.as_microsecond())
    .optional(tx, |row| row.get("id"))
    .await
}

/// The account with this address, and its password's hash.
pub(crate) async fn by_email<'c>(
    on: impl Into<Reader<'c>>,
    email: &Email,
) -> Result<Option<(Account, String)>, DbError> {
    query(
        "users",
        "SELECT id, email, email_verified_at, display_name, role, created_at, locked_at, password_hash \
         FROM users WHERE email = $1",
    )
    .bind(email.as_str())
    .optional(on, |row| Ok((account(row)?, row.get("password_hash")?)))
    .await
}

/// The accounts in order of their ids, which is that of their making, from the one after `after` on.
pub(crate) async fn page(db: &Db, after: Option<String>, limit: i64) -> Result<Vec<Account>, DbError> {
    query(
        "users",
        "SELECT id, email, email_verified_at, display_name, role, created_at, locked_at FROM users \
         WHERE id > $1 ORDER BY id LIMIT $2",
    )
    .bind(after.unwrap_or_default())
    .bind(limit)
    .all(db, account)
    .await
}

/// The account with this id.
pub(crate) async fn by_id<'c>(on: impl Into<Reader<'c>>, id: String) -> Result<Option<Account>, DbError> {
    query(
        "users",
        "SELECT id, email, email_verified_at, display_name, role, created_at, locked_at FROM users WHERE id = $1",
    )
    .bind(id)
    .optional(on, account)
    .await
}

/// The account with this id, whose row is held from then on: what somebody else does to the account comes either before,
/// and is seen here, or after. It must be the first that a transaction holds, lest two wait for each other.
pub(crate) async fn hold(tx: &mut Tx, id: &str) -> Result<Option<Account>, DbError> {
    query(
        "users",
        "UPDATE users SET created_at = created_at WHERE id = $1 \
         RETURNING id, email, email_verified_at, display_name, role, created_at, locked_at",
    )
    .bind(id)
    .optional(tx, account)
    .await
}

/// The hash of an account's password.
pub(crate) async fn password_hash(db: &Db, id: &str) -> Result<Option<String>, DbError> {
    query("users", "SELECT password_hash FROM users WHERE id = $1")
        .bind(id)
        .optional(db, |row| row.get("password_hash"))
        .await
}

/// A password that is the account's.
pub(crate) struct Confirmed {
    /// Whether signing in takes a second factor besides.
    pub(crate) takes_second_factor: bool,
}

/// Writes the password's hash if the one `known` is still in force and the account is not locked; `None` otherwise. The
/// account's row is held from then on, as by [`hold`].
pub(crate) async fn confirm_password_hash(
    tx: &mut Tx,
    id: &str,
    known: &str,
    password_hash: &str,
) -> Result<Option<Confirmed>, DbError> {
    query(
        "users",
        "UPDATE users SET password_hash = \
         CASE WHEN password_hash = $3 AND locked_at IS NULL THEN $1 ELSE password_hash END WHERE id = $2",
    )
    .bind(password_hash)
    .bind(id)
    .bind(known)
    .queue(tx);
    query(
        "users",
        "SELECT d.confirmed_at FROM users u LEFT JOIN totp_devices d ON d.user_id = u.id \
         WHERE u.id = $1 AND u.password_hash = $2 AND u.locked_at IS NULL",
    )
    .bind(id)
    .bind(password_hash)
    .optional(tx, |row| {
        Ok(Confirmed {
            takes_second_factor: row.optional_instant("confirmed_at")?.is_some(),
        })
    })
    .await
}

/// Replaces the password's hash.
pub(crate) fn set_password_hash(tx: &mut Tx, id: &str, password_hash: String) {
    query("users", "UPDATE users SET password_hash = $1 WHERE id = $2")
        .bind(password_hash)
        .bind(id)
        .queue(tx);
}

/// Replaces the name to show.
pub(crate) fn set_display_name(tx: &mut Tx, id: &str, name: Option<String>) {
    query("users", "UPDATE users SET display_name = $1 WHERE id = $2")
        .bind(name)
        .bind(id)
        .queue(tx);
}

/// Gives the account another address, which its owner has proved to read; an address that another account has is
/// [`DbError::UniqueViolation`].
pub(crate) async fn set_email(tx: &mut Tx, id: &str, email: &Email, now: Timestamp) -> Result<(), DbError> {
    query(
        "users",
        "UPDATE users SET email = $1, email_verified_at = $2 WHERE id = $3",
    )
    .bind(email.as_str())
    .bind(now.as_microsecond())
    .bind(id)
    .execute(tx)
    .await
    .map(drop)
}

/// Notes that the owner reads mail to the address, unless that is known.
pub(crate) fn set_email_verified(tx: &mut Tx, id: &str, now: Timestamp) {
    query(
        "users",
        "UPDATE users SET email_verified_at = $1 WHERE id = $2 AND email_verified_at IS NULL",
    )
    .bind(now.as_microsecond())
    .bind(id)
    .queue(tx);
}

/// Locks the account, or unlocks it.
pub(crate) fn set_locked(tx: &mut Tx, id: &str, locked_at: Option<Timestamp>) {
    query("users", "UPDATE users SET locked_at = $1 WHERE id = $2")
        .bind(locked_at.map(Timestamp::as_microsecond))
        .bind(id)
        .queue(tx);
}

/// Makes the account an admin.
pub(crate) fn set_admin(tx: &mut Tx, id: &str) {
    query("users", "UPDATE users SET role = 'admin' WHERE id = $1")
        .bind(id)
        .queue(tx);
}

/// Deletes an account with its sessions; its audit trail must go before.
pub(crate) fn delete(tx: &mut Tx, id: &str) {
    query("users", "DELETE FROM users WHERE id = $1")
        .bind(id)
        .queue(tx);
}

/// Reads an account from a row with the columns of `User` and `locked_at`.
pub(super) fn account(row: &Row) -> Result<Account, DbError> {
    Ok(Account {
        user: User {
            id: row.get("id")?,
            email: row.get::<String>("email")?.into(),
            email_verified_at: row.optional_instant("email_verified_at")?,
            display_name: row.get("display_name")?,
            role: Role::parse(&row.get::<String>("role")?).ok_or(DbError::Corrupt { column: "role" })?,
            created_at: row.instant("created_at")?,
        },
        locked_at: row.optional_instant("locked_at")?,
    })
}

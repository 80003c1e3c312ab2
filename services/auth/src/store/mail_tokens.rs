//! The tokens in mails: each is good once.

use jiff::Timestamp;
use tracewell_kit::db::{Db, DbError, Tx, query};

use crate::{domain::mail::MailKind, opaque::OpaqueToken};

/// Stores a new token.
pub(crate) async fn insert(
    db: &Db,
    token: &OpaqueToken,
    purpose: MailKind,
    user_id: &str,
    expires_at: Timestamp,
) -> Result<(), DbError> {
    let mut tx = db.begin().await?;
    query(
        "mail_tokens",
        "INSERT INTO mail_tokens (hash, purpose, user_id, expires_at) VALUES ($1, $2, $3, $4)",
    )
    .bind(token.hash())
    .bind(purpose.to_string())
    .bind(user_id.to_owned())
    .bind(expires_at.as_microsecond())
    .execute(&mut tx)
    .await?;
    tx.commit().await
}

/// Whether the token could be spent now.
pub(crate) async fn is_good(
    db: &Db,
    token: &OpaqueToken,
    purpose: MailKind,
    now: Timestamp,
) -> Result<bool, DbError> {
    let found = query(
        "mail_tokens",
        "SELECT user_id FROM mail_tokens WHERE hash = $1 AND purpose = $2 AND spent_at IS NULL AND expires_at > $3",
    )
    .bind(token.hash())
    .bind(purpose.to_string())
    .bind(now.as_microsecond())
    .optional(db, |row| row.get::<String>("user_id"))
    .await?;
    Ok(found.is_some())
}

/// Spends the token, and gives the user that it was mailed to; `None` if it is unknown, spent or out of date.
pub(crate) async fn spend(
    tx: &mut Tx,
    token: &OpaqueToken,
    purpose: MailKind,
    now: Timestamp,
) -> Result<Option<String>, DbError> {
    query(
        "mail_tokens",
        "UPDATE mail_tokens SET spent_at = $1 \
         WHERE hash = $2 AND purpose = $3 AND spent_at IS NULL AND expires_at > $1 RETURNING user_id",
    )
    .bind(now.as_microsecond())
    .bind(token.hash())
    .bind(purpose.to_string())
    .optional(tx, |row| row.get("user_id"))
    .await
}

/// Spends every other token of the user for this purpose.
pub(crate) async fn spend_all(
    tx: &mut Tx,
    user_id: &str,
    purpose: MailKind,
    now: Timestamp,
) -> Result<(), DbError> {
    query(
        "mail_tokens",
        "UPDATE mail_tokens SET spent_at = $1 WHERE user_id = $2 AND purpose = $3 AND spent_at IS NULL",
    )
    .bind(now.as_microsecond())
    .bind(user_id.to_owned())
    .bind(purpose.to_string())
    .execute(tx)
    .await
    .map(drop)
}

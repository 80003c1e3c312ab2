//! The tokens in mails: each is good once.

use jiff::Timestamp;
use tracewell_kit::db::{Db, DbError, Tx, query};

use crate::{
    domain::{Email, mail::MailKind},
    opaque::OpaqueToken,
};

/// Stores a new token.
pub(crate) async fn insert(
    db: &Db,
    token: &OpaqueToken,
    purpose: MailKind,
    user_id: &str,
    new_email: Option<&Email>,
    expires_at: Timestamp,
) -> Result<(), DbError> {
    let mut tx = db.begin().await?;
    query(
        "mail_tokens",
        "INSERT INTO mail_tokens (hash, purpose, user_id, expires_at, new_email) VALUES ($1, $2, $3, $4, $5)",
    )
    .bind(token.hash())
    .bind(purpose.to_string())
    .bind(user_id.to_owned())
    .bind(expires_at.as_microsecond())
    .bind(new_email.map(|email| email.as_str().to_owned()))
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

/// What a token was good for.
#[derive(Debug)]
pub(crate) struct Spent {
    pub(crate) user_id: String,
    /// The address that it was mailed to, if that is to become the account's.
    pub(crate) new_email: Option<Email>,
}

/// Spends the token; `None` if it is unknown, spent or out of date.
pub(crate) async fn spend(
    tx: &mut Tx,
    token: &OpaqueToken,
    purpose: MailKind,
    now: Timestamp,
) -> Result<Option<Spent>, DbError> {
    query(
        "mail_tokens",
        "UPDATE mail_tokens SET spent_at = $1 \
         WHERE hash = $2 AND purpose = $3 AND spent_at IS NULL AND expires_at > $1 \
         RETURNING user_id, new_email",
    )
    .bind(now.as_microsecond())
    .bind(token.hash())
    .bind(purpose.to_string())
    .optional(tx, |row| {
        Ok(Spent {
            user_id: row.get("user_id")?,
            new_email: row.get::<Option<String>>("new_email")?.map(Email::from),
        })
    })
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

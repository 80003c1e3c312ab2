//! The tokens in mails: each is good once.

use jiff::Timestamp;
use tracewell_kit::db::{Db, DbError, Tx, query};

use super::mails;
use crate::{
    domain::{
        Email,
        mail::{Mail, MailKind},
    },
    opaque::OpaqueToken,
};

/// Stores a new token for a mail; `false` if the mail was withdrawn meanwhile.
pub(crate) async fn insert(
    db: &Db,
    token: &OpaqueToken,
    mail: &Mail,
    user_id: &str,
    new_email: Option<&Email>,
    expires_at: Timestamp,
) -> Result<bool, DbError> {
    let mut tx = db.begin().await?;
    // Who withdraws mails spends tokens after that: either the mail is gone here, or the token is there then.
    if !mails::hold(&mut tx, &mail.id).await? {
        return Ok(false);
    }
    query(
        "mail_tokens",
        "INSERT INTO mail_tokens (hash, purpose, user_id, expires_at, new_email) VALUES ($1, $2, $3, $4, $5)",
    )
    .bind(token.hash())
    .bind(mail.kind.to_string())
    .bind(user_id)
    .bind(expires_at.as_microsecond())
    .bind(new_email.map(|email| email.as_str().to_owned()))
    .queue(&mut tx);
    tx.commit().await?;
    Ok(true)
}

/// Whose account the token is for, if it could be spent now.
pub(crate) async fn user_of(
    db: &Db,
    token: &OpaqueToken,
    purpose: MailKind,
    now: Timestamp,
) -> Result<Option<String>, DbError> {
    query(
        "mail_tokens",
        "SELECT user_id FROM mail_tokens WHERE hash = $1 AND purpose = $2 AND spent_at IS NULL AND expires_at > $3",
    )
    .bind(token.hash())
    .bind(purpose.to_string())
    .bind(now.as_microsecond())
    .optional(db, |row| row.get("user_id"))
    .await
}

/// Spends the token of a user. `None`: it is unknown, spent or out of date; else the address that it was mailed to, if
/// that is to become the account's.
pub(crate) async fn spend(
    tx: &mut Tx,
    token: &OpaqueToken,
    user_id: &str,
    purpose: MailKind,
    now: Timestamp,
) -> Result<Option<Option<Email>>, DbError> {
    query(
        "mail_tokens",
        "UPDATE mail_tokens SET spent_at = $1 \
         WHERE hash = $2 AND purpose = $3 AND user_id = $4 AND spent_at IS NULL AND expires_at > $1 \
         RETURNING new_email",
    )
    .bind(now.as_microsecond())
    .bind(token.hash())
    .bind(purpose.to_string())
    .bind(user_id)
    .optional(tx, |row| {
        Ok(row.get::<Option<String>>("new_email")?.map(Email::from))
    })
    .await
}

/// Spends every token of the user, whatever it is for.
pub(crate) fn spend_all(tx: &mut Tx, user_id: &str, now: Timestamp) {
    query(
        "mail_tokens",
        "UPDATE mail_tokens SET spent_at = $1 WHERE user_id = $2 AND spent_at IS NULL",
    )
    .bind(now.as_microsecond())
    .bind(user_id)
    .queue(tx);
}

//! The mail that waits to be sent, and that was sent.

use jiff::Timestamp;
use serde::Serialize;
use tracewell_kit::{
    clock,
    db::{Db, DbError, Row, Tx, query},
    id,
};

use crate::{
    domain::{
        Email, User,
        mail::{LEASE, Mail, MailKind},
    },
    mail::Letter,
};

/// Writes down that a mail is wanted, whether or not there is an account with this address.
pub(crate) fn request(tx: &mut Tx, kind: MailKind, recipient: &Email) {
    insert(tx, kind, recipient, None);
}

/// Writes down that a mail is wanted to an address that is not, or no longer, the account's.
pub(crate) fn request_about(tx: &mut Tx, kind: MailKind, recipient: &Email, user_id: &str) {
    insert(tx, kind, recipient, Some(user_id));
}

fn insert(tx: &mut Tx, kind: MailKind, recipient: &Email, user_id: Option<&str>) {
    query(
        "mails",
        "INSERT INTO mails (id, kind, recipient, user_id, traceparent, created_at, due_at) \
         VALUES ($1, $2, $3, $4, $5, $6, $6)",
    )
    .bind(id::new("mail"))
    .bind(kind.to_string())
    .bind(recipient.as_str())
    .bind(user_id.map(str::to_owned))
    .bind(tracewell_telemetry::current_traceparent())
    .bind(clock::now().as_microsecond())
    .queue(tx);
}

/// The next mail that is due. It is the caller's to send for a while, then due again, in case the caller is gone.
pub(crate) async fn take_due(db: &Db, now: Timestamp) -> Result<Option<Mail>, DbError> {
    let mut tx = db.begin().await?;
    // The first condition is asked again of a row that another process has taken meanwhile.
    let mail = query(
        "mails",
        "UPDATE mails SET due_at = $1 WHERE due_at <= $2 \
         AND id = (SELECT id FROM mails WHERE due_at <= $2 ORDER BY due_at, id LIMIT 1) \
         RETURNING id, kind, recipient, user_id, traceparent, created_at, attempts",
    )
    .bind((now + LEASE).as_microsecond())
    .bind(now.as_microsecond())
    .optional(&mut tx, |row| {
        Ok(Mail {
            id: row.get("id")?,
            kind: kind(row)?,
            recipient: row.get::<String>("recipient")?.into(),
            user_id: row.get("user_id")?,
            traceparent: row.get("traceparent")?,
            created_at: row.instant("created_at")?,
            attempts: row.get("attempts")?,
        })
    })
    .await?;
    tx.commit().await?;
    Ok(mail)
}

/// Writes to a mail, so that who withdraws it waits; `false` if it is gone.
pub(super) async fn hold(tx: &mut Tx, id: &str) -> Result<bool, DbError> {
    let rows = query("mails", "UPDATE mails SET attempts = attempts WHERE id = $1")
        .bind(id)
        .execute(tx)
        .await?;
    Ok(rows == 1)
}

/// Takes back the mails about an account that are still to be sent and would have a token.
pub(crate) fn withdraw(tx: &mut Tx, user: &User) {
    for kind in MailKind::WITH_TOKEN {
        query(
            "mails",
            "DELETE FROM mails WHERE due_at IS NOT NULL AND kind = $1 AND (recipient = $2 OR user_id = $3)",
        )
        .bind(kind.to_string())
        .bind(user.email.as_str())
        .bind(user.id.clone())
        .queue(tx);
    }
}

/// How many mails of this kind this recipient was sent since then.
pub(crate) async fn sent_since(db: &Db, mail: &Mail, since: Timestamp) -> Result<i64, DbError> {
    let count = query(
        "mails",
        "SELECT COUNT(*) AS sent FROM mails WHERE recipient = $1 AND kind = $2 AND sent_at > $3",
    )
    .bind(mail.recipient.as_str())
    .bind(mail.kind.to_string())
    .bind(since.as_microsecond())
    .optional(db, |row| row.get("sent"))
    .await?;
    Ok(count.unwrap_or(0))
}

/// The mail was sent; `letter` is kept with it if this is where mail goes.
pub(crate) async fn sent(db: &Db, id: &str, now: Timestamp, letter: Option<Letter>) -> Result<(), DbError> {
    let mut tx = db.begin().await?;
    query(
        "mails",
        "UPDATE mails SET sent_at = $1, due_at = NULL, subject = $2, text_body = $3, html_body = $4 WHERE id = $5",
    )
    .bind(now.as_microsecond())
    .bind(letter.as_ref().map(|letter| letter.subject.to_owned()))
    .bind(letter.as_ref().map(|letter| letter.text.clone()))
    .bind(letter.map(|letter| letter.html))
    .bind(id)
    .queue(&mut tx);
    tx.commit().await
}

/// The mail could not be sent: it is due again at `next`, or never.
pub(crate) async fn postpone(db: &Db, id: &str, next: Option<Timestamp>) -> Result<(), DbError> {
    let mut tx = db.begin().await?;
    query(
        "mails",
        "UPDATE mails SET attempts = attempts + 1, due_at = $1 WHERE id = $2",
    )
    .bind(next.map(Timestamp::as_microsecond))
    .bind(id)
    .queue(&mut tx);
    tx.commit().await
}

/// There is nothing to send.
pub(crate) async fn discard(db: &Db, id: &str) -> Result<(), DbError> {
    let mut tx = db.begin().await?;
    query("mails", "DELETE FROM mails WHERE id = $1")
        .bind(id)
        .queue(&mut tx);
    tx.commit().await
}

/// A mail in the outbox.
#[derive(Debug, Serialize)]
pub(crate) struct OutboxMail {
    id: String,
    kind: MailKind,
    recipient: String,
    created_at: Timestamp,
    subject: Option<String>,
    text: Option<String>,
    html: Option<String>,
}

/// The latest mails of the outbox, newest first.
pub(crate) async fn latest(db: &Db) -> Result<Vec<OutboxMail>, DbError> {
    query(
        "mails",
        "SELECT id, kind, recipient, created_at, subject, text_body, html_body FROM mails \
         WHERE sent_at IS NOT NULL ORDER BY sent_at DESC, id DESC LIMIT 100",
    )
    .all(db, |row| {
        Ok(OutboxMail {
            id: row.get("id")?,
            kind: kind(row)?,
            recipient: row.get("recipient")?,
            created_at: row.instant("created_at")?,
            subject: row.get("subject")?,
            text: row.get("text_body")?,
            html: row.get("html_body")?,
        })
    })
    .await
}

fn kind(row: &Row) -> Result<MailKind, DbError> {
    MailKind::parse(&row.get::<String>("kind")?).ok_or(DbError::Corrupt { column: "kind" })
}

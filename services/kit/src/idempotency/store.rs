//! The answers that are kept.

use http::StatusCode;
use jiff::{SignedDuration, Timestamp};

use super::{Answer, Claim, Earlier};
use crate::{
    clock,
    db::{Db, DbError, Row, Tx, query},
};

/// The step of a service's schema that keeps answers. Status and body are null inside the effect's transaction alone.
pub const TABLE: &str = include_str!("table.sql");

/// How long an answer is kept, at least.
const KEPT: SignedDuration = SignedDuration::from_hours(24);

/// What was answered to the first request with the key.
pub(super) async fn find(db: &Db, claim: &Claim) -> Result<Option<Earlier>, DbError> {
    query(
        "idempotency_keys",
        "SELECT fingerprint, status, body FROM idempotency_keys \
         WHERE user_id = $1 AND operation = $2 AND idempotency_key = $3",
    )
    .bind(claim.user_id.clone())
    .bind(claim.operation.clone())
    .bind(claim.key.expose().to_owned())
    .optional(db, earlier)
    .await
}

fn earlier(row: &Row) -> Result<Earlier, DbError> {
    let status = u16::try_from(row.get::<i64>("status")?).ok();
    let status = status.and_then(|status| StatusCode::from_u16(status).ok());
    Ok(Earlier {
        fingerprint: row.get("fingerprint")?,
        answer: Answer {
            status: status.ok_or(DbError::Corrupt { column: "status" })?,
            body: row.get("body")?,
        },
    })
}

/// Takes the key for this transaction; `false` if another one has it. Waits for others that may still give it up.
pub(super) async fn insert(tx: &mut Tx, claim: &Claim) -> Result<bool, DbError> {
    let rows = query(
        "idempotency_keys",
        "INSERT INTO idempotency_keys (user_id, operation, idempotency_key, fingerprint, created_at) \
         VALUES ($1, $2, $3, $4, $5) ON CONFLICT DO NOTHING",
    )
    .bind(claim.user_id.clone())
    .bind(claim.operation.clone())
    .bind(claim.key.expose().to_owned())
    .bind(claim.fingerprint.clone())
    .bind(clock::now().as_microsecond())
    .execute(tx)
    .await?;
    Ok(rows == 1)
}

/// Adds the answer.
pub(super) async fn complete(tx: &mut Tx, claim: &Claim, answer: &Answer) -> Result<(), DbError> {
    query(
        "idempotency_keys",
        "UPDATE idempotency_keys SET status = $1, body = $2 \
         WHERE user_id = $3 AND operation = $4 AND idempotency_key = $5",
    )
    .bind(i64::from(answer.status.as_u16()))
    .bind(answer.body.clone())
    .bind(claim.user_id.clone())
    .bind(claim.operation.clone())
    .bind(claim.key.expose().to_owned())
    .execute(tx)
    .await
    .map(drop)
}

/// Deletes the answers that need not be kept any longer.
pub async fn delete_old(db: &Db, now: Timestamp) -> Result<(), DbError> {
    let mut tx = db.begin().await?;
    query(
        "idempotency_keys",
        "DELETE FROM idempotency_keys WHERE created_at < $1",
    )
    .bind((now - KEPT).as_microsecond())
    .execute(&mut tx)
    .await?;
    tx.commit().await
}

//! The answers that are kept.

use http::StatusCode;
use jiff::{SignedDuration, Timestamp};

use super::{Answer, Claim, Earlier};
use crate::{
    clock,
    db::{Db, DbError, Row, Tx, query},
    upkeep::Housekeeping,
};

/// The step of a service's schema that keeps answers. Status and body are null inside the effect's transaction alone.
pub const TABLE: &str = include_str!("table.sql");

/// How long an answer is kept, at least.
const KEPT: SignedDuration = SignedDuration::from_hours(24);

/// How many are deleted at a time: one statement may take a few seconds at most, and keeps SQLite's other writers waiting.
const BATCH: i64 = 1000;

/// What was answered to the first request with the key.
pub(super) async fn find(db: &Db, claim: &Claim) -> Result<Option<Earlier>, DbError> {
    query(
        "idempotency_keys",
        "SELECT fingerprint, status, body FROM idempotency_keys \
         WHERE user_id = $1 AND operation = $2 AND idempotency_key = $3",
    )
    .bind(claim.user_id.clone())
    .bind(claim.operation.clone())
    .bind(claim.key.expose())
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
    .bind(claim.key.expose())
    .bind(claim.fingerprint.clone())
    .bind(clock::now().as_microsecond())
    .execute(tx)
    .await?;
    Ok(rows == 1)
}

/// Adds the answer.
pub(super) fn complete(tx: &mut Tx, claim: &Claim, answer: &Answer) {
    query(
        "idempotency_keys",
        "UPDATE idempotency_keys SET status = $1, body = $2 \
         WHERE user_id = $3 AND operation = $4 AND idempotency_key = $5",
    )
    .bind(i64::from(answer.status.as_u16()))
    .bind(answer.body.clone())
    .bind(claim.user_id.clone())
    .bind(claim.operation.clone())
    .bind(claim.key.expose())
    .queue(tx);
}

/// Deletes answers once they need not be kept any longer, until what it gives is dropped: they hold personal data.
pub fn forget_old(db: Db) -> Housekeeping {
    Housekeeping::start(db, "old answers not deleted", async |db| {
        delete_old(&db, clock::now()).await
    })
}

/// Deletes the answers that need not be kept any longer.
pub async fn delete_old(db: &Db, now: Timestamp) -> Result<(), DbError> {
    loop {
        let mut tx = db.begin().await?;
        let deleted = query(
            "idempotency_keys",
            "DELETE FROM idempotency_keys WHERE (user_id, operation, idempotency_key) IN \
             (SELECT user_id, operation, idempotency_key FROM idempotency_keys WHERE created_at < $1 LIMIT $2)",
        )
        .bind((now - KEPT).as_microsecond())
        .bind(BATCH)
        .execute(&mut tx)
        .await?;
        tx.commit().await?;
        if deleted < BATCH.unsigned_abs() {
            return Ok(());
        }
    }
}

//! The devices that make one-time passwords, one for each account at most, and the codes for who has lost theirs.

use jiff::Timestamp;
use tracewell_kit::db::{Db, DbError, Reader, Row, Tx, query};

use crate::domain::BackupCode;

/// A device, confirmed or not.
#[derive(Debug)]
pub(crate) struct Device {
    pub(crate) sealed_secret: String,
    pub(crate) confirmed_at: Option<Timestamp>,
    /// The step of the last code that was taken.
    pub(crate) last_step: i64,
}

/// Begins with a device, in the place of one that was never confirmed; `false` if there is one that was.
pub(crate) async fn begin(
    tx: &mut Tx,
    user_id: &str,
    sealed_secret: String,
    now: Timestamp,
) -> Result<bool, DbError> {
    let rows = query(
        "totp_devices",
        "INSERT INTO totp_devices (user_id, secret, created_at, last_step) VALUES ($1, $2, $3, 0) \
         ON CONFLICT (user_id) DO UPDATE SET secret = excluded.secret, created_at = excluded.created_at \
         WHERE totp_devices.confirmed_at IS NULL",
    )
    .bind(user_id)
    .bind(sealed_secret)
    .bind(now.as_microsecond())
    .execute(tx)
    .await?;
    Ok(rows == 1)
}

/// The device of an account.
pub(crate) async fn of_user<'c>(on: impl Into<Reader<'c>>, user_id: &str) -> Result<Option<Device>, DbError> {
    query(
        "totp_devices",
        "SELECT secret, confirmed_at, last_step FROM totp_devices WHERE user_id = $1",
    )
    .bind(user_id)
    .optional(on, device)
    .await
}

fn device(row: &Row) -> Result<Device, DbError> {
    Ok(Device {
        sealed_secret: row.get("secret")?,
        confirmed_at: row.optional_instant("confirmed_at")?,
        last_step: row.get("last_step")?,
    })
}

/// Users and sealed secrets of at most `limit` devices, in order of the users' ids, from the one after `after` on.
pub(crate) async fn sealed_secrets(
    db: &Db,
    after: &str,
    limit: i64,
) -> Result<Vec<(String, String)>, DbError> {
    query(
        "totp_devices",
        "SELECT user_id, secret FROM totp_devices WHERE user_id > $1 ORDER BY user_id LIMIT $2",
    )
    .bind(after)
    .bind(limit)
    .all(db, |row| Ok((row.get("user_id")?, row.get("secret")?)))
    .await
}

/// Puts a sealed secret in the place of another; `false` if it is not there any more.
pub(crate) async fn replace_sealed(
    tx: &mut Tx,
    user_id: &str,
    from: String,
    to: String,
) -> Result<bool, DbError> {
    let rows = query(
        "totp_devices",
        "UPDATE totp_devices SET secret = $1 WHERE user_id = $2 AND secret = $3",
    )
    .bind(to)
    .bind(user_id)
    .bind(from)
    .execute(tx)
    .await?;
    Ok(rows == 1)
}

/// Holds the device of an account that is not confirmed yet, for the rest of a transaction: meanwhile nobody confirms it, puts
/// another in its place, or seals its secret again.
pub(crate) async fn hold_unconfirmed(tx: &mut Tx, user_id: &str) -> Result<Option<Device>, DbError> {
    query(
        "totp_devices",
        "UPDATE totp_devices SET created_at = created_at WHERE user_id = $1 AND confirmed_at IS NULL \
         RETURNING secret, confirmed_at, last_step",
    )
    .bind(user_id)
    .optional(tx, device)
    .await
}

/// Confirms the device that the transaction holds, by the code of a step.
pub(crate) fn confirm(tx: &mut Tx, user_id: &str, step: i64, now: Timestamp) {
    query(
        "totp_devices",
        "UPDATE totp_devices SET confirmed_at = $1, last_step = $2 WHERE user_id = $3",
    )
    .bind(now.as_microsecond())
    .bind(step)
    .bind(user_id)
    .queue(tx);
}

/// Takes the code of a step; `false` if it, or a later one, was taken before.
pub(crate) async fn take_step(tx: &mut Tx, user_id: &str, step: i64) -> Result<bool, DbError> {
    let rows = query(
        "totp_devices",
        "UPDATE totp_devices SET last_step = $1 \
         WHERE user_id = $2 AND last_step < $1 AND confirmed_at IS NOT NULL",
    )
    .bind(step)
    .bind(user_id)
    .execute(tx)
    .await?;
    Ok(rows == 1)
}

/// Takes the device and the backup codes away; `false` if there was no confirmed device.
pub(crate) async fn remove(tx: &mut Tx, user_id: &str) -> Result<bool, DbError> {
    query("backup_codes", "DELETE FROM backup_codes WHERE user_id = $1")
        .bind(user_id)
        .queue(tx);
    let rows = query(
        "totp_devices",
        "DELETE FROM totp_devices WHERE user_id = $1 AND confirmed_at IS NOT NULL",
    )
    .bind(user_id)
    .execute(tx)
    .await?;
    Ok(rows == 1)
}

/// Gives an account these backup codes instead of those that it has.
pub(crate) fn replace_codes(tx: &mut Tx, user_id: &str, codes: &[BackupCode]) {
    query("backup_codes", "DELETE FROM backup_codes WHERE user_id = $1")
        .bind(user_id)
        .queue(tx);
    for code in codes {
        query(
            "backup_codes",
            "INSERT INTO backup_codes (user_id, hash) VALUES ($1, $2)",
        )
        .bind(user_id)
        .bind(code.hash())
        .queue(tx);
    }
}

/// Takes a backup code; `false` if the account has no such code, or no longer.
pub(crate) async fn take_code(tx: &mut Tx, user_id: &str, code: &BackupCode) -> Result<bool, DbError> {
    let rows = query(
        "backup_codes",
        "DELETE FROM backup_codes WHERE user_id = $1 AND hash = $2",
    )
    .bind(user_id)
    .bind(code.hash())
    .execute(tx)
    .await?;
    Ok(rows == 1)
}

/// How many backup codes are left.
pub(crate) async fn codes_left(db: &Db, user_id: &str) -> Result<i64, DbError> {
    let count = query(
        "backup_codes",
        "SELECT COUNT(*) AS codes FROM backup_codes WHERE user_id = $1",
    )
    .bind(user_id)
    .optional(db, |row| row.get("codes"))
    .await?;
    Ok(count.unwrap_or_default())
}

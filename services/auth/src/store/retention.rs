//! How long things are kept after they have ended.

use jiff::{SignedDuration, Timestamp};
use tracewell_kit::{
    clock,
    db::{Db, DbError, query},
    upkeep::Housekeeping,
};

const fn days(days: i64) -> SignedDuration {
    SignedDuration::from_hours(24 * days)
}

/// Deletes what has been kept long enough, until what it gives is dropped.
pub(crate) fn forget_old(db: Db) -> Housekeeping {
    Housekeeping::start(db, "old data not deleted", async |db| {
        delete_old(&db, clock::now()).await
    })
}

/// A table, how long its rows are kept, and what deletes those that are older than the instant `$1`.
const RULES: [(&str, SignedDuration, &str); 6] = [
    // With their refresh tokens: a stolen one is told from an unknown one for so long.
    (
        "sessions",
        days(30),
        "DELETE FROM sessions WHERE expires_at < $1 OR revoked_at < $1",
    ),
    (
        "mail_tokens",
        days(7),
        "DELETE FROM mail_tokens WHERE expires_at < $1",
    ),
    ("mails", days(7), "DELETE FROM mails WHERE created_at < $1"),
    (
        "challenges",
        days(0),
        "DELETE FROM challenges WHERE expires_at < $1",
    ),
    (
        "failed_attempts",
        days(2),
        "DELETE FROM failed_attempts WHERE last_at < $1",
    ),
    (
        "audit_events",
        days(365),
        "DELETE FROM audit_events WHERE at < $1",
    ),
];

/// Deletes what is older than its rule allows.
pub(crate) async fn delete_old(db: &Db, now: Timestamp) -> Result<(), DbError> {
    for (table, kept, sql) in RULES {
        // One transaction each: requests get their turn in between.
        let mut tx = db.begin().await?;
        query(table, sql)
            .bind((now - kept).as_microsecond())
            .queue(&mut tx);
        tx.commit().await?;
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use rstest::rstest;
    use tracewell_kit::{
        clock,
        db::Engine::{self, Postgres, Sqlite},
        testing::TestDatabase,
    };

    use super::*;
    use crate::{
        client::Client,
        domain::AuditKind,
        store::{MIGRATIONS, audit, audit::Subject},
    };

    #[rstest]
    #[tokio::test]
    async fn what_is_old_is_deleted_and_nothing_else(#[values(Sqlite, Postgres)] engine: Engine) {
        let database = TestDatabase::create(engine).await.unwrap();
        let db = database.open(MIGRATIONS).await.unwrap();
        let mut tx = db.begin().await.unwrap();
        let (subject, client) = (Subject::user("usr_1"), Client::default());
        audit::record(&mut tx, AuditKind::SignedUp, subject, &client);
        tx.commit().await.unwrap();
        let left = async |now| {
            delete_old(&db, now).await.unwrap();
            audit::of_user(&db, "usr_1".into(), None, 10).await.unwrap().len()
        };
        let now = clock::now();
        assert_eq!(left(now + days(364)).await, 1);
        assert_eq!(left(now + days(366)).await, 0);
    }
}

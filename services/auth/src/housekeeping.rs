//! Forgetting: what has ended is kept for a while, then deleted, so that the database does not grow for ever and
//! personal data does not stay without a reason.

use std::{sync::Arc, time::Duration};

use tokio::time::interval;
use tracewell_kit::{clock, db::Db, upkeep::keep_up};

use crate::store;

/// How often what is old is deleted.
const PERIOD: Duration = Duration::from_hours(1);

/// Deletes what is old until the last clone is dropped.
#[derive(Debug, Clone)]
pub(crate) struct Housekeeping {
    _db: Arc<Db>,
}

impl Housekeeping {
    pub(crate) fn start(db: Db) -> Self {
        let db = Arc::new(db);
        keep_up(&db, interval(PERIOD), "old data not deleted", async |db| {
            store::retention::delete_old(&db, clock::now()).await
        });
        Self { _db: db }
    }
}

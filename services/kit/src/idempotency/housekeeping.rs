//! Forgetting answers that nobody will ask for again: they hold personal data, and would grow for ever.

use std::{sync::Arc, time::Duration};

use tokio::time::interval;

use super::delete_old;
use crate::{clock, db::Db, upkeep::keep_up};

/// How often old answers are deleted.
const PERIOD: Duration = Duration::from_hours(1);

/// Deletes old answers until the last clone is dropped.
#[derive(Debug, Clone)]
pub struct Housekeeping {
    _db: Arc<Db>,
}

impl Housekeeping {
    /// Begins at once.
    pub fn start(db: Db) -> Self {
        let db = Arc::new(db);
        keep_up(&db, interval(PERIOD), "old answers not deleted", async |db| {
            delete_old(&db, clock::now()).await
        });
        Self { _db: db }
    }
}

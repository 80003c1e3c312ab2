//! Forgetting: what has ended is kept for a while, then deleted, so that the database does not grow for ever and
//! personal data does not stay without a reason.

use std::{sync::Arc, time::Duration};

use tracewell_kit::{clock, db::Db};

use crate::store;

/// How often what is old is deleted.
const PERIOD: Duration = Duration::from_hours(1);

/// Deletes what is old until the last clone is dropped.
#[derive(Debug, Clone)]
pub(crate) struct Housekeeping {
    _alive: Arc<()>,
}

impl Housekeeping {
    pub(crate) fn start(db: Db) -> Self {
        let alive = Arc::new(());
        let watched = Arc::downgrade(&alive);
        tokio::spawn(async move {
            while watched.strong_count() > 0 {
                if let Err(error) = store::retention::delete_old(&db, clock::now()).await {
                    tracing::warn!(error = &error as &dyn std::error::Error, "old data not deleted");
                }
                tokio::time::sleep(PERIOD).await;
            }
        });
        Self { _alive: alive }
    }
}

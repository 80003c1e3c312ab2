//! What a service does again and again beside its requests.

use std::{error::Error, sync::Arc, time::Duration};

use tokio::time::{Interval, MissedTickBehavior, interval};

use crate::db::Db;

/// How often there is something to forget.
const HOUSEKEEPING: Duration = Duration::from_hours(1);

/// Forgets what is old, until the last clone is dropped: a database must not grow for ever, nor personal data stay without a
/// reason.
#[derive(Debug, Clone)]
pub struct Housekeeping {
    _db: Arc<Db>,
}

impl Housekeeping {
    /// Lets `delete` what is old, now and every hour; a failure is a warning that says what was `not_done`.
    pub fn start<E, F>(db: Db, not_done: &'static str, delete: impl Fn(Arc<Db>) -> F + Send + 'static) -> Self
    where
        E: Error + 'static,
        F: Future<Output = Result<(), E>> + Send,
    {
        let db = Arc::new(db);
        keep_up(&db, interval(HOUSEKEEPING), not_done, delete);
        Self { _db: db }
    }
}

/// Does `act` at each of the `ticks` until the last clone of `owner` is dropped.
///
/// A failure is a warning that says what was `not_done`: the next tick is another chance.
pub fn keep_up<T, E, F>(
    owner: &Arc<T>,
    mut ticks: Interval,
    not_done: &'static str,
    act: impl Fn(Arc<T>) -> F + Send + 'static,
) where
    T: Send + Sync + 'static,
    E: Error + 'static,
    F: Future<Output = Result<(), E>> + Send,
{
    // What took longer than a period is not made up for by haste.
    ticks.set_missed_tick_behavior(MissedTickBehavior::Delay);
    let owner = Arc::downgrade(owner);
    tokio::spawn(async move {
        loop {
            ticks.tick().await;
            let Some(owner) = owner.upgrade() else { return };
            if let Err(error) = act(owner).await {
                tracing::warn!(error = &error as &dyn Error, "{not_done}");
            }
        }
    });
}

#[cfg(test)]
mod tests {
    use tokio::sync::mpsc::{self, error::SendError};

    use super::*;

    #[tokio::test(start_paused = true)]
    async fn it_goes_on_after_failures_and_ends_with_the_owner() {
        let (done, mut times) = mpsc::unbounded_channel();
        let owner = Arc::new(());
        let ticks = interval(Duration::from_mins(1));
        keep_up(&owner, ticks, "nothing was done", move |_| {
            let sent = done.send(());
            async move { sent.and(Err(SendError(()))) }
        });
        for _ in 0..3 {
            assert_eq!(times.recv().await, Some(()));
        }
        drop(owner);
        assert_eq!(times.recv().await, None, "the task has dropped what it does");
    }
}

//! What a service does again and again beside its requests.

use std::{error::Error, sync::Arc};

use tokio::time::{Interval, MissedTickBehavior};

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
    use std::time::Duration;

    use tokio::{
        sync::mpsc::{self, error::SendError},
        time::interval,
    };

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

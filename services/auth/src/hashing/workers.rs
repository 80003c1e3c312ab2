//! The threads that hash, behind all others.
//!
//! A hash takes a core for some 20 ms. At the priority of the threads that serve, it would keep everybody else waiting
//! for as long as the scheduler's turns are while many sign in.

use std::{
    io,
    num::NonZeroU16,
    panic::{AssertUnwindSafe, catch_unwind},
    sync::{Arc, Mutex, PoisonError, mpsc},
    thread,
};

use tokio::sync::oneshot;

/// How much nicer these threads are than the others. It tells the threads of one container apart, whose share among
/// others stays as it is; an idle core is theirs all the same.
const NICER: i32 = 10;

type Job = Box<dyn FnOnce() + Send>;

/// A fixed number of threads. They end with the last clone.
#[derive(Clone)]
pub(super) struct Workers(mpsc::Sender<Job>);

/// The thread was gone, or the work panicked.
#[derive(Debug, thiserror::Error)]
#[error("hashing was interrupted")]
pub(crate) struct Interrupted;

impl Workers {
    pub(super) fn start(count: NonZeroU16) -> io::Result<Self> {
        let (sender, jobs) = mpsc::channel();
        let jobs = Arc::new(Mutex::new(jobs));
        for _ in 0..count.get() {
            let jobs = Arc::clone(&jobs);
            thread::Builder::new()
                .name("password-hash".to_owned())
                .spawn(move || work(&jobs))?;
        }
        Ok(Self(sender))
    }

    /// Runs `work` on one of the threads.
    pub(super) async fn run<T: Send + 'static>(
        &self,
        work: impl FnOnce() -> T + Send + 'static,
    ) -> Result<T, Interrupted> {
        let (sender, result) = oneshot::channel();
        let job = move || {
            // Nobody waits any more: the client has gone.
            let _ = sender.send(work());
        };
        self.0.send(Box::new(job)).map_err(|_| Interrupted)?;
        result.await.map_err(|_| Interrupted)
    }
}

fn work(jobs: &Mutex<mpsc::Receiver<Job>>) {
    // Refused nowhere that is known; then hashes and requests take turns as equals.
    let _ = rustix::process::nice(NICER);
    loop {
        let job = jobs.lock().unwrap_or_else(PoisonError::into_inner).recv();
        let Ok(job) = job else {
            return;
        };
        // Its end is told by what it drops; the thread goes on.
        let _ = catch_unwind(AssertUnwindSafe(job));
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn workers() -> Workers {
        Workers::start(NonZeroU16::MIN).unwrap()
    }

    #[tokio::test]
    async fn work_is_done_behind_the_threads_that_serve() {
        let own = rustix::process::getpriority_process(None).unwrap();
        let theirs = workers()
            .run(|| rustix::process::getpriority_process(None).unwrap())
            .await
            .unwrap();
        assert_eq!(theirs, (own + NICER).min(19));
        assert_eq!(rustix::process::getpriority_process(None).unwrap(), own);
    }

    #[tokio::test]
    async fn a_panic_ends_no_thread() {
        let workers = workers();
        assert!(workers.run(|| assert_eq!(1, 2)).await.is_err());
        assert_eq!(workers.run(|| 7).await.unwrap(), 7);
    }
}

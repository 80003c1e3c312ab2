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

use thread_priority::{
    NormalThreadSchedulePolicy::Idle, ThreadPriority, ThreadSchedulePolicy, set_thread_priority_and_policy,
    thread_native_id,
};
use tokio::sync::oneshot;

use super::{memory::Memory, turns::Turns};

type Job = Box<dyn FnOnce(&mut Memory) + Send>;

/// A fixed number of threads, each with memory of its own. They end with the last clone.
#[derive(Clone)]
pub(super) struct Workers {
    jobs: mpsc::Sender<Job>,
    turns: Arc<Turns>,
}

/// The thread was gone, or the work panicked.
#[derive(Debug, thiserror::Error)]
#[error("hashing was interrupted")]
pub(crate) struct Interrupted;

impl Workers {
    /// Starts so many threads, each of which keeps so many blocks.
    pub(super) fn start(count: NonZeroU16, blocks: usize) -> io::Result<Self> {
        let (sender, jobs) = mpsc::channel();
        let jobs = Arc::new(Mutex::new(jobs));
        let turns = Arc::new(Turns::start(count));
        for _ in 0..count.get() {
            let (jobs, turns) = (Arc::clone(&jobs), Arc::clone(&turns));
            thread::Builder::new()
                .name("password-hash".to_owned())
                .spawn(move || work(&jobs, &turns, Memory::new(blocks)))?;
        }
        Ok(Self { jobs: sender, turns })
    }

    /// Gets others the cores.
    pub(super) fn turns(&self) -> &Turns {
        &self.turns
    }

    /// Runs `work` on one of the threads, in its turn.
    pub(super) async fn run<T: Send + 'static>(
        &self,
        work: impl FnOnce(&mut Memory) -> T + Send + 'static,
    ) -> Result<T, Interrupted> {
        let (sender, result) = oneshot::channel();
        let job = move |memory: &mut Memory| {
            // Nobody waits any more: the client has gone.
            let _ = sender.send(work(memory));
        };
        self.jobs.send(Box::new(job)).map_err(|_| Interrupted)?;
        result.await.map_err(|_| Interrupted)
    }
}

/// Puts this thread behind every other one of its container, whose share among others stays as it is; an idle core is its all
/// the same. A thread that is only nicer finishes its slice, some 3 ms, while one that serves has woken up already; one of
/// this policy does not (`SCHED_IDLE` in sched(7)).
fn give_way() -> Result<(), thread_priority::Error> {
    set_thread_priority_and_policy(
        thread_native_id(),
        ThreadPriority::Min,
        ThreadSchedulePolicy::Normal(Idle),
    )
}

fn work(jobs: &Mutex<mpsc::Receiver<Job>>, turns: &Turns, mut memory: Memory) {
    // Refused nowhere that is known; then hashes and requests take turns as equals.
    let _ = give_way();
    loop {
        let job = jobs.lock().unwrap_or_else(PoisonError::into_inner).recv();
        let Ok(mut job) = job else {
            return;
        };
        let _hashing = turns.hashing();
        loop {
            // Its end is told by what it drops; the thread goes on.
            let _ = catch_unwind(AssertUnwindSafe(|| job(&mut memory)));
            match next(jobs) {
                // It overwrites all that is left, so wiping, a tenth of a hash's time, is for pauses.
                Some(waiting) => job = waiting,
                None => break,
            }
        }
        memory.wipe();
    }
}

/// A job that waits already. Where another thread waits for one, there is none.
fn next(jobs: &Mutex<mpsc::Receiver<Job>>) -> Option<Job> {
    match jobs.try_lock() {
        Ok(jobs) => jobs.try_recv().ok(),
        Err(_) => None,
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use thread_priority::thread_schedule_policy;

    use super::*;

    /// Blocks that the only thread keeps.
    const KEPT: usize = 4;

    fn workers() -> Workers {
        Workers::start(NonZeroU16::MIN, KEPT).unwrap()
    }

    /// What its memory is like once nobody has asked for a hash for a while.
    async fn in_a_pause(workers: &Workers, is_so: fn(&Memory) -> bool) {
        let look = async { while !workers.run(move |memory| is_so(memory)).await.unwrap() {} };
        tokio::time::timeout(Duration::from_secs(10), look).await.unwrap();
    }

    #[tokio::test]
    async fn work_is_done_behind_the_threads_that_serve() {
        let own = thread_schedule_policy().unwrap();
        let theirs = workers()
            .run(|_| thread_schedule_policy().unwrap())
            .await
            .unwrap();
        assert_eq!(theirs, ThreadSchedulePolicy::Normal(Idle));
        assert_eq!(thread_schedule_policy().unwrap(), own);
        assert_ne!(own, theirs);
    }

    #[tokio::test]
    async fn a_panic_ends_no_thread() {
        let workers = workers();
        assert!(workers.run(|_| assert_eq!(1, 2)).await.is_err());
        assert_eq!(workers.run(|_| 7).await.unwrap(), 7);
    }
    #[tokio::test]
    async fn what_a_hash_leaves_in_memory_is_wiped_in_the_next_pause() {
        let workers = workers();
        let left = |memory: &mut Memory| memory.blocks(KEPT)[0].as_mut()[0] = 7;
        workers.run(left).await.unwrap();
        in_a_pause(&workers, Memory::is_wiped).await;
        workers
            .run(move |memory| {
                left(memory);
                panic!("a hash fails midway");
            })
            .await
            .unwrap_err();
        in_a_pause(&workers, Memory::is_wiped).await;
    }

    #[tokio::test]
    async fn what_a_hash_takes_beyond_its_own_is_given_back() {
        let workers = workers();
        let large = |memory: &mut Memory| memory.blocks(KEPT + 1).len();
        assert_eq!(workers.run(large).await.unwrap(), KEPT + 1);
        in_a_pause(&workers, |memory| memory.capacity() <= KEPT).await;
    }
}

//! Gets those who serve the cores soon while hashes take all of them.
//!
//! `SCHED_IDLE` puts a hash behind every thread that serves, yet Linux's scheduler (EEVDF, since 6.6) lets a thread that
//! wakes have the core only once it is *eligible*: once what its last turns took too much, were it a microsecond, is made
//! up for. Where it is not, the hash goes on, and the scheduler looks again at its next tick, up to 4 ms later. It also
//! looks whenever a thread goes to sleep. So on each core one that has nothing to do wakes and goes to sleep again, while
//! hashes run and somebody who is signed in asks for something. Each time costs the hash some microseconds, in a virtual
//! machine tens; to those who wait for a hash a tick is nothing.

use std::{
    mem,
    num::NonZeroU16,
    sync::{
        Arc,
        atomic::{AtomicBool, AtomicUsize, Ordering},
    },
    thread::{self, Thread},
    time::{Duration, Instant},
};

use nix::{
    sched::{CpuSet, sched_getaffinity, sched_setaffinity},
    unistd::Pid,
};

/// As long as a thread that serves waits at most for the scheduler to look, while somebody asks.
const SOON: Duration = Duration::from_micros(500);
/// Somebody asks until nobody has asked for so long.
const CALM: Duration = Duration::from_millis(100);
/// The pace at last while nobody asks: seldom enough to cost nothing.
const SELDOM: Duration = Duration::from_millis(16);
/// This thread, to the scheduler.
const SELF: Pid = Pid::from_raw(0);

/// A thread on each core, asleep while nobody hashes. They end with this.
pub(super) struct Turns {
    state: Arc<State>,
    cores: Vec<Thread>,
}

#[derive(Default)]
struct State {
    /// Threads that are hashing.
    hashing: AtomicUsize,
    /// How often somebody asked. It wraps.
    asked: AtomicUsize,
    ended: AtomicBool,
}

/// A thread is hashing.
pub(super) struct Hashing<'a>(&'a Turns);

impl Turns {
    /// For so many threads that hash. Where the process may use more cores than these take, or may not choose among them,
    /// it does nothing.
    pub(super) fn start(hashing: NonZeroU16) -> Self {
        let state = Arc::<State>::default();
        let cores = own_cores();
        let enough = cores.len() <= usize::from(hashing.get());
        let cores = cores.into_iter().filter(|_| enough);
        let threads = cores.filter_map(|core| {
            let state = Arc::clone(&state);
            let looks = thread::Builder::new().name("hash-turns".to_owned());
            // Without it, requests wait longer while many sign in.
            looks.spawn(move || look(core, &state)).ok()
        });
        Self {
            cores: threads.map(|handle| handle.thread().clone()).collect(),
            state,
        }
    }

    /// To be kept while a thread hashes.
    pub(super) fn hashing(&self) -> Hashing<'_> {
        if self.state.hashing.fetch_add(1, Ordering::AcqRel) == 0 {
            self.wake();
        }
        Hashing(self)
    }

    /// Somebody asks.
    pub(super) fn make_way(&self) {
        self.state.asked.fetch_add(1, Ordering::Relaxed);
    }

    fn wake(&self) {
        self.cores.iter().for_each(Thread::unpark);
    }
}

impl Drop for Turns {
    fn drop(&mut self) {
        self.state.ended.store(true, Ordering::Release);
        self.wake();
    }
}

impl Drop for Hashing<'_> {
    fn drop(&mut self) {
        self.0.state.hashing.fetch_sub(1, Ordering::AcqRel);
    }
}

/// The cores that this process may use.
fn own_cores() -> Vec<usize> {
    let Ok(own) = sched_getaffinity(SELF) else {
        return Vec::new();
    };
    let all = 0..CpuSet::count();
    all.filter(|core| own.is_set(*core) == Ok(true)).collect()
}

fn stay_on(core: usize) -> nix::Result<()> {
    let mut only = CpuSet::new();
    only.set(core)?;
    sched_setaffinity(SELF, &only)
}

fn look(core: usize, state: &State) {
    if stay_on(core).is_err() {
        return;
    }
    let (mut pause, mut asked, mut asked_at) = (SOON, 0, Instant::now());
    while !state.ended.load(Ordering::Acquire) {
        if state.hashing.load(Ordering::Acquire) == 0 {
            thread::park();
            pause = SOON;
            continue;
        }
        thread::sleep(pause);
        let now = Instant::now();
        let before = mem::replace(&mut asked, state.asked.load(Ordering::Relaxed));
        if asked != before {
            asked_at = now;
        }
        pause = next_pause(pause, now.duration_since(asked_at));
    }
}

/// After a pause, when nobody has asked for so long.
fn next_pause(pause: Duration, calm: Duration) -> Duration {
    if calm < CALM { SOON } else { SELDOM.min(pause * 2) }
}

#[cfg(test)]
mod tests {
    use std::{collections::BTreeSet, fs, path::PathBuf};

    use nix::libc::{SYS_clock_nanosleep, SYS_futex};

    use super::*;

    /// What the kernel tells of each thread here that looks.
    fn looking(file: &str) -> Vec<String> {
        let tasks = fs::read_dir("/proc/self/task").unwrap();
        let tasks = tasks.map(|task| task.unwrap().path());
        // A thread may end in between.
        let is_one =
            |task: &PathBuf| fs::read_to_string(task.join("comm")).is_ok_and(|name| name == "hash-turns\n");
        let told = |task: PathBuf| fs::read_to_string(task.join(file)).ok();
        tasks.filter(is_one).filter_map(told).collect()
    }

    fn until(what: &str, is_so: impl Fn() -> bool) {
        let started = Instant::now();
        while !is_so() {
            assert!(started.elapsed() < Duration::from_secs(10), "never: {what}");
            thread::yield_now();
        }
    }

    /// The number of the system call in which each of them waits (`proc_pid_syscall(5)`).
    fn all_wait_in(call: i64) -> bool {
        let calls = looking("syscall");
        calls.len() == own_cores().len() && calls.iter().all(|told| told.starts_with(&format!("{call} ")))
    }

    #[test]
    fn the_pace_is_kept_while_somebody_asks_and_halves_again_and_again_after() {
        let mut pause = SOON;
        for _ in 0..10 {
            pause = next_pause(pause, CALM.saturating_sub(SOON));
            assert_eq!(pause, SOON);
        }
        let slower: Vec<_> = (0..7)
            .map(|_| {
                pause = next_pause(pause, CALM);
                pause.as_millis()
            })
            .collect();
        assert_eq!(slower, [1, 2, 4, 8, 16, 16, 16]);
        assert_eq!(next_pause(pause, Duration::ZERO), SOON);
    }

    /// Threads of other tests that hash go away.
    #[test]
    fn each_core_has_a_thread_that_looks_while_somebody_hashes_and_sleeps_otherwise() {
        let cores = own_cores();
        let hashing = u16::try_from(cores.len()).unwrap().try_into().unwrap();
        let turns = Turns::start(hashing);
        until("they sleep", || all_wait_in(SYS_futex));

        let affinity = "Cpus_allowed_list:\t";
        let statuses = looking("status");
        let theirs: BTreeSet<usize> = statuses
            .iter()
            .filter_map(|status| status.lines().find_map(|line| line.strip_prefix(affinity)))
            .map(|core| core.parse().unwrap())
            .collect();
        assert_eq!(theirs, cores.into_iter().collect());

        let (one, other) = (turns.hashing(), turns.hashing());
        until("they look", || all_wait_in(SYS_clock_nanosleep));
        drop(one);
        assert_eq!(turns.state.hashing.load(Ordering::Acquire), 1, "they go on");
        drop(other);
        until("they sleep again", || all_wait_in(SYS_futex));

        drop(turns);
        until("they end", || looking("comm").is_empty());
    }
}

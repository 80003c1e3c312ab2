//! Call stacks of the running process, sampled by a timer signal (`SIGPROF`, of CPU time) into a fixed ring of memory.
//!
//! A signal can interrupt a thread anywhere, in the allocator or with a lock held. So its handler allocates nothing and
//! takes no lock: it copies the stack through `/proc/self/mem`, which answers with an error where there is no memory, walks the
//! frame pointers in the copy, and writes into a slot of its own. Build with `-C force-frame-pointers=yes`.
//!
//! This is a crate of its own because of its unsafe code: three calls.

mod ring;
mod signal;
mod walk;

use std::{
    fs::File,
    io,
    sync::{
        OnceLock,
        atomic::{AtomicBool, Ordering},
    },
    time::SystemTime,
};

use ring::Ring;

/// Frames of one stack; what lies further out is cut off.
pub const MAX_DEPTH: usize = 128;

/// Samples that wait to be taken. Each is 1 KiB, and none becomes memory before it is first used.
pub const CAPACITY: usize = 1024;

static RING: Ring = Ring::new();

/// The memory of this process, through which the handler reads it.
static MEMORY: OnceLock<File> = OnceLock::new();

/// A process has one such timer.
static IS_RUNNING: AtomicBool = AtomicBool::new(false);

/// One call stack.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Sample {
    /// When it was taken.
    pub time: SystemTime,
    /// The kernel's number of the thread, as `gettid` gives it.
    pub thread: u64,
    /// Return addresses, innermost first: each is the address after the call, or after the beginning of the instruction
    /// that was interrupted, so that the one before it is the place that a person looks for.
    pub addresses: Vec<usize>,
}

/// Samples as long as it lives.
#[derive(Debug)]
pub struct Sampler(());

impl Sampler {
    /// Starts to take `frequency` samples per second of CPU time that the process uses. It fails while another one lives, and
    /// where the process may not read its own memory.
    pub fn start(frequency: u32) -> io::Result<Self> {
        if MEMORY.get().is_none() {
            // Two at once are the same file, and one of them stays.
            let _ = MEMORY.set(File::open("/proc/self/mem")?);
        }
        if IS_RUNNING.swap(true, Ordering::AcqRel) {
            return Err(io::Error::other("the process is being sampled already"));
        }
        let sampler = Self(());
        // What an earlier sampler left behind is not this one's.
        RING.take(drop);
        RING.take_lost();
        signal::handle()?;
        signal::set_timer(frequency)?;
        Ok(sampler)
    }

    /// Moves out what was sampled since the last call, in no particular order.
    pub fn take(&mut self) -> Vec<Sample> {
        let mut samples = Vec::new();
        RING.take(|sample| samples.push(sample));
        samples
    }

    /// How many samples found no room since the last call.
    pub fn take_lost(&mut self) -> u64 {
        RING.take_lost()
    }
}

impl Drop for Sampler {
    fn drop(&mut self) {
        // It cannot fail with a period of zero. The handler stays: a signal may still be on its way, and without a handler it
        // would end the process.
        let _ = signal::set_timer(0);
        IS_RUNNING.store(false, Ordering::Release);
    }
}

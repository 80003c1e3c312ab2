//! What was sampled, slice by slice, with the names of the threads.

use std::{collections::HashMap, fs, io, sync::Arc, sync::LazyLock, time::SystemTime};

use nix::unistd::gettid;

use crate::metrics::{Counter, counter};

/// Samples per second of CPU time. Not 100: work that a timer starts every 10 ms would be seen always or never.
pub(super) const FREQUENCY: u32 = 101;

/// Threads whose names are remembered.
const MAX_THREADS: usize = 4096;

static LOST: LazyLock<Counter> = LazyLock::new(|| {
    counter(
        "telemetry.profile.samples.lost",
        "Samples of the CPU profiler that found no room: more than a thousand in a second.",
    )
});

/// What was sampled from `start` to `end`.
#[derive(Clone, Debug)]
pub(super) struct Slice {
    pub(super) start: SystemTime,
    pub(super) end: SystemTime,
    /// In the order of time.
    pub(super) samples: Vec<Sample>,
}

/// A thread's call stack at one moment.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Sample {
    pub(super) time: SystemTime,
    pub(super) thread: Thread,
    /// Return addresses, innermost first.
    pub(super) addresses: Vec<usize>,
}

/// A thread, by the number that `gettid` gives in it.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct Thread {
    pub(super) id: u64,
    pub(super) name: Arc<str>,
}

/// Samples as long as it lives, all threads but that which reads them. A process can have only one.
pub(super) struct Sampler {
    timer: tracewell_sampler::Sampler,
    names: HashMap<u64, Arc<str>>,
    since: SystemTime,
}

impl Sampler {
    pub(super) fn start() -> io::Result<Self> {
        // A loss that never happened must read 0, not be absent.
        LOST.add(0, &[]);
        Ok(Self {
            timer: tracewell_sampler::Sampler::start(FREQUENCY)?,
            names: HashMap::new(),
            since: SystemTime::now(),
        })
    }

    /// What was sampled since the start or the last call.
    pub(super) fn slice(&mut self) -> Slice {
        let taken = self.timer.take();
        LOST.add(self.timer.take_lost(), &[]);
        let end = SystemTime::now();
        // What the profiler does for itself is of no use.
        let own = u64::try_from(gettid().as_raw()).unwrap_or_default();
        let mut samples: Vec<_> = taken
            .into_iter()
            .filter(|sample| sample.thread != own)
            .map(|sample| Sample {
                time: sample.time,
                thread: Thread {
                    id: sample.thread,
                    name: self.name(sample.thread),
                },
                addresses: sample.addresses,
            })
            .collect();
        samples.sort_by_key(|sample| sample.time);
        Slice {
            start: std::mem::replace(&mut self.since, end),
            end,
            samples,
        }
    }

    fn name(&mut self, thread: u64) -> Arc<str> {
        if self.names.len() >= MAX_THREADS {
            self.names.clear();
        }
        let name = || {
            // One that has ended meanwhile has no name any more.
            let name = fs::read_to_string(format!("/proc/self/task/{thread}/comm"));
            name.map_or_else(|_| thread.to_string().into(), |name| name.trim_end().into())
        };
        self.names.entry(thread).or_insert_with(name).clone()
    }
}

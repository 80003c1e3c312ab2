//! The one timer signal of a process, and what it sampled, slice by slice.

use std::{fs, time::SystemTime};

use pprof::{ProfilerGuard, ProfilerGuardBuilder, UnresolvedReport};

/// Samples per second of CPU time. Not 100: work that a timer starts every 10 ms would be seen always or never.
pub(super) const FREQUENCY: i32 = 101;

/// Libraries in which a sample is not walked: their code keeps no frame pointers. It has no effect on a static
/// binary, which has no libraries; there the walk ends where an address cannot be read.
const BLOCKLIST: [&str; 4] = ["libc", "libgcc", "pthread", "vdso"];

/// pprof is started anew after this many distinct stacks: it never forgets one, and copies all of them under
/// a lock that costs samples.
const MAX_STACKS: usize = 512;

/// The sampler could not start or be read.
#[derive(Debug, thiserror::Error)]
pub(super) enum SamplerError {
    #[error("no temporary file can be written in {folder} (set TMPDIR, or mount a writable /tmp)")]
    NoTemporaryFolder { folder: String },
    #[error("pprof failed")]
    Pprof(#[from] pprof::Error),
}

/// What was sampled from `start` to `end`.
#[derive(Clone, Debug)]
pub(super) struct Slice {
    pub(super) start: SystemTime,
    pub(super) end: SystemTime,
    pub(super) stacks: Vec<Stack>,
}

/// A call stack, and how often it was met in a slice.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct Stack {
    pub(super) thread: Thread,
    /// Return addresses, innermost first.
    pub(super) addresses: Vec<usize>,
    pub(super) count: u32,
}

/// A thread, by the number that `pthread_self` gives in it.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct Thread {
    pub(super) id: u64,
    pub(super) name: String,
}

/// Samples as long as it lives. A process can have only one.
pub(super) struct Sampler {
    /// `None` only while it is replaced.
    guard: Option<ProfilerGuard<'static>>,
    /// Everything since pprof was started; pprof counts, it does not reset.
    before: Option<UnresolvedReport>,
    since: SystemTime,
}

impl Sampler {
    pub(super) fn start() -> Result<Self, SamplerError> {
        Ok(Self {
            guard: Some(start_pprof()?),
            before: None,
            since: SystemTime::now(),
        })
    }

    /// What was sampled since the start or the last call.
    pub(super) fn slice(&mut self) -> Result<Slice, SamplerError> {
        let Some(guard) = &self.guard else {
            return Err(pprof::Error::NotRunning.into());
        };
        let now = guard.report().build_unresolved()?;
        let start = std::mem::replace(&mut self.since, SystemTime::now());
        let mut stacks = Vec::new();
        for (stack, count) in &now.data {
            let known = self.before.as_ref().and_then(|before| before.data.get(stack));
            let new = count - known.copied().unwrap_or(0);
            if let Ok(count @ 1..) = u32::try_from(new) {
                let name = &stack.thread_name[..stack.thread_name_length];
                stacks.push(Stack {
                    thread: Thread {
                        id: stack.thread_id,
                        name: String::from_utf8_lossy(name).into_owned(),
                    },
                    addresses: stack.frames.iter().map(|frame| frame.ip).collect(),
                    count,
                });
            }
        }
        if now.data.len() > MAX_STACKS {
            // The old one first: a process can have only one.
            drop(self.guard.take());
            self.before = None;
            self.guard = Some(start_pprof()?);
        } else {
            self.before = Some(now);
        }
        // Hash maps have no order, and the same samples must make the same profile.
        stacks.sort_unstable();
        Ok(Slice {
            start,
            end: self.since,
            stacks,
        })
    }
}

fn start_pprof() -> Result<ProfilerGuard<'static>, SamplerError> {
    // pprof remembers for ever that it found no place for its file and does not say so, hence the look before.
    let folder = std::env::temp_dir();
    let writable =
        fs::metadata(&folder).is_ok_and(|folder| folder.is_dir() && !folder.permissions().readonly());
    if !writable {
        return Err(SamplerError::NoTemporaryFolder {
            folder: folder.display().to_string(),
        });
    }
    let builder = ProfilerGuardBuilder::default().frequency(FREQUENCY);
    Ok(builder.blocklist(&BLOCKLIST).build()?)
}

//! Slices of samples as Sentry's `profile_chunk`, sample format version 2.
//!
//! There is no `debug_meta`: with it Sentry would look for debug files to symbolicate platform `rust`, and
//! drop the names that are here already.

use std::{
    collections::{BTreeMap, HashMap},
    sync::Arc,
    time::{Duration, SystemTime, UNIX_EPOCH},
};

use sentry::types::random_uuid;
use serde::Serialize;
use serde_json::Value;

use super::sampler::{self, FREQUENCY, Slice, Thread};
use crate::symbols::Frame;

/// What all chunks of a process say.
#[derive(Clone, Debug)]
pub(super) struct ChunkHeader {
    pub(super) profiler_id: String,
    release: String,
    environment: String,
}

impl ChunkHeader {
    pub(super) fn new(release: String, environment: String) -> Self {
        Self {
            profiler_id: new_id(),
            release,
            environment,
        }
    }
}

#[derive(Serialize)]
struct Chunk<'a> {
    version: &'static str,
    platform: &'static str,
    profiler_id: &'a str,
    #[serde(rename = "chunk_id")]
    id: String,
    release: &'a str,
    environment: &'a str,
    client_sdk: Sdk,
    profile: Profile,
}

#[derive(Serialize)]
struct Sdk {
    name: &'static str,
    version: &'static str,
}

#[derive(Default, Serialize)]
struct Profile {
    samples: Vec<Sample>,
    /// Indices of frames, innermost first.
    stacks: Vec<Vec<usize>>,
    frames: Vec<Frame>,
    thread_metadata: BTreeMap<String, ThreadMetadata>,
}

#[derive(Serialize)]
struct Sample {
    /// Seconds since 1970.
    timestamp: f64,
    stack_id: usize,
    thread_id: String,
}

#[derive(Serialize)]
struct ThreadMetadata {
    name: String,
}

/// The chunk of these slices; `None` if no sample has a function with a name, so that there is nothing to see.
pub(super) fn build_chunk(
    header: &ChunkHeader,
    slices: &[Slice],
    resolve: impl FnMut(usize) -> Arc<[Frame]>,
) -> Option<Value> {
    let mut tables = Tables {
        resolve,
        profile: Profile::default(),
        stacks: HashMap::new(),
        frames: HashMap::new(),
    };
    let mut threads: BTreeMap<u64, Vec<&sampler::Sample>> = BTreeMap::new();
    for sample in slices.iter().flat_map(|slice| &slice.samples) {
        threads.entry(sample.thread.id).or_default().push(sample);
    }
    for samples in threads.values() {
        tables.add_thread(samples);
    }
    let mut profile = tables.profile;
    if profile.samples.is_empty() {
        return None;
    }
    profile
        .samples
        .sort_by(|one, other| one.timestamp.total_cmp(&other.timestamp));
    let chunk = Chunk {
        version: "2",
        platform: "rust",
        profiler_id: &header.profiler_id,
        id: new_id(),
        release: &header.release,
        environment: &header.environment,
        client_sdk: Sdk {
            name: "tracewell.telemetry",
            version: env!("CARGO_PKG_VERSION"),
        },
        profile,
    };
    serde_json::to_value(chunk).ok()
}

/// The tables of a profile, where each stack and each frame stands once.
struct Tables<R> {
    resolve: R,
    profile: Profile,
    stacks: HashMap<Vec<usize>, usize>,
    frames: HashMap<Frame, usize>,
}

impl<R: FnMut(usize) -> Arc<[Frame]>> Tables<R> {
    /// Adds the samples of one thread. Sentry weighs a sample by the time to the next one of its thread: where that does
    /// not come soon, an empty stack ends the row, or the sample would weigh all the time in which the thread had nothing to do.
    fn add_thread(&mut self, samples: &[&sampler::Sample]) {
        let named: Vec<_> = samples
            .iter()
            .filter_map(|sample| Some((*sample, self.stack(&sample.addresses)?)))
            .collect();
        for (at, (sample, stack_id)) in named.iter().enumerate() {
            self.push(sample.time, *stack_id, &sample.thread);
            let end = sample.time + PERIOD;
            let is_followed = named
                .get(at + 1)
                .is_some_and(|(next, _)| next.time <= end + PERIOD);
            if !is_followed {
                let idle = self.place(Vec::new());
                self.push(end, idle, &sample.thread);
            }
        }
    }

    fn push(&mut self, time: SystemTime, stack_id: usize, thread: &Thread) {
        self.profile.samples.push(Sample {
            timestamp: seconds(time),
            stack_id,
            thread_id: thread.id.to_string(),
        });
        let name = || ThreadMetadata {
            name: thread.name.to_string(),
        };
        let threads = &mut self.profile.thread_metadata;
        threads.entry(thread.id.to_string()).or_insert_with(name);
    }

    /// The place of this stack in the table; `None` if nothing on it has a name.
    fn stack(&mut self, addresses: &[usize]) -> Option<usize> {
        let mut stack = Vec::with_capacity(addresses.len());
        for address in addresses {
            for frame in &*(self.resolve)(*address) {
                stack.push(self.frame(frame));
            }
        }
        (!stack.is_empty()).then(|| self.place(stack))
    }

    fn place(&mut self, stack: Vec<usize>) -> usize {
        let stacks = &mut self.profile.stacks;
        *self.stacks.entry(stack).or_insert_with_key(|stack| {
            stacks.push(stack.clone());
            stacks.len() - 1
        })
    }

    fn frame(&mut self, frame: &Frame) -> usize {
        if let Some(place) = self.frames.get(frame) {
            return *place;
        }
        let place = self.profile.frames.len();
        self.profile.frames.push(frame.clone());
        self.frames.insert(frame.clone(), place);
        place
    }
}

/// The CPU time that a sample stands for.
const PERIOD: Duration = Duration::from_nanos(1_000_000_000 / FREQUENCY as u64);

fn seconds(time: SystemTime) -> f64 {
    time.duration_since(UNIX_EPOCH).unwrap_or_default().as_secs_f64()
}

/// A random id of 32 hex digits.
fn new_id() -> String {
    random_uuid().simple().to_string()
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn frame(function: &str) -> Frame {
        Frame {
            function: function.to_owned(),
            module: "shop".to_owned(),
            in_app: true,
            ..Frame::default()
        }
    }

    /// Address 1 is `main`, 2 is `inner` inlined into `outer`, and 9 has no name.
    fn resolve(address: usize) -> Arc<[Frame]> {
        match address {
            1 => vec![frame("main")],
            2 => vec![frame("inner"), frame("outer")],
            _ => Vec::new(),
        }
        .into()
    }

    /// Samples at so many milliseconds after 100 s, each of a thread.
    fn slice(samples: &[(u64, u64, &[usize])]) -> Slice {
        let start = UNIX_EPOCH + Duration::from_secs(100);
        let sample = |(at, id, addresses): &(u64, u64, &[usize])| sampler::Sample {
            time: start + Duration::from_millis(*at),
            thread: Thread {
                id: *id,
                name: format!("worker-{id}").into(),
            },
            addresses: addresses.to_vec(),
        };
        Slice {
            start,
            end: start + Duration::from_secs(1),
            samples: samples.iter().map(sample).collect(),
        }
    }

    fn header() -> ChunkHeader {
        ChunkHeader::new("shop@1.2.3".to_owned(), "test".to_owned())
    }

    #[test]
    fn a_chunk_has_the_shape_of_version_2() {
        let header = header();
        let slices = [
            slice(&[(0, 7, &[2, 1]), (5, 8, &[1]), (10, 7, &[2, 1]), (25, 7, &[1])]),
            slice(&[(1000, 7, &[2, 1])]),
        ];
        let mut chunk = build_chunk(&header, &slices, resolve).unwrap();
        let id = chunk["chunk_id"].take();
        assert!(id.as_str().is_some_and(|id| id.len() == 32), "{id}");
        let sample = |milliseconds, late: Duration, stack: usize, thread: &str| {
            let at = Duration::from_secs(100) + Duration::from_millis(milliseconds) + late;
            json!({"timestamp": at.as_secs_f64(), "stack_id": stack, "thread_id": thread})
        };
        let (now, then) = (Duration::ZERO, PERIOD);
        let expected = json!({
            "version": "2",
            "platform": "rust",
            "profiler_id": header.profiler_id,
            "chunk_id": null,
            "release": "shop@1.2.3",
            "environment": "test",
            "client_sdk": {"name": "tracewell.telemetry", "version": env!("CARGO_PKG_VERSION")},
            "profile": {
                "samples": [
                    sample(0, now, 0, "7"), sample(5, now, 1, "8"), sample(10, now, 0, "7"), sample(5, then, 2, "8"),
                    sample(25, now, 1, "7"), sample(25, then, 2, "7"),
                    sample(1000, now, 0, "7"), sample(1000, then, 2, "7"),
                ],
                "stacks": [[0, 1, 2], [2], []],
                "frames": [
                    {"function": "inner", "module": "shop", "in_app": true},
                    {"function": "outer", "module": "shop", "in_app": true},
                    {"function": "main", "module": "shop", "in_app": true},
                ],
                "thread_metadata": {"7": {"name": "worker-7"}, "8": {"name": "worker-8"}},
            },
        });
        assert_eq!(chunk, expected);
    }

    #[test]
    fn without_a_name_there_is_no_chunk() {
        assert_eq!(build_chunk(&header(), &[], resolve), None);
        assert_eq!(
            build_chunk(&header(), &[slice(&[(0, 7, &[9, 9])])], resolve),
            None
        );
    }
}

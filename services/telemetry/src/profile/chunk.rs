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

use super::{
    sampler::{FREQUENCY, Slice},
    symbols::Frame,
};

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
    for slice in slices {
        tables.add(slice);
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
    /// When in the slice a stack was met is not known. So the samples of a thread follow each other from its start.
    /// Sentry weighs a sample by the time to the next one of its thread: an empty stack ends the row, or the last sample
    /// would weigh all the time in which the thread had nothing to do.
    fn add(&mut self, slice: &Slice) {
        for stacks in slice.stacks.chunk_by(|one, other| one.thread == other.thread) {
            let thread = &stacks[0].thread;
            let step = step(slice, stacks.iter().map(|stack| stack.count).sum());
            let named: Vec<_> = stacks
                .iter()
                .filter_map(|stack| Some((self.stack(&stack.addresses)?, stack.count)))
                .collect();
            if named.is_empty() {
                continue;
            }
            let busy = named.iter().flat_map(|(id, count)| (0..*count).map(|_| *id));
            let row: Vec<_> = busy.chain([self.place(Vec::new())]).collect();
            let mut at = slice.start;
            for stack_id in row {
                self.profile.samples.push(Sample {
                    timestamp: seconds(at),
                    stack_id,
                    thread_id: thread.id.to_string(),
                });
                at += step;
            }
            let name = || ThreadMetadata {
                name: thread.name.clone(),
            };
            let threads = &mut self.profile.thread_metadata;
            threads.entry(thread.id.to_string()).or_insert_with(name);
        }
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

/// The CPU time that a sample stands for; less where `count` of them would not fit into the slice.
fn step(slice: &Slice, count: u32) -> Duration {
    let length = slice.end.duration_since(slice.start).unwrap_or_default();
    length
        .checked_div(count)
        .unwrap_or_default()
        .min(Duration::from_secs(1) / FREQUENCY.unsigned_abs())
}

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

    use super::{
        super::sampler::{Stack, Thread},
        *,
    };

    fn frame(function: &str) -> Frame {
        Frame {
            function: function.to_owned(),
            module: "shop".to_owned(),
            filename: None,
            lineno: None,
            in_app: true,
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

    fn slice(start: u64, stacks: &[(u64, &[usize], u32)]) -> Slice {
        let stack = |(id, addresses, count): &(u64, &[usize], u32)| Stack {
            thread: Thread {
                id: *id,
                name: format!("worker-{id}"),
            },
            addresses: addresses.to_vec(),
            count: *count,
        };
        Slice {
            start: UNIX_EPOCH + Duration::from_secs(start),
            end: UNIX_EPOCH + Duration::from_secs(start + 1),
            stacks: stacks.iter().map(stack).collect(),
        }
    }

    fn header() -> ChunkHeader {
        ChunkHeader::new("shop@1.2.3".to_owned(), "test".to_owned())
    }

    #[test]
    fn a_chunk_has_the_shape_of_version_2() {
        let header = header();
        let slices = [
            slice(100, &[(7, &[2, 1], 3), (7, &[1], 1), (8, &[1], 2)]),
            slice(101, &[(7, &[2, 1], 1)]),
        ];
        let mut chunk = build_chunk(&header, &slices, resolve).unwrap();
        let id = chunk["chunk_id"].take();
        assert!(id.as_str().is_some_and(|id| id.len() == 32), "{id}");
        let step = Duration::from_secs(1) / 101;
        let sample = |second: u64, steps: u32, stack: usize, thread: &str| {
            let timestamp = (Duration::from_secs(second) + step * steps).as_secs_f64();
            json!({"timestamp": timestamp, "stack_id": stack, "thread_id": thread})
        };
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
                    sample(100, 0, 0, "7"), sample(100, 0, 1, "8"), sample(100, 1, 0, "7"), sample(100, 1, 1, "8"),
                    sample(100, 2, 0, "7"), sample(100, 2, 2, "8"), sample(100, 3, 1, "7"), sample(100, 4, 2, "7"),
                    sample(101, 0, 0, "7"), sample(101, 1, 2, "7"),
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
    fn more_samples_than_fit_are_closer_to_each_other() {
        let slices = [slice(100, &[(7, &[1], 200)]), slice(101, &[(7, &[1], 1)])];
        let chunk = build_chunk(&header(), &slices, resolve).unwrap();
        let samples = chunk["profile"]["samples"].as_array().unwrap();
        let rows: Vec<_> = samples[198..]
            .iter()
            .map(|sample| (&sample["timestamp"], &sample["stack_id"]))
            .collect();
        let (first, idle) = (&json!(0), &json!(1));
        assert_eq!(
            rows[..3],
            [
                (&json!(100.99), first),
                (&json!(100.995), first),
                (&json!(101.0), idle)
            ]
        );
        assert_eq!(rows[3], (&json!(101.0), first));
    }

    #[test]
    fn without_a_name_there_is_no_chunk() {
        assert_eq!(build_chunk(&header(), &[], resolve), None);
        assert_eq!(
            build_chunk(&header(), &[slice(100, &[(7, &[9, 9], 50)])], resolve),
            None
        );
    }
}

//! Slices of samples in pprof's protobuf format, `perftools.profiles.Profile`.
//!
//! Source: github.com/google/pprof, proto/profile.proto; only the fields that are filled.

use std::{
    collections::{BTreeMap, HashMap},
    sync::Arc,
    time::UNIX_EPOCH,
};

use prost::Message;

use super::sampler::{self, FREQUENCY, Slice};
use crate::symbols::Frame;

/// Nanoseconds of CPU time between two samples.
fn period() -> i64 {
    1_000_000_000 / i64::from(FREQUENCY)
}

#[derive(PartialEq, Message)]
struct Profile {
    #[prost(message, repeated, tag = "1")]
    sample_type: Vec<ValueType>,
    #[prost(message, repeated, tag = "2")]
    sample: Vec<Sample>,
    #[prost(message, repeated, tag = "4")]
    location: Vec<Location>,
    #[prost(message, repeated, tag = "5")]
    function: Vec<Function>,
    /// The first is empty: 0 means none.
    #[prost(string, repeated, tag = "6")]
    string_table: Vec<String>,
    #[prost(int64, tag = "9")]
    time_nanos: i64,
    #[prost(int64, tag = "10")]
    duration_nanos: i64,
    #[prost(message, optional, tag = "11")]
    period_type: Option<ValueType>,
    #[prost(int64, tag = "12")]
    period: i64,
}

#[derive(Clone, PartialEq, Message)]
struct ValueType {
    #[prost(int64, tag = "1")]
    kind: i64,
    #[prost(int64, tag = "2")]
    unit: i64,
}

#[derive(PartialEq, Message)]
struct Sample {
    /// Innermost first.
    #[prost(uint64, repeated, tag = "1")]
    location_id: Vec<u64>,
    #[prost(int64, repeated, tag = "2")]
    value: Vec<i64>,
    #[prost(message, repeated, tag = "3")]
    label: Vec<Label>,
}

#[derive(PartialEq, Message)]
struct Label {
    #[prost(int64, tag = "1")]
    key: i64,
    #[prost(int64, tag = "2")]
    text: i64,
}

#[derive(PartialEq, Message)]
struct Location {
    #[prost(uint64, tag = "1")]
    id: u64,
    #[prost(uint64, tag = "3")]
    address: u64,
    /// Innermost first; more than one where calls were inlined.
    #[prost(message, repeated, tag = "4")]
    line: Vec<Line>,
}

#[derive(PartialEq, Message)]
struct Line {
    #[prost(uint64, tag = "1")]
    function_id: u64,
    #[prost(int64, tag = "2")]
    line: i64,
}

#[derive(PartialEq, Message)]
struct Function {
    #[prost(uint64, tag = "1")]
    id: u64,
    #[prost(int64, tag = "2")]
    name: i64,
    #[prost(int64, tag = "4")]
    filename: i64,
}

/// The profile of these slices, not compressed.
pub(super) fn encode(slices: &[Slice], resolve: impl FnMut(usize) -> Arc<[Frame]>) -> Vec<u8> {
    let mut tables = Tables {
        resolve,
        profile: Profile::default(),
        strings: HashMap::new(),
        locations: HashMap::new(),
        functions: HashMap::new(),
    };
    tables.string("");
    let samples = tables.value_type("samples", "count");
    let cpu = tables.value_type("cpu", "nanoseconds");
    tables.profile.sample_type = vec![samples, cpu.clone()];
    tables.profile.period_type = Some(cpu);
    tables.profile.period = period();
    if let (Some(first), Some(last)) = (slices.first(), slices.last()) {
        let start = first.start.duration_since(UNIX_EPOCH).unwrap_or_default();
        let length = last.end.duration_since(first.start).unwrap_or_default();
        tables.profile.time_nanos = i64::try_from(start.as_nanos()).unwrap_or(i64::MAX);
        tables.profile.duration_nanos = i64::try_from(length.as_nanos()).unwrap_or(i64::MAX);
    }
    let mut stacks: BTreeMap<_, i64> = BTreeMap::new();
    for sampler::Sample {
        thread, addresses, ..
    } in slices.iter().flat_map(|slice| &slice.samples)
    {
        *stacks.entry((thread, addresses)).or_default() += 1;
    }
    for ((thread, addresses), count) in stacks {
        tables.add(&thread.name, addresses, count);
    }
    tables.profile.encode_to_vec()
}

/// The tables of a profile, where each text, location and function stands once.
struct Tables<R> {
    resolve: R,
    profile: Profile,
    strings: HashMap<String, i64>,
    locations: HashMap<usize, u64>,
    /// Ids by name and file.
    functions: HashMap<(i64, i64), u64>,
}

impl<R: FnMut(usize) -> Arc<[Frame]>> Tables<R> {
    fn add(&mut self, thread: &str, addresses: &[usize], count: i64) {
        let location_id = addresses.iter().map(|address| self.location(*address)).collect();
        let label = Label {
            key: self.string("thread"),
            text: self.string(thread),
        };
        self.profile.sample.push(Sample {
            location_id,
            value: vec![count, count * period()],
            label: vec![label],
        });
    }

    fn location(&mut self, address: usize) -> u64 {
        if let Some(id) = self.locations.get(&address) {
            return *id;
        }
        let frames = (self.resolve)(address);
        let line = frames.iter().map(|frame| self.line(frame)).collect();
        let id = self.profile.location.len() as u64 + 1;
        self.profile.location.push(Location {
            id,
            address: address as u64,
            line,
        });
        self.locations.insert(address, id);
        id
    }

    fn line(&mut self, frame: &Frame) -> Line {
        let path = if frame.module.is_empty() {
            frame.function.clone()
        } else {
            format!("{}::{}", frame.module, frame.function)
        };
        let name = self.string(&path);
        let filename = self.string(frame.filename.as_deref().unwrap_or_default());
        let functions = &mut self.profile.function;
        let function_id = *self.functions.entry((name, filename)).or_insert_with(|| {
            let id = functions.len() as u64 + 1;
            functions.push(Function { id, name, filename });
            id
        });
        Line {
            function_id,
            line: frame.lineno.map_or(0, i64::from),
        }
    }

    fn value_type(&mut self, kind: &str, unit: &str) -> ValueType {
        ValueType {
            kind: self.string(kind),
            unit: self.string(unit),
        }
    }

    fn string(&mut self, text: &str) -> i64 {
        if let Some(place) = self.strings.get(text) {
            return *place;
        }
        let place = i64::try_from(self.profile.string_table.len()).unwrap_or_default();
        self.profile.string_table.push(text.to_owned());
        self.strings.insert(text.to_owned(), place);
        place
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::{super::sampler::Thread, *};

    fn frame(function: &str, line: u32) -> Frame {
        Frame {
            function: function.to_owned(),
            module: "shop".to_owned(),
            filename: Some("cart.rs".to_owned()),
            lineno: Some(line),
            in_app: true,
            ..Frame::default()
        }
    }

    #[test]
    fn what_is_encoded_is_the_samples_with_each_text_once() {
        let start = UNIX_EPOCH + Duration::from_secs(5);
        let sample = |addresses: &[usize]| sampler::Sample {
            time: start,
            thread: Thread {
                id: 7,
                name: "worker".into(),
            },
            addresses: addresses.to_vec(),
        };
        let (hot, cool) = (sample(&[0x20, 0x10]), sample(&[0x10]));
        let slice = Slice {
            start,
            end: start + Duration::from_secs(1),
            samples: vec![hot.clone(), cool, hot],
        };
        let bytes = encode(&[slice.clone(), slice], |address| match address {
            0x10 => [frame("main", 1)].into(),
            _ => [frame("inner", 9), frame("outer", 4)].into(),
        });
        let profile = Profile::decode(bytes.as_slice()).unwrap();
        let text = |place: i64| profile.string_table[usize::try_from(place).unwrap()].as_str();
        assert_eq!(text(0), "");
        let samples: Vec<_> = profile
            .sample
            .iter()
            .map(|sample| (&*sample.location_id, &*sample.value))
            .collect();
        assert_eq!(
            samples,
            [
                (&[1][..], &[2, 2 * period()][..]),
                (&[2, 1][..], &[4, 4 * period()][..]),
            ]
        );
        assert_eq!(text(profile.sample[0].label[0].text), "worker");
        let lines: Vec<_> = profile.location[1]
            .line
            .iter()
            .map(|line| {
                let function = &profile.function[usize::try_from(line.function_id).unwrap() - 1];
                (text(function.name), text(function.filename), line.line)
            })
            .collect();
        assert_eq!(
            lines,
            [("shop::inner", "cart.rs", 9), ("shop::outer", "cart.rs", 4)]
        );
        assert_eq!(
            (profile.time_nanos, profile.duration_nanos),
            (5_000_000_000, 1_000_000_000)
        );
        let kinds: Vec<_> = profile
            .sample_type
            .iter()
            .map(|kind| (text(kind.kind), text(kind.unit)))
            .collect();
        assert_eq!(kinds, [("samples", "count"), ("cpu", "nanoseconds")]);
    }
}

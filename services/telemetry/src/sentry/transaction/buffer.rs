//! Spans that wait for the end of their root.

use std::{
    collections::{HashMap, HashSet, hash_map::Entry},
    time::{Duration, Instant},
};

use opentelemetry::{TraceId, trace::SpanId};
use opentelemetry_sdk::trace::SpanData;

use super::Loss;
use crate::profile::ProfileGuard;

/// Traces that can be open at once.
const MAX_TRACES: usize = 256;

/// Spans of one trace. Sentry takes no more in a transaction.
const MAX_SPANS_PER_TRACE: usize = 1000;

/// Spans of all traces: some 10 MiB at worst.
const MAX_SPANS: usize = 8192;

/// A root that is open for longer is given up: a WebSocket must not keep spans, or the profiler, for hours.
const MAX_AGE: Duration = Duration::from_mins(5);

/// How often the buffer is searched for such roots.
const SWEEP_INTERVAL: Duration = Duration::from_secs(30);

/// A local root that has not ended.
pub(super) struct Root {
    pub(super) id: SpanId,
    pub(super) opened: Instant,
    /// The thread on which it began, by its `gettid`: the profile's samples have the same number.
    pub(super) thread: u64,
    pub(super) profile: Option<ProfileGuard>,
}

/// A local root that has ended, and what happened below it.
pub(super) struct Finished {
    pub(super) root: Root,
    pub(super) spans: Vec<SpanData>,
}

/// The open traces.
pub(super) struct Buffer {
    traces: HashMap<TraceId, OpenTrace>,
    /// Spans in all traces.
    spans: usize,
    swept: Instant,
}

#[derive(Default)]
struct OpenTrace {
    /// Mostly one; more where a service is called by what it calls.
    roots: Vec<Root>,
    spans: Vec<SpanData>,
}

impl Buffer {
    pub(super) fn new(now: Instant) -> Self {
        Self {
            traces: HashMap::new(),
            spans: 0,
            swept: now,
        }
    }

    /// Begins to collect below `root`, unless too many traces are open.
    pub(super) fn open(&mut self, trace: TraceId, root: Root) {
        let is_full = self.traces.len() >= MAX_TRACES;
        if is_full || root.opened.duration_since(self.swept) >= SWEEP_INTERVAL {
            self.sweep(root.opened);
        }
        if self.traces.len() < MAX_TRACES || self.traces.contains_key(&trace) {
            self.traces.entry(trace).or_default().roots.push(root);
        }
    }

    /// Takes a finished span that is no root.
    pub(super) fn add(&mut self, span: SpanData) -> Result<(), Loss> {
        let trace = self
            .traces
            .get_mut(&span.span_context.trace_id())
            .ok_or(Loss::Late)?;
        if trace.spans.len() >= MAX_SPANS_PER_TRACE || self.spans >= MAX_SPANS {
            return Err(Loss::Full);
        }
        trace.spans.push(span);
        self.spans += 1;
        Ok(())
    }

    /// Ends a root; `None` if it was never opened, or given up.
    pub(super) fn close(&mut self, root: &SpanData) -> Option<Finished> {
        let Entry::Occupied(mut trace) = self.traces.entry(root.span_context.trace_id()) else {
            return None;
        };
        let id = root.span_context.span_id();
        let place = trace.get().roots.iter().position(|open| open.id == id)?;
        let root = trace.get_mut().roots.swap_remove(place);
        let spans = if trace.get().roots.is_empty() {
            trace.remove().spans
        } else {
            take_below(id, &mut trace.get_mut().spans)
        };
        self.spans -= spans.len();
        Some(Finished { root, spans })
    }

    fn sweep(&mut self, now: Instant) {
        self.swept = now;
        let mut given_up = 0;
        self.traces.retain(|_, trace| {
            let is_young = |root: &Root| now.duration_since(root.opened) < MAX_AGE;
            let keep = trace.roots.iter().any(is_young);
            if !keep {
                given_up += trace.spans.len();
            }
            keep
        });
        self.spans -= given_up;
        Loss::Late.count(given_up as u64);
    }
}

/// Takes out the descendants of the span `root`. Children end before their parents, so the parents come later.
fn take_below(root: SpanId, spans: &mut Vec<SpanData>) -> Vec<SpanData> {
    let mut below = HashSet::from([root]);
    for span in spans.iter().rev() {
        if below.contains(&span.parent_span_id) {
            below.insert(span.span_context.span_id());
        }
    }
    spans
        .extract_if(.., |span| below.contains(&span.parent_span_id))
        .collect()
}

#[cfg(test)]
mod tests {
    use std::time::SystemTime;

    use opentelemetry::{
        InstrumentationScope, TraceFlags,
        trace::{SpanContext, SpanKind, Status, TraceState},
    };
    use opentelemetry_sdk::trace::{SpanEvents, SpanLinks};

    use super::*;

    fn span(trace: TraceId, id: u64, parent: u64) -> SpanData {
        SpanData {
            span_context: SpanContext::new(
                trace,
                SpanId::from(id),
                TraceFlags::SAMPLED,
                false,
                TraceState::default(),
            ),
            parent_span_id: SpanId::from(parent),
            parent_span_is_remote: false,
            span_kind: SpanKind::Internal,
            name: "span".into(),
            start_time: SystemTime::UNIX_EPOCH,
            end_time: SystemTime::UNIX_EPOCH,
            attributes: Vec::new(),
            dropped_attributes_count: 0,
            events: SpanEvents::default(),
            links: SpanLinks::default(),
            status: Status::Unset,
            instrumentation_scope: InstrumentationScope::default(),
        }
    }

    fn root(opened: Instant) -> Root {
        Root {
            id: SpanId::from(1),
            opened,
            thread: 0,
            profile: None,
        }
    }

    #[test]
    fn old_roots_make_room_and_young_ones_stay() {
        let start = Instant::now();
        let mut buffer = Buffer::new(start);
        let ids: Vec<_> = (1..=MAX_TRACES as u128 + 1).map(TraceId::from).collect();
        let (last, first) = ids.split_last().unwrap();
        for trace in first {
            buffer.open(*trace, root(start));
            buffer.add(span(*trace, 2, 1)).unwrap();
        }
        buffer.open(*last, root(start + MAX_AGE / 2));
        assert_eq!(
            buffer.add(span(*last, 2, 1)),
            Err(Loss::Late),
            "all are young: no room"
        );
        buffer.open(*last, root(start + MAX_AGE));
        buffer.add(span(*last, 2, 1)).unwrap();
        assert_eq!((buffer.traces.len(), buffer.spans), (1, 1));
        assert!(buffer.close(&span(first[0], 1, 0)).is_none(), "it was given up");
        let finished = buffer.close(&span(*last, 1, 0)).unwrap();
        assert_eq!(
            (finished.spans.len(), buffer.spans, buffer.traces.len()),
            (1, 0, 0)
        );
    }

    #[test]
    fn the_spans_of_all_traces_are_bounded_too() {
        let start = Instant::now();
        let mut buffer = Buffer::new(start);
        let mut taken = 0;
        for trace in (1..=10_u128).map(TraceId::from) {
            buffer.open(trace, root(start));
            taken += (0..MAX_SPANS_PER_TRACE)
                .filter(|_| buffer.add(span(trace, 2, 1)).is_ok())
                .count();
        }
        assert_eq!(taken, MAX_SPANS);
    }
}

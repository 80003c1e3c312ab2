//! The bounded queue between requests and the exporter, with counts of what is lost.
//!
//! The SDK's batch processor takes the room of a full queue when it starts, 0.7 MiB, and tells no one how much it drops.

use std::{
    collections::VecDeque,
    io, mem,
    sync::{
        Arc, Condvar, Mutex, MutexGuard, PoisonError,
        mpsc::{Receiver, RecvTimeoutError, Sender, channel},
    },
    thread,
    time::Duration,
};

use opentelemetry::Context;
use opentelemetry_sdk::{
    Resource,
    error::{OTelSdkError, OTelSdkResult},
    trace::{Span, SpanData, SpanProcessor},
};

use super::courier::{Backend, Courier};
use crate::{
    metrics::{Metrics, SpanLoss},
    settings::QueueSettings,
};

/// The longest that a flush waits for the backend.
const FLUSH_LIMIT: Duration = Duration::from_secs(5);

/// A processor that exports in batches on a thread of its own and never blocks the caller.
pub(crate) fn processor(
    exporter: impl Backend + 'static,
    settings: QueueSettings,
) -> io::Result<impl SpanProcessor> {
    let queue = Arc::new(Queue {
        settings,
        state: Mutex::default(),
        urgent: Condvar::new(),
    });
    let exporter = Arc::new(Mutex::new(exporter));
    let courier = Courier::new(exporter.clone(), queue.clone());
    thread::Builder::new()
        .name("span-exporter".to_owned())
        .spawn(move || courier.run())?;
    Ok(QueueingProcessor { exporter, queue })
}

/// Lets spans into the queue while there is room, and counts the rest as dropped.
#[derive(Debug)]
struct QueueingProcessor<E> {
    /// The thread's own, but for the resource, which is told before the first span.
    exporter: Arc<Mutex<E>>,
    queue: Arc<Queue>,
}

impl<E: Backend> SpanProcessor for QueueingProcessor<E> {
    fn on_start(&self, _: &mut Span, _: &Context) {}

    fn on_end(&self, span: SpanData) {
        if let Err(loss) = self.queue.admit(span) {
            Metrics::global().spans_dropped(1, loss);
        }
    }

    fn force_flush(&self) -> OTelSdkResult {
        self.queue.ask(Order::Flush, FLUSH_LIMIT)
    }

    fn shutdown_with_timeout(&self, timeout: Duration) -> OTelSdkResult {
        let result = self.queue.ask(Order::End, timeout);
        // Also an orderly end leaves spans behind: those that ended after the last batch was made.
        let lost = self.queue.abandon();
        if lost == 0 {
            return result;
        }
        Metrics::global().spans_dropped(lost, SpanLoss::Shutdown);
        let reason = match result {
            Ok(()) => "they ended behind the last batch".to_owned(),
            Err(error) => error.to_string(),
        };
        let told = format!("{lost} spans were not sent in time ({reason})");
        Err(OTelSdkError::InternalFailure(told))
    }

    fn set_resource(&mut self, resource: &Resource) {
        lock(&self.exporter).set_resource(resource);
    }
}

/// Every change of what is behind these locks is whole, so a thread that panicked left nothing half done.
pub(super) fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

/// How it went, if not well, in words: the SDK's errors cannot be copied for all who wait.
pub(super) type Outcome = Result<(), String>;

/// What the thread may be asked for.
#[derive(Clone, Copy, Debug, PartialEq)]
enum Order {
    /// To export all that waits.
    Flush,
    /// The same, and to end.
    End,
}

/// Spans that wait to be exported.
#[derive(Debug)]
pub(super) struct Queue {
    settings: QueueSettings,
    state: Mutex<State>,
    /// There is something that the thread should not wait for any longer.
    urgent: Condvar,
}

#[derive(Debug, Default)]
struct State {
    spans: VecDeque<SpanData>,
    /// Spans that were let in, and whose fate is not yet counted.
    unsettled: usize,
    /// Who waits for the spans so far.
    waiting: Vec<Sender<Outcome>>,
    is_ending: bool,
    /// Whether all that waited was counted as lost, whatever becomes of the batch under way.
    is_given_up: bool,
}

/// What is to be done now.
pub(super) struct Due {
    pub(super) spans: usize,
    pub(super) waiting: Vec<Sender<Outcome>>,
    pub(super) is_last: bool,
}

impl Queue {
    /// Lets one span in if there is room, and anybody who will come for it.
    fn admit(&self, span: SpanData) -> Result<(), SpanLoss> {
        let mut state = lock(&self.state);
        if state.is_given_up {
            return Err(SpanLoss::Shutdown);
        }
        if state.spans.len() >= self.settings.max_queue_size {
            return Err(SpanLoss::QueueFull);
        }
        state.spans.push_back(span);
        state.unsettled += 1;
        // Once: a thread that is busy looks at the queue before it waits again.
        let is_urgent = state.spans.len() == self.settings.max_export_batch_size;
        drop(state);
        if is_urgent {
            self.urgent.notify_one();
        }
        Ok(())
    }

    /// Waits until an order is carried out, at most `limit`.
    fn ask(&self, order: Order, limit: Duration) -> OTelSdkResult {
        let done = self.order(order).ok_or(OTelSdkError::AlreadyShutdown)?;
        match done.recv_timeout(limit) {
            Ok(outcome) => outcome.map_err(OTelSdkError::InternalFailure),
            Err(RecvTimeoutError::Timeout) => Err(OTelSdkError::Timeout(limit)),
            Err(error) => Err(OTelSdkError::InternalFailure(error.to_string())),
        }
    }

    /// Gives an order, unless the last one was given before.
    fn order(&self, order: Order) -> Option<Receiver<Outcome>> {
        let mut state = lock(&self.state);
        if state.is_ending {
            return None;
        }
        let (waiting, done) = channel();
        state.waiting.push(waiting);
        state.is_ending = order == Order::End;
        drop(state);
        self.urgent.notify_one();
        Some(done)
    }

    /// Waits for a whole batch, for an order, or until spans have waited long enough.
    pub(super) fn due(&self) -> Due {
        let may_wait = |state: &mut State| {
            state.spans.len() < self.settings.max_export_batch_size && state.waiting.is_empty()
        };
        let (mut state, _) = self
            .urgent
            .wait_timeout_while(lock(&self.state), self.settings.scheduled_delay, may_wait)
            .unwrap_or_else(PoisonError::into_inner);
        Due {
            spans: state.spans.len(),
            waiting: mem::take(&mut state.waiting),
            is_last: state.is_ending,
        }
    }

    /// The first of the spans that wait, at most so many and no more than a batch.
    pub(super) fn take(&self, count: usize) -> Vec<SpanData> {
        let most = self.settings.max_export_batch_size;
        let mut state = lock(&self.state);
        let batch = state.spans.drain(..count.min(most)).collect();
        // What a backlog took is given back once it is worked off.
        if state.spans.len() < most {
            state.spans.shrink_to(most);
        }
        batch
    }

    /// The fate of `count` spans is known. False if they were given up before: they count only once.
    pub(super) fn settle(&self, count: usize) -> bool {
        let mut state = lock(&self.state);
        if !state.is_given_up {
            state.unsettled -= count;
        }
        !state.is_given_up
    }

    /// Gives up every span whose fate is unknown, and tells how many they are.
    fn abandon(&self) -> usize {
        let mut state = lock(&self.state);
        state.is_given_up = true;
        mem::take(&mut state.unsettled)
    }

    /// Takes no orders any more; who waits for one is told that nobody carries it out.
    pub(super) fn close(&self) {
        let mut state = lock(&self.state);
        state.is_ending = true;
        state.waiting.clear();
    }
}

#[cfg(test)]
mod tests {
    use std::{sync::OnceLock, time::SystemTime};

    use opentelemetry::{
        InstrumentationScope,
        trace::{SpanContext, SpanId, SpanKind, Status},
    };
    use opentelemetry_sdk::trace::{SpanEvents, SpanExporter, SpanLinks};

    use super::*;

    const SETTINGS: QueueSettings = QueueSettings {
        max_queue_size: 100,
        max_export_batch_size: 8,
        scheduled_delay: Duration::from_hours(1),
    };

    /// Takes every batch. A span ends between the last one and its end.
    #[derive(Clone, Debug, Default)]
    struct Late(Arc<OnceLock<Box<dyn SpanProcessor>>>);

    impl Backend for Late {}

    impl SpanExporter for Late {
        async fn export(&self, _: Vec<SpanData>) -> OTelSdkResult {
            Ok(())
        }

        fn shutdown_with_timeout(&self, _: Duration) -> OTelSdkResult {
            self.0.get().unwrap().on_end(span());
            Ok(())
        }
    }

    fn span() -> SpanData {
        SpanData {
            span_context: SpanContext::NONE,
            parent_span_id: SpanId::INVALID,
            parent_span_is_remote: false,
            span_kind: SpanKind::Internal,
            name: "late".into(),
            start_time: SystemTime::UNIX_EPOCH,
            end_time: SystemTime::UNIX_EPOCH,
            attributes: Vec::new(),
            dropped_attributes_count: 0,
            events: SpanEvents::default(),
            links: SpanLinks::default(),
            status: Status::Unset,
            instrumentation_scope: InstrumentationScope::builder("test").build(),
        }
    }

    /// Tells how large each batch is.
    #[derive(Debug)]
    struct Counted(Sender<usize>);

    impl Backend for Counted {}

    impl SpanExporter for Counted {
        async fn export(&self, batch: Vec<SpanData>) -> OTelSdkResult {
            self.0.send(batch.len()).unwrap();
            Ok(())
        }
    }

    #[test]
    fn a_whole_batch_waits_for_nothing() {
        let (sender, batches) = channel();
        let queue = processor(Counted(sender), SETTINGS).unwrap();
        // Again and again: the thread may be about to look, or wait already.
        for _ in 0..20 {
            for _ in 0..SETTINGS.max_export_batch_size {
                queue.on_end(span());
            }
            assert_eq!(batches.recv_timeout(Duration::from_secs(10)), Ok(8));
        }
    }

    #[test]
    fn a_backlog_leaves_in_batches_and_its_room_is_given_back() {
        let queue = Queue {
            settings: SETTINGS,
            state: Mutex::default(),
            urgent: Condvar::new(),
        };
        let admitted = (0..=SETTINGS.max_queue_size).filter(|_| queue.admit(span()).is_ok());
        assert_eq!(admitted.count(), SETTINGS.max_queue_size);
        let mut left = queue.due().spans;
        while left > 0 {
            let batch = queue.take(left).len();
            assert_eq!(batch, left.min(SETTINGS.max_export_batch_size));
            left -= batch;
        }
        assert!(lock(&queue.state).spans.capacity() < 2 * SETTINGS.max_export_batch_size);
    }

    #[test]
    fn what_was_given_up_is_counted_once_and_nothing_comes_after_it() {
        let queue = Queue {
            settings: SETTINGS,
            state: Mutex::default(),
            urgent: Condvar::new(),
        };
        queue.admit(span()).unwrap();
        let under_way = queue.take(1).len();
        assert_eq!(queue.abandon(), 1);
        assert_eq!(queue.admit(span()), Err(SpanLoss::Shutdown));
        assert!(!queue.settle(under_way), "it counted as lost");
        assert_eq!(queue.abandon(), 0);
    }

    #[test]
    fn nobody_waits_for_a_thread_that_is_gone() {
        #[derive(Debug)]
        struct Broken;
        impl Backend for Broken {}
        impl SpanExporter for Broken {
            async fn export(&self, _: Vec<SpanData>) -> OTelSdkResult {
                panic!("a fault of the exporter")
            }
        }
        let queue = processor(Broken, SETTINGS).unwrap();
        queue.on_end(span());
        let first = queue.force_flush().unwrap_err();
        assert!(!matches!(first, OTelSdkError::Timeout(_)), "{first}");
        assert!(queue.force_flush().is_err());
        let told = queue.shutdown_with_timeout(Duration::ZERO).unwrap_err();
        assert!(told.to_string().contains("1 spans"), "{told}");
    }

    #[test]
    fn a_span_behind_the_last_batch_is_lost_and_counted() {
        let late = Late::default();
        let queue = processor(late.clone(), SETTINGS).unwrap();
        let queue = late.0.get_or_init(|| Box::new(queue));
        queue.on_end(span());
        let told = queue.shutdown_with_timeout(Duration::from_secs(10)).unwrap_err();
        assert!(told.to_string().contains("1 spans"), "{told}");
        assert_eq!(
            queue
                .shutdown_with_timeout(Duration::ZERO)
                .map_err(|error| error.to_string().contains("spans")),
            Err(false),
            "once"
        );
    }
}

//! The thread that writes log lines, behind a bounded buffer: a slow reader of standard output costs lines,
//! which are counted, and never a request's time.

use std::{
    io::{self, Write},
    sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError},
    thread,
    time::Duration,
};

use crate::metrics::Metrics;

/// Bytes of lines that may wait.
const CAPACITY: usize = 4 << 20;

/// How long the thread lets lines gather: waking it, and a system call, would cost more than the line itself.
const GATHERING: Duration = Duration::from_millis(10);

/// A buffer that grew larger than this in a burst is given back.
const KEPT: usize = 128 << 10;

/// Handle on the writing thread; clones share it. The thread ends with the last of them.
#[derive(Clone, Debug)]
pub(crate) struct LogWriter(Arc<Handle>);

#[derive(Debug)]
struct Handle(Arc<Queue>);

#[derive(Debug)]
struct Queue {
    capacity: usize,
    state: Mutex<State>,
    /// For the thread: there is something to do.
    filled: Condvar,
    /// For those who wait: what was asked for is written.
    written: Condvar,
}

#[derive(Debug, Default)]
struct State {
    buffer: Vec<u8>,
    lines: u64,
    /// The thread waits for a first line, and must be woken for it.
    is_idle: bool,
    /// Flushes asked for, and those that are done.
    asked: u64,
    done: u64,
    is_closed: bool,
}

impl State {
    /// Whether the thread should not wait for more.
    fn is_urgent(&self, capacity: usize) -> bool {
        self.is_closed || self.asked > self.done || self.buffer.len() > capacity / 2
    }
}

impl LogWriter {
    /// Starts the thread that writes to `sink`.
    pub(crate) fn start(sink: impl Write + Send + 'static) -> io::Result<Self> {
        Self::with_capacity(sink, CAPACITY)
    }

    /// As [`LogWriter::start`], with room for `capacity` bytes.
    pub(crate) fn with_capacity(sink: impl Write + Send + 'static, capacity: usize) -> io::Result<Self> {
        let queue = Arc::new(Queue {
            capacity,
            state: Mutex::default(),
            filled: Condvar::new(),
            written: Condvar::new(),
        });
        let handle = Handle(queue.clone());
        thread::Builder::new()
            .name("log-writer".to_owned())
            .spawn(move || queue.write_all(sink))?;
        Ok(Self(Arc::new(handle)))
    }

    /// Queues one line, which ends in a newline; never waits for the sink. Tells whether there was room.
    pub(crate) fn write(&self, line: &[u8]) -> bool {
        let queue = &self.0.0;
        let mut state = queue.lock();
        // A line that is larger than everything else together is let in alone.
        if !state.buffer.is_empty() && state.buffer.len() + line.len() > queue.capacity {
            drop(state);
            Metrics::global().log_lines_dropped(1);
            return false;
        }
        let was_urgent = state.is_urgent(queue.capacity);
        state.buffer.extend_from_slice(line);
        state.lines += 1;
        let is_idle = std::mem::take(&mut state.is_idle);
        let wakes = is_idle || (!was_urgent && state.is_urgent(queue.capacity));
        drop(state);
        if wakes {
            queue.filled.notify_one();
        }
        true
    }

    /// Waits until all lines queued so far are written, at most `limit`.
    pub(crate) fn flush(&self, limit: Duration) {
        let queue = &self.0.0;
        let mut state = queue.lock();
        state.asked += 1;
        let ticket = state.asked;
        queue.filled.notify_one();
        // A reader that does not drain the pipe in time loses the rest.
        drop(
            queue
                .written
                .wait_timeout_while(state, limit, |state| state.done < ticket),
        );
    }
}

impl Drop for Handle {
    fn drop(&mut self) {
        self.0.lock().is_closed = true;
        self.0.filled.notify_one();
    }
}

/// Lines taken out to be written.
#[derive(Default)]
struct Batch {
    bytes: Vec<u8>,
    lines: u64,
    /// The flushes that are done once it is written.
    asked: u64,
    is_last: bool,
}

impl Queue {
    /// The thread's whole life.
    fn write_all(&self, mut sink: impl Write) {
        let mut batch = Batch::default();
        while !batch.is_last {
            self.take(&mut batch);
            // A closed standard output is no reason to stop serving.
            if sink.write_all(&batch.bytes).and_then(|()| sink.flush()).is_err() {
                Metrics::global().log_lines_dropped(batch.lines);
            }
            batch.bytes.clear();
            batch.bytes.shrink_to(KEPT);
            self.lock().done = batch.asked;
            self.written.notify_all();
        }
    }

    /// Waits for lines, lets some more gather, and takes them all.
    fn take(&self, batch: &mut Batch) {
        let is_empty = |state: &mut State| {
            state.is_idle = state.buffer.is_empty() && !state.is_urgent(self.capacity);
            state.is_idle
        };
        let state = self
            .filled
            .wait_while(self.lock(), is_empty)
            .unwrap_or_else(PoisonError::into_inner);
        let (mut state, _) = self
            .filled
            .wait_timeout_while(state, GATHERING, |state| !state.is_urgent(self.capacity))
            .unwrap_or_else(PoisonError::into_inner);
        std::mem::swap(&mut state.buffer, &mut batch.bytes);
        batch.lines = std::mem::take(&mut state.lines);
        batch.asked = state.asked;
        batch.is_last = state.is_closed;
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        // Every change of the state is whole, so one that panicked left nothing half done.
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

//! The thread that writes log lines, behind a bounded queue: a slow reader of standard output costs lines,
//! which are counted, and never a request's time.

use std::{
    io::{self, BufWriter, Write},
    sync::mpsc::{Receiver, SyncSender, sync_channel},
    thread,
    time::Duration,
};

use crate::metrics::Metrics;

/// Lines that may wait. At some 500 bytes each that is 4 MiB at worst.
const QUEUE: usize = 8192;

/// Handle on the writing thread; clones share it.
#[derive(Clone, Debug)]
pub(crate) struct LogWriter {
    queue: SyncSender<Message>,
}

#[derive(Debug)]
enum Message {
    Line(String),
    /// Write out what came before, then answer.
    Flush(SyncSender<()>),
}

impl LogWriter {
    /// Starts the thread that writes to `sink`.
    pub(crate) fn start(sink: impl Write + Send + 'static) -> io::Result<Self> {
        Self::with_capacity(sink, QUEUE)
    }

    /// As [`LogWriter::start`], with room for `capacity` lines.
    pub(crate) fn with_capacity(sink: impl Write + Send + 'static, capacity: usize) -> io::Result<Self> {
        let (queue, messages) = sync_channel(capacity);
        thread::Builder::new()
            .name("log-writer".to_owned())
            .spawn(move || write_all(&messages, sink))?;
        Ok(Self { queue })
    }

    /// Queues one line, which ends in a newline; never blocks. Tells whether there was room.
    pub(crate) fn write(&self, line: String) -> bool {
        let queued = self.queue.try_send(Message::Line(line)).is_ok();
        if !queued {
            Metrics::global().log_lines_dropped(1);
        }
        queued
    }

    /// Waits until all lines queued so far are written, at most `limit`.
    pub(crate) fn flush(&self, limit: Duration) {
        let (done, written) = sync_channel(1);
        if self.queue.try_send(Message::Flush(done)).is_ok() {
            // A reader that does not drain the pipe in time loses the rest.
            let _ = written.recv_timeout(limit);
        }
    }
}

fn write_all(messages: &Receiver<Message>, sink: impl Write) {
    let mut sink = BufWriter::new(sink);
    while let Ok(first) = messages.recv() {
        let mut next = Some(first);
        while let Some(message) = next {
            handle(message, &mut sink);
            next = messages.try_recv().ok();
        }
        // Only when nothing waits: one system call for a burst of lines.
        count_failure(&sink.flush());
    }
}

fn handle(message: Message, sink: &mut impl Write) {
    match message {
        Message::Line(line) => count_failure(&sink.write_all(line.as_bytes())),
        Message::Flush(done) => {
            count_failure(&sink.flush());
            // The one who asked may have stopped waiting.
            let _ = done.send(());
        }
    }
}

/// A closed standard output is no reason to stop serving.
fn count_failure(result: &io::Result<()>) {
    if result.is_err() {
        Metrics::global().log_lines_dropped(1);
    }
}

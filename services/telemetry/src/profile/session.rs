//! When the profiler runs: while a profiled transaction is open or a report is being taken, and then for at
//! least one slice, since starting costs more than a short transaction does.

use std::{
    io,
    sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError},
    thread,
    time::Duration,
};

use tokio::sync::oneshot;

use super::{
    ReportError,
    chunk::{ChunkHeader, build_chunk},
    encoding::encode,
    sampler::{Sampler, Slice},
};
use crate::{sentry::SentryClient, symbols::Symbols};

/// How often samples are taken out of their ring, which holds a thousand.
const SLICE: Duration = Duration::from_secs(1);

/// Slices in a chunk. Sentry takes up to 66 s; less is lost when the process dies.
const SLICES_PER_CHUNK: usize = 10;

type Reply = Result<Vec<u8>, ReportError>;

/// The demand for profiles, and the thread that meets it.
pub(super) struct Session {
    header: ChunkHeader,
    sink: SentryClient,
    state: Mutex<State>,
    changed: Condvar,
}

#[derive(Default)]
struct State {
    /// Profiled transactions that are open.
    open: usize,
    /// One was opened since the last slice, and may have been closed again.
    opened: bool,
    report: Option<Report>,
    phase: Phase,
    is_ending: bool,
    /// Said once, not for every transaction.
    warned: bool,
}

/// What the thread does.
#[derive(Clone, Copy, Default, PartialEq, Eq)]
enum Phase {
    /// It does not exist.
    #[default]
    Unstarted,
    Waiting,
    Sampling,
}

/// A profile that someone waits for.
struct Report {
    /// Slices still to come.
    missing: u32,
    /// The slice under way began before the request, so it is not part of the answer.
    skip_one: bool,
    slices: Vec<Slice>,
    reply: oneshot::Sender<Reply>,
}

/// What is to be done after a slice.
struct Turn {
    /// The slice belongs to a profiled transaction.
    is_profiled: bool,
    finished: Option<Report>,
    goes_on: bool,
}

impl Session {
    pub(super) fn new(header: ChunkHeader, sink: SentryClient) -> Self {
        Self {
            header,
            sink,
            state: Mutex::default(),
            changed: Condvar::new(),
        }
    }

    pub(super) fn profiler_id(&self) -> &str {
        &self.header.profiler_id
    }

    /// Counts a profiled transaction in; `false` if there will be no profile of it.
    pub(super) fn open(this: &Arc<Self>) -> bool {
        let mut state = this.lock();
        if !Self::ensure_thread(this, &mut state) {
            return false;
        }
        state.open += 1;
        state.opened = true;
        this.changed.notify_all();
        true
    }

    pub(super) fn close(&self) {
        self.lock().open -= 1;
    }

    /// Asks for a profile of `seconds`.
    pub(super) fn request(this: &Arc<Self>, seconds: u32) -> Result<oneshot::Receiver<Reply>, ReportError> {
        let mut state = this.lock();
        // A report that its caller has given up on is not in the way.
        if state
            .report
            .as_ref()
            .is_some_and(|report| !report.reply.is_closed())
        {
            return Err(ReportError::Busy);
        }
        if !Self::ensure_thread(this, &mut state) {
            let reason = "the process is ending, or no thread could be started";
            return Err(ReportError::Unavailable(reason.to_owned()));
        }
        let (reply, receiver) = oneshot::channel();
        state.report = Some(Report {
            missing: seconds,
            skip_one: state.phase == Phase::Sampling,
            slices: Vec::new(),
            reply,
        });
        this.changed.notify_all();
        Ok(receiver)
    }

    pub(super) fn shutdown(&self, deadline: Duration) {
        let mut state = self.lock();
        state.is_ending = true;
        self.changed.notify_all();
        // Whether it ended in time makes no difference here: there is nothing else to do.
        drop(
            self.changed
                .wait_timeout_while(state, deadline, |state| state.phase == Phase::Sampling),
        );
    }

    /// Starts the thread unless it runs.
    fn ensure_thread(this: &Arc<Self>, state: &mut State) -> bool {
        if state.phase == Phase::Unstarted && !state.is_ending {
            let session = this.clone();
            let builder = thread::Builder::new().name("profiler".to_owned());
            if builder.spawn(move || session.run()).is_ok() {
                state.phase = Phase::Waiting;
            }
        }
        state.phase != Phase::Unstarted && !state.is_ending
    }

    /// The thread's whole life.
    fn run(&self) {
        // They outlive a profile: the next one meets the same functions.
        let mut symbols = Symbols::default();
        while self.wait_for_demand() {
            if let Err(error) = self.sample(&mut symbols) {
                self.give_up(&error);
            }
            Symbols::close();
            self.lock().phase = Phase::Waiting;
            self.changed.notify_all();
        }
    }

    /// Waits until there is something to do; `false` at the end.
    fn wait_for_demand(&self) -> bool {
        let state = self.lock();
        let idle = |state: &mut State| !(state.opened || state.report.is_some() || state.is_ending);
        let mut state = self
            .changed
            .wait_while(state, idle)
            .unwrap_or_else(PoisonError::into_inner);
        if state.is_ending {
            state.report = None;
            return false;
        }
        state.phase = Phase::Sampling;
        true
    }

    /// Samples until nobody wants it any more.
    fn sample(&self, symbols: &mut Symbols) -> io::Result<()> {
        let mut sampler = Sampler::start()?;
        let mut chunk = Vec::new();
        loop {
            self.wait_for_slice();
            let slice = sampler.slice();
            let turn = self.turn(&slice);
            let is_complete = !turn.is_profiled || !turn.goes_on || chunk.len() + 1 >= SLICES_PER_CHUNK;
            if turn.is_profiled {
                chunk.push(slice);
            }
            if let Some(report) = turn.finished {
                let profile = encode(&report.slices, |address| symbols.resolve(address));
                // Whoever asked may have left meanwhile.
                let _ = report.reply.send(Ok(profile));
            }
            if is_complete {
                let slices = std::mem::take(&mut chunk);
                if let Some(chunk) = build_chunk(&self.header, &slices, |address| symbols.resolve(address)) {
                    self.sink.send_profile_chunk(&chunk);
                }
            }
            // Finding the names took its time, in which others may have come: their samples are waiting.
            if !turn.goes_on && !self.is_wanted() {
                return Ok(());
            }
        }
    }

    fn is_wanted(&self) -> bool {
        let state = self.lock();
        !state.is_ending && (state.opened || state.report.is_some())
    }

    fn wait_for_slice(&self) {
        let state = self.lock();
        drop(
            self.changed
                .wait_timeout_while(state, SLICE, |state| !state.is_ending),
        );
    }

    fn turn(&self, slice: &Slice) -> Turn {
        let mut state = self.lock();
        let is_profiled = std::mem::take(&mut state.opened) || state.open > 0;
        if let Some(report) = &mut state.report
            && !std::mem::take(&mut report.skip_one)
        {
            report.slices.push(slice.clone());
            report.missing -= 1;
        }
        let is_ending = state.is_ending;
        let finished = state
            .report
            .take_if(|report| report.missing == 0 || is_ending || report.reply.is_closed());
        Turn {
            is_profiled,
            finished,
            goes_on: !is_ending && (state.open > 0 || state.report.is_some()),
        }
    }

    /// The transactions go on without a profile; the next one tries again.
    fn give_up(&self, error: &io::Error) {
        let mut state = self.lock();
        state.opened = false;
        let reason = error.to_string();
        if let Some(report) = state.report.take() {
            let _ = report.reply.send(Err(ReportError::Unavailable(reason.clone())));
        }
        if !std::mem::replace(&mut state.warned, true) {
            tracing::warn!(reason, "there are no CPU profiles; everything else goes on");
        }
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        // Every change of the state is whole, so one that panicked left nothing half done.
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

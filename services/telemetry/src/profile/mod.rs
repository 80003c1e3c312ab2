//! CPU profiles of the whole process, sampled by a timer signal while someone wants them: a profiled
//! transaction that is open, or a person at `/debug/pprof/profile`.
//!
//! Samples are taken at 101 Hz of CPU time along the frame pointers, so the program must be built with them
//! (`-C force-frame-pointers=yes`) and keep its symbols. A function without a frame of its own, or one that has not set it
//! up yet when it is interrupted, is seen without its direct caller.

mod chunk;
mod encoding;
mod sampler;
mod session;

use std::{sync::Arc, time::Duration};

use axum::http::StatusCode;

use crate::{
    ServiceInfo,
    sentry::{SentryClient, SentrySettings},
};
use chunk::ChunkHeader;
use session::Session;

/// The longest profile that a person can ask for.
const MAX_REPORT_SECONDS: u32 = 60;

/// What every chunk says about the process.
#[derive(Clone, Debug)]
pub(crate) struct ProfileSettings {
    release: String,
    environment: String,
}

impl ProfileSettings {
    pub(crate) fn new(sentry: &SentrySettings, service: &ServiceInfo) -> Self {
        Self {
            release: sentry.release_of(service),
            environment: sentry.environment.clone(),
        }
    }
}

/// The profiler of this process. Clones share it, and nothing runs before it is asked.
#[derive(Clone)]
pub(crate) struct Profiler {
    session: Arc<Session>,
}

/// While one of these lives, profile chunks go to Sentry.
#[must_use]
pub(crate) struct ProfileGuard {
    session: Arc<Session>,
}

impl Drop for ProfileGuard {
    fn drop(&mut self) {
        self.session.close();
    }
}

/// Why there is no profile.
#[derive(Debug, thiserror::Error)]
pub(crate) enum ReportError {
    /// The duration is not allowed.
    #[error("seconds must be a whole number from 1 to {MAX_REPORT_SECONDS}")]
    Seconds,
    /// Profiles of several people at once would each cost a symbolication.
    #[error("another profile is being taken; try again when it is done")]
    Busy,
    /// The profiler could not start, or the process is ending.
    #[error("the profiler cannot run: {0}")]
    Unavailable(String),
}

impl ReportError {
    /// The status that tells a client.
    pub(crate) fn status(&self) -> StatusCode {
        match self {
            Self::Seconds => StatusCode::BAD_REQUEST,
            Self::Busy => StatusCode::TOO_MANY_REQUESTS,
            Self::Unavailable(_) => StatusCode::SERVICE_UNAVAILABLE,
        }
    }
}

impl Profiler {
    /// A profiler that sends its chunks to `sink`. No thread, timer or file exists until the first
    /// [`open`](Self::open) or [`pprof_report`](Self::pprof_report).
    pub(crate) fn start(settings: ProfileSettings, sink: SentryClient) -> Self {
        let header = ChunkHeader::new(settings.release, settings.environment);
        Self {
            session: Arc::new(Session::new(header, sink)),
        }
    }

    /// Identifies this profiler's chunks: 32 hex digits, the same for the life of the process.
    pub(crate) fn id(&self) -> &str {
        self.session.profiler_id()
    }

    /// Profiles until the guard is dropped; `None` once the process is ending. Costs a lock, never a wait.
    pub(crate) fn open(&self) -> Option<ProfileGuard> {
        Session::open(&self.session).then(|| ProfileGuard {
            session: self.session.clone(),
        })
    }

    /// Profiles for `seconds` and returns the profile in pprof's protobuf format (not compressed), as
    /// `go tool pprof` and its kin read it.
    pub(crate) async fn pprof_report(&self, seconds: u32) -> Result<Vec<u8>, ReportError> {
        if !(1..=MAX_REPORT_SECONDS).contains(&seconds) {
            return Err(ReportError::Seconds);
        }
        let report = Session::request(&self.session, seconds)?;
        let ending = || ReportError::Unavailable("the process is ending".to_owned());
        report.await.unwrap_or_else(|_| Err(ending()))
    }

    /// Stops profiling and hands the last chunk to Sentry's queue, waiting at most `deadline`.
    pub(crate) fn shutdown(&self, deadline: Duration) {
        self.session.shutdown(deadline);
    }
}

//! What is logged: directives of `RUST_LOG`, which can be changed while the process runs.

use std::{
    fmt,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
};

use tracing::Subscriber;
use tracing_subscriber::{
    EnvFilter,
    filter::ParseError,
    reload::{self, Handle},
};

use crate::http::AccessLog;

/// Libraries whose own chatter is silenced unless `RUST_LOG` names them. The OpenTelemetry SDK repeats an
/// export error every few seconds, and logging what an exporter's client does would feed on itself.
const QUIET: &str = "hyper=warn,hyper_util=warn,h2=warn,reqwest=warn,tower=warn,rustls=warn,sqlx=warn,opentelemetry=off,opentelemetry_sdk=off,opentelemetry-otlp=off,opentelemetry-prometheus=off,opentelemetry-http=off";

/// What is logged. `directives` were parsed before, by the settings.
pub(crate) fn filter(directives: &str) -> EnvFilter {
    EnvFilter::builder().parse_lossy(with_quiet(directives))
}

fn with_quiet(directives: &str) -> String {
    format!("{QUIET},{directives}")
}

/// The directives in force, to be read and changed. Clones change the same log.
#[derive(Clone)]
pub struct LogFilter(Arc<Inner>);

struct Inner {
    directives: Mutex<String>,
    replace: Box<dyn Fn(EnvFilter) -> Result<(), reload::Error> + Send + Sync>,
    access: AccessLog,
}

/// Why directives are not taken.
#[derive(Debug, thiserror::Error)]
pub enum LogFilterError {
    /// They do not parse.
    #[error("{directives:?} are no filter directives such as debug or info,kube=debug: {source}")]
    Malformed {
        /// What was given.
        directives: String,
        /// Why.
        source: ParseError,
    },
    /// The process ends, and its log with it.
    #[error("nothing is logged any more")]
    Gone(#[from] reload::Error),
}

impl LogFilter {
    pub(crate) fn new<S: Subscriber + 'static>(
        directives: &str,
        handle: Handle<EnvFilter, S>,
        access: AccessLog,
    ) -> Self {
        Self(Arc::new(Inner {
            directives: Mutex::new(directives.to_owned()),
            replace: Box::new(move |filter| handle.reload(filter)),
            access,
        }))
    }

    /// The directives in force.
    pub fn directives(&self) -> String {
        self.lock().clone()
    }

    /// From now on, this is logged.
    pub fn set(&self, directives: &str) -> Result<(), LogFilterError> {
        let malformed = |source| LogFilterError::Malformed {
            directives: directives.to_owned(),
            source,
        };
        EnvFilter::builder().parse(directives).map_err(malformed)?;
        // Held while it is replaced: what is read is in force.
        let mut now = self.lock();
        (self.0.replace)(filter(directives))?;
        self.0.access.follow(directives);
        directives.clone_into(&mut now);
        Ok(())
    }

    fn lock(&self) -> MutexGuard<'_, String> {
        self.0.directives.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl fmt::Debug for LogFilter {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("LogFilter").field(&self.directives()).finish()
    }
}

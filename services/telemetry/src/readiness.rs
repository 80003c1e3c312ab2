//! Whether the service can take traffic: named checks and the draining flag.

use std::{
    fmt,
    future::Future,
    pin::Pin,
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
    time::Duration,
};

use futures::future::join_all;

/// Why a check failed; any error converts into it.
pub type CheckError = Box<dyn std::error::Error + Send + Sync>;

type CheckFuture = Pin<Box<dyn Future<Output = Result<(), CheckError>> + Send>>;

/// A check that has not answered by then counts as failed: a probe must not hang on a stuck backend.
const CHECK_TIMEOUT: Duration = Duration::from_secs(2);

/// Cheap, clonable handle on a service's readiness. Telemetry backends must not be among its checks: a
/// service without a collector still serves.
#[derive(Clone, Default)]
pub struct Readiness {
    checks: Vec<Check>,
    draining: Arc<AtomicBool>,
}

#[derive(Clone)]
struct Check {
    name: &'static str,
    run: Arc<dyn Fn() -> CheckFuture + Send + Sync>,
}

impl Readiness {
    /// Ready at once, until checks are added or draining begins.
    pub fn new() -> Self {
        Self::default()
    }

    /// Adds a named check, run at every request of `/readyz` with a limit of 2 s. Clones made before do
    /// not have it.
    #[must_use]
    pub fn check<F, Fut>(mut self, name: &'static str, run: F) -> Self
    where
        F: Fn() -> Fut + Send + Sync + 'static,
        Fut: Future<Output = Result<(), CheckError>> + Send + 'static,
    {
        self.checks.push(Check {
            name,
            run: Arc::new(move || Box::pin(run())),
        });
        self
    }

    /// From now on not ready: the first step of a shutdown. Shared by all clones, and final.
    pub fn drain(&self) {
        self.draining.store(true, Ordering::Release);
    }

    /// Whether [`Readiness::drain`] was called.
    pub fn is_draining(&self) -> bool {
        self.draining.load(Ordering::Acquire)
    }

    /// Runs all checks at once; the outcomes come in the order in which the checks were added.
    pub(crate) async fn outcomes(&self) -> Vec<(&'static str, Result<(), CheckError>)> {
        join_all(self.checks.iter().map(|check| async move {
            let outcome = tokio::time::timeout(CHECK_TIMEOUT, (check.run)()).await;
            (
                check.name,
                outcome.unwrap_or_else(|_| Err("no answer within 2 s".into())),
            )
        }))
        .await
    }
}

impl fmt::Debug for Readiness {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Readiness")
            .field(
                "checks",
                &self.checks.iter().map(|check| check.name).collect::<Vec<_>>(),
            )
            .field("draining", &self.is_draining())
            .finish()
    }
}

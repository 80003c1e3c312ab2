//! Password hashes: argon2id with 19 MiB, 2 passes, 1 lane, the minimum of OWASP's Password Storage Cheat
//! Sheet and the crate's default.

use std::{
    num::NonZeroU16,
    sync::{Arc, LazyLock},
    time::Instant,
};

use argon2::{
    Argon2,
    password_hash::{PasswordHasher, PasswordVerifier, phc::PasswordHash},
};
use tokio::sync::Semaphore;
use tracewell_telemetry::{Histogram, histogram};
use tracing::Instrument;

use crate::domain::Password;

/// Requests that may wait for each one that is being hashed; at about 20 ms a hash the last waits 0.3 s.
const QUEUE_PER_SLOT: usize = 16;

static WAIT: LazyLock<Histogram> = LazyLock::new(|| {
    let buckets = [0.001, 0.005, 0.025, 0.1, 0.25, 0.5, 1.0];
    histogram(
        "auth.hash.wait",
        "Time a password waited to be hashed.",
        "s",
        &buckets,
    )
});

/// Why a password could not be hashed or compared.
#[derive(Debug, thiserror::Error)]
pub(crate) enum HashError {
    /// The queue is full.
    #[error("too many passwords are being hashed")]
    Busy,
    /// The stored hash or the parameters are unusable.
    #[error("a password hash is unusable: {0}")]
    Unusable(argon2::password_hash::Error),
    /// The work was cut off by the end of the process.
    #[error("hashing was interrupted")]
    Interrupted(#[from] tokio::task::JoinError),
}

/// Hashes passwords, a bounded number at a time: memory is 19 MiB each, and the queue is bounded too.
#[derive(Clone)]
pub(crate) struct Hasher {
    slots: Arc<Semaphore>,
    places: Arc<Semaphore>,
    /// Compared with when there is no such account, so that both cases take the same time.
    decoy: Arc<str>,
}

impl Hasher {
    pub(crate) fn new(concurrency: NonZeroU16) -> Result<Self, HashError> {
        let slots = usize::from(concurrency.get());
        Ok(Self {
            slots: Arc::new(Semaphore::new(slots)),
            places: Arc::new(Semaphore::new(slots * (1 + QUEUE_PER_SLOT))),
            decoy: hash(b"no account has this password").map(Arc::from)?,
        })
    }

    /// The hash of `password` in PHC form.
    pub(crate) async fn hash(&self, password: Password) -> Result<String, HashError> {
        self.run(move || hash(password.as_bytes())).await
    }

    /// Whether `password` is the one that was hashed; without a hash it never is, in the same time.
    pub(crate) async fn verify(&self, password: Password, stored: Option<String>) -> Result<bool, HashError> {
        let decoy = Arc::clone(&self.decoy);
        self.run(move || {
            let text = stored.as_deref().unwrap_or(&decoy);
            let parsed = PasswordHash::new(text).map_err(|error| HashError::Unusable(error.into()))?;
            let fits = Argon2::default()
                .verify_password(password.as_bytes(), &parsed)
                .is_ok();
            Ok(fits && stored.is_some())
        })
        .await
    }

    async fn run<T: Send + 'static>(
        &self,
        work: impl FnOnce() -> Result<T, HashError> + Send + 'static,
    ) -> Result<T, HashError> {
        let place = Arc::clone(&self.places)
            .try_acquire_owned()
            .map_err(|_| HashError::Busy)?;
        let asked = Instant::now();
        let slot = Arc::clone(&self.slots)
            .acquire_owned()
            .await
            .map_err(|_| HashError::Busy)?;
        WAIT.record(asked.elapsed().as_secs_f64(), &[]);
        let task = tokio::task::spawn_blocking(move || {
            // Held to the end of the work, not of the request: a client that leaves frees no core.
            let _held = (place, slot);
            work()
        });
        task.instrument(tracing::info_span!("password.hash")).await?
    }
}

fn hash(password: &[u8]) -> Result<String, HashError> {
    Argon2::default()
        .hash_password(password)
        .map(|hash| hash.to_string())
        .map_err(HashError::Unusable)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn hasher(slots: u16) -> Hasher {
        Hasher::new(NonZeroU16::new(slots).unwrap()).unwrap()
    }

    fn password(text: &str) -> Password {
        serde_json::from_value(text.into()).unwrap()
    }

    #[tokio::test]
    async fn only_the_hashed_password_fits() {
        let hasher = hasher(1);
        let stored = hasher.hash(password("correct horse")).await.unwrap();
        assert!(stored.starts_with("$argon2id$v=19$m=19456,t=2,p=1$"), "{stored}");
        assert!(
            hasher
                .verify(password("correct horse"), Some(stored.clone()))
                .await
                .unwrap()
        );
        assert!(
            !hasher
                .verify(password("battery staple"), Some(stored))
                .await
                .unwrap()
        );
    }

    #[tokio::test]
    async fn without_an_account_no_password_fits_not_even_the_decoys() {
        assert!(
            !hasher(1)
                .verify(password("no account has this password"), None)
                .await
                .unwrap()
        );
    }

    #[tokio::test]
    async fn a_full_queue_is_said_at_once() {
        let hasher = hasher(1);
        let _all = Arc::clone(&hasher.places).try_acquire_many_owned(1 + 16).unwrap();
        assert!(matches!(
            hasher.hash(password("correct horse")).await,
            Err(HashError::Busy)
        ));
    }
}

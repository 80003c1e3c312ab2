//! Password hashes: argon2id with, unless configured otherwise, 19 MiB, 2 passes and 1 lane, the minimum of OWASP's
//! Password Storage Cheat Sheet and the crate's default.

mod memory;
mod workers;

use std::{
    num::NonZeroU16,
    sync::{Arc, LazyLock},
    time::Instant,
};

use argon2::{
    Algorithm, Argon2, Params, Version,
    password_hash::{
        self,
        phc::{Output, ParamsString, PasswordHash, Salt},
    },
};
use tokio::sync::{OwnedSemaphorePermit, Semaphore};
use tracewell_telemetry::{Histogram, histogram};
use tracing::Instrument;

use self::{
    memory::{Memory, Slot},
    workers::{Interrupted, Workers},
};
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
    Unusable(#[from] password_hash::Error),
    /// The work was cut off by the end of the process.
    #[error(transparent)]
    Interrupted(#[from] Interrupted),
    /// No thread could be started.
    #[error("no thread to hash passwords on")]
    NoThread(#[source] std::io::Error),
}

/// Whether a password is the stored one.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Verdict {
    /// It is not.
    Wrong,
    /// It is.
    Right,
    /// It is, and its hash was made with other parameters than those in force: it should be hashed again.
    Outdated,
}

/// Hashes passwords, a bounded number at a time: memory is bounded, and the queue is bounded too.
#[derive(Clone)]
pub(crate) struct Hasher {
    params: Params,
    memory: Memory,
    workers: Workers,
    places: Arc<Semaphore>,
    /// Compared with when there is no such account, so that both cases take the same time.
    decoy: Arc<str>,
}

impl Hasher {
    pub(crate) fn new(concurrency: NonZeroU16, params: Params) -> Result<Self, HashError> {
        let slots = usize::from(concurrency.get());
        let decoy = PasswordHash {
            // Any salt and output will do: no password is ever found to be the decoy's.
            hash: Some(Output::new(&[0; Params::DEFAULT_OUTPUT_LEN]).map_err(password_hash::Error::from)?),
            ..describe(&params, Salt::generate())?
        };
        Ok(Self {
            memory: Memory::new(slots, params.block_count()),
            workers: Workers::start(concurrency).map_err(HashError::NoThread)?,
            places: Arc::new(Semaphore::new(slots * (1 + QUEUE_PER_SLOT))),
            decoy: decoy.to_string().into(),
            params,
        })
    }

    /// Takes a place in the queue. To be called before anything else that takes time: who is one too many must be told
    /// at once, or they would be many that wait.
    pub(crate) fn queue(&self) -> Result<Place, HashError> {
        let permit = Arc::clone(&self.places).try_acquire_owned();
        Ok(Place {
            hasher: self.clone(),
            permit: permit.map_err(|_| HashError::Busy)?,
        })
    }

    /// [`Place::hash`] in a place of its own.
    pub(crate) async fn hash(&self, password: Password) -> Result<String, HashError> {
        self.queue()?.hash(password).await
    }
}

/// A place in the queue, for one hash; given up when dropped.
pub(crate) struct Place {
    hasher: Hasher,
    permit: OwnedSemaphorePermit,
}

impl Place {
    /// The hash of `password` in PHC form.
    pub(crate) async fn hash(self, password: Password) -> Result<String, HashError> {
        let params = self.hasher.params.clone();
        self.run(move |slot| {
            let salt = Salt::generate();
            let context = Argon2::new(Algorithm::Argon2id, Version::V0x13, params.clone());
            let output = output(&context, password.as_bytes(), &salt, slot)?;
            let hash = PasswordHash {
                hash: Some(output),
                ..describe(&params, salt)?
            };
            Ok(hash.to_string())
        })
        .await
    }

    /// Whether `password` is the one that was hashed; without a hash it never is, in the same time.
    ///
    /// The stored hash says with which parameters it was made, and those are used. A hash that is weaker than those
    /// in force is therefore compared faster, until its owner signs in and it is renewed.
    pub(crate) async fn verify(
        self,
        password: Password,
        stored: Option<String>,
    ) -> Result<Verdict, HashError> {
        let (decoy, in_force) = (Arc::clone(&self.hasher.decoy), self.hasher.params.clone());
        self.run(move |slot| {
            let text = stored.as_deref().unwrap_or(&decoy);
            let hash = PasswordHash::new(text).map_err(password_hash::Error::from)?;
            let (Some(salt), Some(expected)) = (hash.salt, hash.hash) else {
                return Err(password_hash::Error::EncodingInvalid.into());
            };
            let context = context(&hash)?;
            let found = output(&context, password.as_bytes(), &salt, slot)?;
            // `Output` compares in constant time.
            Ok(match found == expected && stored.is_some() {
                false => Verdict::Wrong,
                true if describe(&in_force, salt)? == (PasswordHash { hash: None, ..hash }) => Verdict::Right,
                true => Verdict::Outdated,
            })
        })
        .await
    }

    async fn run<T: Send + 'static>(
        self,
        work: impl FnOnce(&mut Slot) -> Result<T, HashError> + Send + 'static,
    ) -> Result<T, HashError> {
        let (asked, permit) = (Instant::now(), self.permit);
        let mut slot = self.hasher.memory.slot().await;
        WAIT.record(asked.elapsed().as_secs_f64(), &[]);
        let task = self.hasher.workers.run(move || {
            // Held to the end of the work, not of the request: a client that leaves frees no core.
            let _held = permit;
            work(&mut slot)
        });
        task.instrument(tracing::info_span!("password.hash")).await?
    }
}

/// What a hash made now says of itself, without the hash.
fn describe(params: &Params, salt: Salt) -> Result<PasswordHash, HashError> {
    Ok(PasswordHash {
        algorithm: Algorithm::Argon2id.ident(),
        version: Some(Version::V0x13.into()),
        params: ParamsString::try_from(params)?,
        salt: Some(salt),
        hash: None,
    })
}

/// The function that made `hash`.
fn context(hash: &PasswordHash) -> Result<Argon2<'static>, HashError> {
    let algorithm = Algorithm::try_from(hash.algorithm.as_str())?;
    let version = match hash.version {
        Some(version) => Version::try_from(version).map_err(password_hash::Error::from)?,
        None => Version::V0x13,
    };
    Ok(Argon2::new(algorithm, version, Params::try_from(hash)?))
}

fn output(context: &Argon2<'_>, password: &[u8], salt: &Salt, slot: &mut Slot) -> Result<Output, HashError> {
    let params = context.params();
    let length = params.output_len().unwrap_or(Params::DEFAULT_OUTPUT_LEN);
    let mut buffer = [0; Output::MAX_LENGTH];
    let bytes = buffer.get_mut(..length).ok_or(password_hash::Error::OutputSize)?;
    let blocks = slot.blocks(params.block_count());
    context
        .hash_password_into_with_memory(password, salt, bytes, blocks)
        .map_err(password_hash::Error::from)?;
    Ok(Output::new(bytes).map_err(password_hash::Error::from)?)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn hasher(slots: u16) -> Hasher {
        Hasher::new(NonZeroU16::new(slots).unwrap(), Params::default()).unwrap()
    }

    /// As cheap as argon2 allows, where the cost is not what is tested.
    fn cheap(slots: u16) -> Hasher {
        let params = Params::new(Params::MIN_M_COST, 1, 1, None).unwrap();
        Hasher::new(NonZeroU16::new(slots).unwrap(), params).unwrap()
    }

    fn password(text: &str) -> Password {
        serde_json::from_value(text.into()).unwrap()
    }

    #[tokio::test]
    async fn only_the_hashed_password_fits() {
        let hasher = hasher(1);
        let stored = hasher.hash(password("correct horse")).await.unwrap();
        assert!(stored.starts_with("$argon2id$v=19$m=19456,t=2,p=1$"), "{stored}");
        for (text, verdict) in [
            ("correct horse", Verdict::Right),
            ("battery staple", Verdict::Wrong),
        ] {
            assert_eq!(
                hasher
                    .queue()
                    .unwrap()
                    .verify(password(text), Some(stored.clone()))
                    .await
                    .unwrap(),
                verdict
            );
        }
    }

    #[tokio::test]
    async fn a_hash_is_compared_by_its_own_parameters() {
        let stored = cheap(1).hash(password("correct horse")).await.unwrap();
        let hasher = hasher(1);
        for (text, verdict) in [
            ("correct horse", Verdict::Outdated),
            ("battery staple", Verdict::Wrong),
        ] {
            assert_eq!(
                hasher
                    .queue()
                    .unwrap()
                    .verify(password(text), Some(stored.clone()))
                    .await
                    .unwrap(),
                verdict
            );
        }
        // A vector of the reference implementation's own tests (phc-winner-argon2, src/test.c).
        let foreign =
            "$argon2id$v=19$m=65536,t=2,p=1$c29tZXNhbHQ$CTFhFdXPJO1aFaMaO6Mm5c8y7cJHAph8ArZWb2GRPPc";
        assert_eq!(
            hasher
                .queue()
                .unwrap()
                .verify(password("password"), Some(foreign.to_owned()))
                .await
                .unwrap(),
            Verdict::Outdated
        );
        assert_eq!(
            hasher.memory.idle_blocks(),
            [hasher.params.block_count()],
            "what it took beyond its own is given back"
        );
    }

    #[tokio::test]
    async fn without_an_account_no_password_fits() {
        assert_eq!(
            cheap(1)
                .queue()
                .unwrap()
                .verify(password("correct horse"), None)
                .await
                .unwrap(),
            Verdict::Wrong
        );
    }

    #[tokio::test]
    async fn a_full_queue_is_said_at_once() {
        let hasher = cheap(1);
        let _all = Arc::clone(&hasher.places).try_acquire_many_owned(1 + 16).unwrap();
        assert!(matches!(
            hasher.hash(password("correct horse")).await,
            Err(HashError::Busy)
        ));
    }

    #[tokio::test(flavor = "multi_thread")]
    async fn no_more_memory_is_taken_than_for_the_slots() {
        let hasher = cheap(2);
        let mut tasks = tokio::task::JoinSet::new();
        for _ in 0..2 * (1 + QUEUE_PER_SLOT) {
            let hasher = hasher.clone();
            tasks.spawn(async move { hasher.hash(password("correct horse")).await });
        }
        while let Some(hashed) = tasks.join_next().await {
            hashed.unwrap().unwrap();
        }
        let blocks = hasher.memory.idle_blocks();
        let count = hasher.params.block_count();
        assert_eq!(blocks.len(), 2);
        assert!(
            blocks.iter().all(|held| [0, count].contains(held)) && blocks.contains(&count),
            "{blocks:?}"
        );
    }

    #[tokio::test]
    async fn memory_that_is_given_back_is_wiped() {
        let hasher = cheap(1);
        hasher.hash(password("correct horse")).await.unwrap();
        let mut slot = hasher.memory.slot().await;
        let blocks = slot.blocks(hasher.params.block_count());
        assert!(
            blocks
                .iter()
                .all(|block| block.as_ref().iter().all(|word| *word == 0))
        );
    }
}

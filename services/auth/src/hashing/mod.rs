//! Password hashes: argon2id with, unless configured otherwise, 19 MiB, 2 passes and 1 lane, the minimum of OWASP's
//! Password Storage Cheat Sheet and the crate's default.

mod memory;
mod turns;
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
    memory::Memory,
    workers::{Interrupted, Workers},
};
use crate::domain::Password;

/// Requests that may wait for each one that is being hashed; at about 20 ms a hash the last waits 0.3 s, as long as
/// serving leaves the hashes a core.
const QUEUE_PER_THREAD: usize = 16;

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
    workers: Workers,
    places: Arc<Semaphore>,
    /// Compared with when there is no such account, so that both cases take the same time.
    decoy: Arc<str>,
}

impl Hasher {
    pub(crate) fn new(concurrency: NonZeroU16, params: Params) -> Result<Self, HashError> {
        let threads = usize::from(concurrency.get());
        let decoy = PasswordHash {
            // Any salt and output will do: no password is ever found to be the decoy's.
            hash: Some(Output::new(&[0; Params::DEFAULT_OUTPUT_LEN]).map_err(password_hash::Error::from)?),
            ..describe(&params, Salt::generate())?
        };
        Ok(Self {
            workers: Workers::start(concurrency, params.block_count()).map_err(HashError::NoThread)?,
            places: Arc::new(Semaphore::new(threads * (1 + QUEUE_PER_THREAD))),
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

    /// Who asks for something else than a hash comes: for a moment, those let go of the cores sooner.
    pub(crate) fn make_way(&self) {
        self.workers.turns().make_way();
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
        self.run(move |memory| {
            let salt = Salt::generate();
            let context = Argon2::new(Algorithm::Argon2id, Version::V0x13, params.clone());
            let output = output(&context, password.as_bytes(), &salt, memory)?;
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
        self.run(move |memory| {
            let text = stored.as_deref().unwrap_or(&decoy);
            let hash = PasswordHash::new(text).map_err(password_hash::Error::from)?;
            let (Some(salt), Some(expected)) = (hash.salt, hash.hash) else {
                return Err(password_hash::Error::EncodingInvalid.into());
            };
            let context = context(&hash)?;
            let found = output(&context, password.as_bytes(), &salt, memory)?;
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
        work: impl FnOnce(&mut Memory) -> Result<T, HashError> + Send + 'static,
    ) -> Result<T, HashError> {
        let (asked, permit) = (Instant::now(), self.permit);
        let task = self.hasher.workers.run(move |memory| {
            // Held to the end of the work, not of the request: a client that leaves frees no core.
            let _held = permit;
            WAIT.record(asked.elapsed().as_secs_f64(), &[]);
            work(memory)
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

fn output(
    context: &Argon2<'_>,
    password: &[u8],
    salt: &Salt,
    memory: &mut Memory,
) -> Result<Output, HashError> {
    let params = context.params();
    let length = params.output_len().unwrap_or(Params::DEFAULT_OUTPUT_LEN);
    let mut buffer = [0; Output::MAX_LENGTH];
    let bytes = buffer.get_mut(..length).ok_or(password_hash::Error::OutputSize)?;
    let blocks = memory.blocks(params.block_count());
    context
        .hash_password_into_with_memory(password, salt, bytes, blocks)
        .map_err(password_hash::Error::from)?;
    Ok(Output::new(bytes).map_err(password_hash::Error::from)?)
}

#[cfg(test)]
mod tests {
    use super::*;

    /// One on one thread.
    fn hasher() -> Hasher {
        Hasher::new(NonZeroU16::MIN, Params::default()).unwrap()
    }

    /// As cheap as argon2 allows, where the cost is not what is tested.
    fn cheap() -> Hasher {
        let params = Params::new(Params::MIN_M_COST, 1, 1, None).unwrap();
        Hasher::new(NonZeroU16::MIN, params).unwrap()
    }

    fn password(text: &str) -> Password {
        serde_json::from_value(text.into()).unwrap()
    }

    async fn verify(hasher: &Hasher, text: &str, stored: Option<&str>) -> Verdict {
        let place = hasher.queue().unwrap();
        let stored = stored.map(ToOwned::to_owned);
        place.verify(password(text), stored).await.unwrap()
    }

    #[tokio::test]
    async fn only_the_hashed_password_fits() {
        let hasher = hasher();
        let stored = hasher.hash(password("correct horse")).await.unwrap();
        assert!(stored.starts_with("$argon2id$v=19$m=19456,t=2,p=1$"), "{stored}");
        for (text, verdict) in [
            ("correct horse", Verdict::Right),
            ("battery staple", Verdict::Wrong),
        ] {
            assert_eq!(verify(&hasher, text, Some(&stored)).await, verdict);
        }
    }

    #[tokio::test]
    async fn a_hash_is_compared_by_its_own_parameters() {
        let stored = cheap().hash(password("correct horse")).await.unwrap();
        let hasher = hasher();
        for (text, verdict) in [
            ("correct horse", Verdict::Outdated),
            ("battery staple", Verdict::Wrong),
        ] {
            assert_eq!(verify(&hasher, text, Some(&stored)).await, verdict);
        }
        // A vector of the reference implementation's own tests (phc-winner-argon2, src/test.c).
        let foreign =
            "$argon2id$v=19$m=65536,t=2,p=1$c29tZXNhbHQ$CTFhFdXPJO1aFaMaO6Mm5c8y7cJHAph8ArZWb2GRPPc";
        assert_eq!(
            verify(&hasher, "password", Some(foreign)).await,
            Verdict::Outdated
        );
    }

    #[tokio::test]
    async fn without_an_account_no_password_fits() {
        assert_eq!(verify(&cheap(), "correct horse", None).await, Verdict::Wrong);
    }

    #[tokio::test]
    async fn a_full_queue_is_said_at_once() {
        let hasher = cheap();
        let all = u32::try_from(1 + QUEUE_PER_THREAD).unwrap();
        let _all = Arc::clone(&hasher.places).try_acquire_many_owned(all).unwrap();
        assert!(matches!(
            hasher.hash(password("correct horse")).await,
            Err(HashError::Busy)
        ));
    }
}

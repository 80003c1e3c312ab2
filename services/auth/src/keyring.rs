//! The signing keys as the running service uses them, kept up with their rotation.

use std::{
    fmt,
    sync::{Arc, PoisonError, RwLock},
    time::Duration,
};

use tokio::time::{Instant, interval_at};
use tracewell_kit::{
    auth::Verifier,
    clock,
    db::Db,
    token::{JwkSet, SigningKey},
    upkeep::keep_up,
};

use crate::{
    sealing::Sealing,
    store::signing_keys::{self, PublishedKey, SigningKeyError},
};

/// How often the database is asked: another process may have let another key sign.
const PERIOD: Duration = Duration::from_mins(1);

/// The keys in use. Clones share them.
#[derive(Clone)]
pub(crate) struct KeyRing(Arc<Inner>);

struct Inner {
    verifier: Verifier,
    keys: RwLock<Keys>,
}

#[derive(Clone)]
struct Keys {
    signing: Arc<SigningKey>,
    published: Arc<JwkSet>,
}

/// The database has no key that signs, which the rotation excludes.
#[derive(Debug, thiserror::Error)]
pub(crate) enum KeyRingError {
    #[error(transparent)]
    Keys(#[from] SigningKeyError),
    #[error("there is no key that signs")]
    NoneActive,
}

impl KeyRing {
    /// Reads the keys, made now if there are none, and keeps up with them until the last clone is dropped.
    pub(crate) async fn open(db: Db, sealing: Sealing) -> Result<Self, KeyRingError> {
        let keys = read(&db, &sealing).await?;
        let ring = Arc::new(Inner {
            verifier: Verifier::fixed(keys.published.as_ref().clone()),
            keys: RwLock::new(keys),
        });
        let ticks = interval_at(Instant::now() + PERIOD, PERIOD);
        // After a failure those in use stay good for days.
        keep_up(&ring, ticks, "signing keys not kept up", move |ring| {
            let (db, sealing) = (db.clone(), sealing.clone());
            async move { read(&db, &sealing).await.map(|keys| ring.replace(keys)) }
        });
        Ok(Self(ring))
    }

    /// The key that signs now.
    pub(crate) fn signing(&self) -> Arc<SigningKey> {
        self.0.keys().signing
    }

    /// The keys that verify now.
    pub(crate) fn published(&self) -> Arc<JwkSet> {
        self.0.keys().published
    }

    /// Verifies by the keys of the moment.
    pub(crate) fn verifier(&self) -> Verifier {
        self.0.verifier.clone()
    }
}

impl fmt::Debug for KeyRing {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("KeyRing(***)")
    }
}

impl Inner {
    fn keys(&self) -> Keys {
        self.keys.read().unwrap_or_else(PoisonError::into_inner).clone()
    }

    fn replace(&self, keys: Keys) {
        self.verifier.replace(keys.published.as_ref().clone());
        *self.keys.write().unwrap_or_else(PoisonError::into_inner) = keys;
    }
}

async fn read(db: &Db, sealing: &Sealing) -> Result<Keys, KeyRingError> {
    let keys = signing_keys::advance(db, sealing, clock::now()).await?;
    let published = JwkSet {
        keys: keys.iter().map(|key| key.key.jwk()).collect(),
    };
    let signing = keys
        .into_iter()
        .find(|key| key.active)
        .map(|PublishedKey { key, .. }| key);
    Ok(Keys {
        signing: Arc::new(signing.ok_or(KeyRingError::NoneActive)?),
        published: Arc::new(published),
    })
}

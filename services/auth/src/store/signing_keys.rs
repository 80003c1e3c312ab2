//! The keys that sign access tokens, sealed.

use base64::{Engine, prelude::BASE64_STANDARD};
use jiff::Timestamp;
use tracewell_kit::{
    db::{Db, DbError, Tx, query},
    token::{KeyError, SigningKey},
};
use zeroize::Zeroizing;

use crate::{
    domain::rotation::{self, KeyState, Step},
    sealing::{SealError, Sealing, is_sealed},
};

/// The signing keys could not be read or made.
#[derive(Debug, thiserror::Error)]
pub(crate) enum SigningKeyError {
    #[error(transparent)]
    Database(#[from] DbError),
    #[error(transparent)]
    Key(#[from] KeyError),
    #[error(transparent)]
    Seal(#[from] SealError),
    #[error("the stored signing key is not base64")]
    Encoding(#[from] base64::DecodeError),
}

/// A key that is published.
pub(crate) struct PublishedKey {
    pub(crate) key: SigningKey,
    /// Whether it is the one that signs.
    pub(crate) active: bool,
}

/// Takes every step of the rotation that is due at `now`, and gives the keys that are published then.
///
/// Under a lock, so that two processes that start at once agree.
pub(crate) async fn advance(
    db: &Db,
    sealing: &Sealing,
    now: Timestamp,
) -> Result<Vec<PublishedKey>, SigningKeyError> {
    let mut tx = db.begin().await?;
    tx.lock("signing keys").await?;
    seal_again(&mut tx, sealing).await?;
    let mut keys = states(&mut tx).await?;
    while let Some(step) = rotation::next_step(&keys, now) {
        take(&mut tx, sealing, &step, now)?;
        keys = states(&mut tx).await?;
    }
    let mut published = Vec::with_capacity(keys.len());
    for state in keys {
        let sealed = query("signing_keys", "SELECT pkcs8 FROM signing_keys WHERE kid = $1")
            .bind(state.kid.clone())
            .optional(&mut tx, |row| row.get::<String>("pkcs8"))
            .await?
            .unwrap_or_default();
        published.push(PublishedKey {
            key: SigningKey::from_pkcs8(&sealing.open(&state.kid, &sealed)?)?,
            active: state.is_active(),
        });
    }
    tx.commit().await?;
    Ok(published)
}

async fn states(tx: &mut Tx) -> Result<Vec<KeyState>, DbError> {
    query(
        "signing_keys",
        "SELECT kid, created_at, activated_at, retired_at FROM signing_keys ORDER BY created_at, kid",
    )
    .all(tx, |row| {
        Ok(KeyState {
            kid: row.get("kid")?,
            created_at: row.instant("created_at")?,
            activated_at: row.optional_instant("activated_at")?,
            retired_at: row.optional_instant("retired_at")?,
        })
    })
    .await
}

fn take(tx: &mut Tx, sealing: &Sealing, step: &Step, now: Timestamp) -> Result<(), SigningKeyError> {
    match step {
        Step::Create => {
            let pkcs8 = Zeroizing::new(SigningKey::generate_pkcs8()?);
            let kid = SigningKey::from_pkcs8(&pkcs8)?.kid().to_owned();
            tracing::info!(kid, "made the next key to sign access tokens");
            query(
                "signing_keys",
                "INSERT INTO signing_keys (kid, pkcs8, created_at) VALUES ($1, $2, $3)",
            )
            .bind(kid.clone())
            .bind(sealing.seal(&kid, &pkcs8)?)
            .bind(now.as_microsecond())
            .queue(tx);
        }
        Step::Activate(kid) => {
            tracing::info!(kid, "a new key signs access tokens");
            query(
                "signing_keys",
                "UPDATE signing_keys SET retired_at = $1 WHERE activated_at IS NOT NULL AND retired_at IS NULL",
            )
            .bind(now.as_microsecond())
            .queue(tx);
            query(
                "signing_keys",
                "UPDATE signing_keys SET activated_at = $1 WHERE kid = $2",
            )
            .bind(now.as_microsecond())
            .bind(kid.clone())
            .queue(tx);
        }
        Step::Delete(kid) => {
            query("signing_keys", "DELETE FROM signing_keys WHERE kid = $1")
                .bind(kid.clone())
                .queue(tx);
        }
    }
    Ok(())
}

/// Seals the keys that an earlier release stored as they are, or that a previous key sealed.
async fn seal_again(tx: &mut Tx, sealing: &Sealing) -> Result<(), SigningKeyError> {
    let stored = query("signing_keys", "SELECT kid, pkcs8 FROM signing_keys")
        .all(&mut *tx, |row| {
            Ok((row.get::<String>("kid")?, row.get::<String>("pkcs8")?))
        })
        .await?;
    for (kid, text) in stored {
        let sealed = if is_sealed(&text) {
            sealing.seal_again(&kid, &text)?
        } else {
            let pkcs8 = Zeroizing::new(BASE64_STANDARD.decode(text)?);
            Some(sealing.seal(&kid, &pkcs8)?)
        };
        let Some(sealed) = sealed else { continue };
        query(
            "signing_keys",
            "UPDATE signing_keys SET pkcs8 = $1 WHERE kid = $2",
        )
        .bind(sealed)
        .bind(kid)
        .queue(tx);
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use base64::Engine as _;
    use jiff::SignedDuration;
    use rstest::rstest;
    use tracewell_kit::{
        clock,
        db::Engine::{self, Postgres, Sqlite},
        testing::TestDatabase,
    };

    use super::*;
    use crate::{sealing::PreviousKeys, store::MIGRATIONS};

    async fn open(engine: Engine) -> (Db, Sealing, TestDatabase) {
        let database = TestDatabase::create(engine).await.unwrap();
        let db = database.open(MIGRATIONS).await.unwrap();
        (
            db,
            Sealing::new(key(7).parse().unwrap(), PreviousKeys::default()),
            database,
        )
    }

    fn key(byte: u8) -> String {
        BASE64_STANDARD.encode([byte; 32])
    }

    fn kids(keys: &[PublishedKey], active: bool) -> Vec<&str> {
        keys.iter()
            .filter(|key| key.active == active)
            .map(|key| key.key.kid())
            .collect()
    }

    #[rstest]
    #[tokio::test]
    async fn the_next_key_takes_over_and_the_old_one_goes_on_verifying(
        #[values(Sqlite, Postgres)] engine: Engine,
    ) {
        let (db, sealing, _database) = open(engine).await;
        let start = clock::now();
        let before = advance(&db, &sealing, start).await.unwrap();
        let (active, next) = (kids(&before, true), kids(&before, false));
        assert_eq!((active.len(), next.len()), (1, 1));
        let same = advance(&db, &sealing, start + SignedDuration::from_hours(24))
            .await
            .unwrap();
        assert_eq!(kids(&same, true), active);

        let later = start + SignedDuration::from_hours(30 * 24);
        let after = advance(&db, &sealing, later).await.unwrap();
        assert_eq!(kids(&after, true), next);
        assert!(
            kids(&after, false).contains(&active[0]),
            "published while its tokens live"
        );
        let much_later = advance(&db, &sealing, later + SignedDuration::from_hours(2))
            .await
            .unwrap();
        assert!(!kids(&much_later, false).contains(&active[0]));
    }

    #[rstest]
    #[tokio::test]
    async fn two_processes_that_start_at_once_agree_on_the_keys(#[values(Sqlite, Postgres)] engine: Engine) {
        let (db, sealing, _database) = open(engine).await;
        let now = clock::now();
        let (one, other) = tokio::join!(advance(&db, &sealing, now), advance(&db, &sealing, now));
        let (one, other) = (one.unwrap(), other.unwrap());
        assert_eq!(one.len(), 2);
        assert_eq!(kids(&one, true), kids(&other, true));
        assert_eq!(kids(&one, false), kids(&other, false));
    }

    #[rstest]
    #[tokio::test]
    async fn keys_outlive_a_change_of_the_key_that_seals_them(#[values(Sqlite, Postgres)] engine: Engine) {
        let (db, sealing, _database) = open(engine).await;
        let now = clock::now();
        let before = advance(&db, &sealing, now).await.unwrap();
        let next = Sealing::new(key(8).parse().unwrap(), PreviousKeys::default());
        assert!(matches!(
            advance(&db, &next, now).await,
            Err(SigningKeyError::Seal(SealError::OtherKey))
        ));
        let changing = Sealing::new(key(8).parse().unwrap(), key(7).parse().unwrap());
        for sealing in [&changing, &changing, &next] {
            let after = advance(&db, sealing, now).await.unwrap();
            assert_eq!(kids(&after, true), kids(&before, true));
            assert_eq!(kids(&after, false), kids(&before, false));
        }
    }

    #[rstest]
    #[tokio::test]
    async fn a_key_that_was_stored_as_it_is_is_sealed_and_goes_on(
        #[values(Sqlite, Postgres)] engine: Engine,
    ) {
        let (db, sealing, _database) = open(engine).await;
        let pkcs8 = SigningKey::generate_pkcs8().unwrap();
        let kid = SigningKey::from_pkcs8(&pkcs8).unwrap().kid().to_owned();
        let now = clock::now();
        let mut tx = db.begin().await.unwrap();
        query(
            "signing_keys",
            "INSERT INTO signing_keys (kid, pkcs8, created_at, activated_at) VALUES ($1, $2, $3, $3)",
        )
        .bind(kid.clone())
        .bind(BASE64_STANDARD.encode(&pkcs8))
        .bind(now.as_microsecond())
        .execute(&mut tx)
        .await
        .unwrap();
        tx.commit().await.unwrap();
        assert_eq!(kids(&advance(&db, &sealing, now).await.unwrap(), true), [kid]);
        let stored = query("signing_keys", "SELECT pkcs8 FROM signing_keys")
            .all(&db, |row| row.get::<String>("pkcs8"))
            .await
            .unwrap();
        assert!(stored.iter().all(|text| is_sealed(text)), "{stored:?}");
    }
}

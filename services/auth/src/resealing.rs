//! Sealing again what a previous key has sealed, so that the previous key can go.
//!
//! Signing keys are sealed again whenever they are read (`store::signing_keys`); here are the secrets of one-time passwords.

use std::{sync::Arc, time::Duration};

use tokio::time::{Instant, interval_at};
use tracewell_kit::{
    db::{Db, DbError},
    upkeep::keep_up,
};

use crate::{
    sealing::{SealError, Sealing},
    second_factor, store,
};

/// How often it is done while there are previous keys: a process of before the change may still be running, and seal.
const PERIOD: Duration = Duration::from_mins(1);

/// How many secrets are looked at, and at most written, at once: writers of SQLite wait for each other.
const PAGE: i64 = 500;

/// Why something is still sealed by a previous key.
#[derive(Debug, thiserror::Error)]
pub(crate) enum ResealError {
    #[error(transparent)]
    Database(#[from] DbError),
    #[error(transparent)]
    Seal(#[from] SealError),
}

/// Seals again until the last clone is dropped.
#[derive(Debug, Clone)]
pub(crate) struct Resealing {
    _kept: Arc<(Db, Sealing)>,
}

impl Resealing {
    /// Seals everything again, then keeps at it.
    pub(crate) async fn start(db: Db, sealing: Sealing) -> Result<Self, ResealError> {
        seal_secrets_again(&db, &sealing).await?;
        let kept = Arc::new((db, sealing));
        let ticks = interval_at(Instant::now() + PERIOD, PERIOD);
        keep_up(
            &kept,
            ticks,
            "secrets not sealed again with KEY_ENCRYPTION_KEY",
            async |kept| seal_secrets_again(&kept.0, &kept.1).await,
        );
        Ok(Self { _kept: kept })
    }
}

/// Seals the secrets of one-time passwords again, a page in each transaction. Each is replaced only where it is still what
/// was read, so several processes may do it at once, and one that was cut off is finished by the next.
async fn seal_secrets_again(db: &Db, sealing: &Sealing) -> Result<(), ResealError> {
    let (mut after, mut count) = (String::new(), 0);
    loop {
        let page = store::totp::sealed_secrets(db, &after, PAGE).await?;
        let Some((last, _)) = page.last() else { break };
        after.clone_from(last);
        let mut stale = Vec::new();
        for (user_id, old) in page {
            if let Some(new) = second_factor::seal_again(sealing, &user_id, &old)? {
                stale.push((user_id, old, new));
            }
        }
        if stale.is_empty() {
            continue;
        }
        let mut tx = db.begin().await?;
        for (user_id, old, new) in stale {
            count += u32::from(store::totp::replace_sealed(&mut tx, &user_id, old, new).await?);
        }
        tx.commit().await?;
    }
    if count > 0 {
        tracing::info!(
            count,
            "sealed secrets of one-time passwords again with KEY_ENCRYPTION_KEY"
        );
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use base64::{Engine as _, prelude::BASE64_STANDARD};
    use futures::future::join_all;
    use rstest::rstest;
    use tracewell_kit::{
        clock,
        db::{
            Engine::{self, Postgres, Sqlite},
            query,
        },
        testing::TestDatabase,
    };

    use super::*;
    use crate::{domain::TotpSecret, sealing::PreviousKeys, store::MIGRATIONS};

    fn sealing(current: u8, previous: Option<u8>) -> Sealing {
        let key = |byte| BASE64_STANDARD.encode([byte; 32]);
        let previous = previous.map_or_else(PreviousKeys::default, |byte| key(byte).parse().unwrap());
        Sealing::new(key(current).parse().unwrap(), previous)
    }

    fn user(number: i64) -> String {
        format!("usr_{number:06}")
    }

    /// The secret of each device, all of them opened by this key.
    async fn opened(db: &Db, sealing: &Sealing) -> Vec<Vec<u8>> {
        let mut secrets = Vec::new();
        for (user_id, _) in store::totp::sealed_secrets(db, "", i64::MAX).await.unwrap() {
            let device = store::totp::of_user(db, &user_id).await.unwrap().unwrap();
            let secret = second_factor::open(sealing, &user_id, &device).unwrap();
            secrets.push(secret.as_bytes().to_vec());
        }
        secrets
    }

    /// Accounts with a device each that is not confirmed, sealed by `sealing`, and the secrets.
    async fn begin_devices(db: &Db, sealing: &Sealing, count: i64) -> Vec<TotpSecret> {
        let mut tx = db.begin().await.unwrap();
        let mut secrets = Vec::new();
        for number in 0..count {
            let user_id = user(number);
            query(
                "users",
                "INSERT INTO users (id, email, password_hash, created_at) VALUES ($1, $1, '', 0)",
            )
            .bind(user_id.clone())
            .execute(&mut tx)
            .await
            .unwrap();
            let secret = TotpSecret::generate().unwrap();
            let sealed = second_factor::seal(sealing, &user_id, &secret).unwrap();
            store::totp::begin(&mut tx, &user_id, sealed, clock::now())
                .await
                .unwrap();
            secrets.push(secret);
        }
        tx.commit().await.unwrap();
        secrets
    }

    #[rstest]
    #[tokio::test]
    async fn several_processes_seal_everything_again_page_by_page(
        #[values(Sqlite, Postgres)] engine: Engine,
    ) {
        let database = TestDatabase::create(engine).await.unwrap();
        let db = database.open(MIGRATIONS).await.unwrap();
        let (before, changing, after) = (sealing(1, None), sealing(2, Some(1)), sealing(2, None));
        begin_devices(&db, &before, PAGE + 1).await;
        let secrets = opened(&db, &before).await;
        let seal = || seal_secrets_again(&db, &changing);
        let (one, other) = tokio::join!(seal(), seal());
        one.and(other).unwrap();
        assert_eq!(opened(&db, &after).await, secrets);
    }

    #[rstest]
    #[tokio::test]
    async fn devices_are_confirmed_while_their_secrets_are_sealed_again(
        #[values(Sqlite, Postgres)] engine: Engine,
    ) {
        const DEVICES: i64 = 40;
        let database = TestDatabase::create(engine).await.unwrap();
        let db = database.open(MIGRATIONS).await.unwrap();
        let (before, changing, after) = (sealing(1, None), sealing(2, Some(1)), sealing(2, None));
        let secrets = begin_devices(&db, &before, DEVICES).await;
        let now = clock::now();
        let confirm = async |(number, secret): (i64, &TotpSecret)| {
            let mut tx = db.begin().await.unwrap();
            second_factor::confirm(&mut tx, &changing, &user(number), &secret.code(now), now)
                .await
                .unwrap();
            tx.commit().await.unwrap();
        };
        let confirmed = join_all((0..).zip(&secrets).map(confirm));
        let (sealed, _) = tokio::join!(seal_secrets_again(&db, &changing), confirmed);
        sealed.unwrap();
        // What was held when its turn came is left for the next time.
        seal_secrets_again(&db, &changing).await.unwrap();
        assert_eq!(opened(&db, &after).await.len(), secrets.len());
        for number in 0..DEVICES {
            assert!(
                second_factor::is_on(&db, &user(number)).await.unwrap(),
                "{number}"
            );
        }
    }

    #[rstest]
    #[tokio::test]
    async fn what_a_process_of_before_the_change_replaced_meanwhile_stays(
        #[values(Sqlite, Postgres)] engine: Engine,
    ) {
        let database = TestDatabase::create(engine).await.unwrap();
        let db = database.open(MIGRATIONS).await.unwrap();
        let mut tx = db.begin().await.unwrap();
        query(
            "users",
            "INSERT INTO users (id, email, password_hash, created_at) VALUES ('usr_1', 'a@b.example', '', 0)",
        )
        .execute(&mut tx)
        .await
        .unwrap();
        let sealed = "v1.newer".to_owned();
        store::totp::begin(&mut tx, "usr_1", sealed.clone(), clock::now())
            .await
            .unwrap();
        let replaced =
            store::totp::replace_sealed(&mut tx, "usr_1", "v1.older".into(), "v1.again".into()).await;
        assert!(!replaced.unwrap());
        tx.commit().await.unwrap();
        let stored = store::totp::sealed_secrets(&db, "", PAGE).await.unwrap();
        assert_eq!(stored, [("usr_1".to_owned(), sealed)]);
    }
}

//! The passkeys.

use jiff::Timestamp;
use tracewell_kit::db::{Db, DbError, Reader, Row, Tx, query};

use crate::{
    domain::Passkey,
    passkey::{NewPasskey, StoredPasskey},
};

/// Stores a new passkey; `false` if its credential is known already.
pub(crate) async fn insert(
    tx: &mut Tx,
    user_id: &str,
    passkey: &Passkey,
    made: &NewPasskey,
) -> Result<bool, DbError> {
    let rows = query(
        "passkeys",
        "INSERT INTO passkeys (id, user_id, credential_id, name, public_key, sign_count, created_at) \
         VALUES ($1, $2, $3, $4, $5, $6, $7) ON CONFLICT (credential_id) DO NOTHING",
    )
    .bind(passkey.id.clone())
    .bind(user_id)
    .bind(made.credential_id.clone())
    .bind(passkey.name.clone())
    .bind(made.public_key.clone())
    .bind(made.sign_count)
    .bind(passkey.created_at.as_microsecond())
    .execute(tx)
    .await?;
    Ok(rows == 1)
}

/// The passkeys of an account, oldest first.
pub(crate) async fn of_user(db: &Db, user_id: &str) -> Result<Vec<Passkey>, DbError> {
    query(
        "passkeys",
        "SELECT id, name, created_at, last_used_at FROM passkeys WHERE user_id = $1 ORDER BY created_at, id",
    )
    .bind(user_id)
    .all(db, passkey)
    .await
}

/// Ids of the credentials of an account, in base64url.
pub(crate) async fn credential_ids<'c>(
    on: impl Into<Reader<'c>>,
    user_id: &str,
) -> Result<Vec<String>, DbError> {
    query(
        "passkeys",
        "SELECT credential_id FROM passkeys WHERE user_id = $1 ORDER BY created_at, id",
    )
    .bind(user_id)
    .all(on, |row| row.get("credential_id"))
    .await
}

/// The passkey with this credential.
pub(crate) async fn by_credential(db: &Db, credential_id: String) -> Result<Option<StoredPasskey>, DbError> {
    query(
        "passkeys",
        "SELECT id, user_id, public_key, sign_count FROM passkeys WHERE credential_id = $1",
    )
    .bind(credential_id)
    .optional(db, |row| {
        Ok(StoredPasskey {
            id: row.get("id")?,
            user_id: row.get("user_id")?,
            public_key: row.get("public_key")?,
            sign_count: row.get("sign_count")?,
        })
    })
    .await
}

/// What became of the use of a passkey.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Use {
    Noted,
    /// It counts its uses and has not counted on, so there are two of it (Web Authentication, 6.1.1).
    Cloned,
    /// It was taken away meanwhile.
    Gone,
}

/// Notes that a passkey was used.
pub(crate) async fn note_use(
    tx: &mut Tx,
    id: &str,
    sign_count: Option<i64>,
    now: Timestamp,
) -> Result<Use, DbError> {
    let rows = match sign_count {
        None => query("passkeys", "UPDATE passkeys SET last_used_at = $1 WHERE id = $2")
            .bind(now.as_microsecond())
            .bind(id),
        Some(count) => query(
            "passkeys",
            "UPDATE passkeys SET last_used_at = $1, sign_count = $3 WHERE id = $2 AND sign_count < $3",
        )
        .bind(now.as_microsecond())
        .bind(id)
        .bind(count),
    };
    if rows.execute(tx).await? == 1 {
        return Ok(Use::Noted);
    }
    let found = query("passkeys", "SELECT id FROM passkeys WHERE id = $1")
        .bind(id)
        .optional(tx, |row| row.get::<String>("id"))
        .await?;
    Ok(found.map_or(Use::Gone, |_| Use::Cloned))
}

/// Deletes a passkey of the account; `false` if it has none with this id.
pub(crate) async fn remove(tx: &mut Tx, user_id: &str, id: &str) -> Result<bool, DbError> {
    let rows = query("passkeys", "DELETE FROM passkeys WHERE user_id = $1 AND id = $2")
        .bind(user_id)
        .bind(id)
        .execute(tx)
        .await?;
    Ok(rows == 1)
}

/// Deletes every passkey of the account; `false` if it has none.
pub(crate) async fn remove_all(tx: &mut Tx, user_id: &str) -> Result<bool, DbError> {
    let rows = query("passkeys", "DELETE FROM passkeys WHERE user_id = $1")
        .bind(user_id)
        .execute(tx)
        .await?;
    Ok(rows > 0)
}

fn passkey(row: &Row) -> Result<Passkey, DbError> {
    Ok(Passkey {
        id: row.get("id")?,
        name: row.get("name")?,
        created_at: row.instant("created_at")?,
        last_used_at: row.optional_instant("last_used_at")?,
    })
}

#[cfg(test)]
mod tests {
    use rstest::rstest;
    use tracewell_kit::{
        clock,
        db::Engine::{self, Postgres, Sqlite},
        testing::TestDatabase,
    };

    use super::*;
    use crate::store::MIGRATIONS;

    #[rstest]
    #[tokio::test]
    async fn a_passkey_that_was_taken_away_is_no_copy(#[values(Sqlite, Postgres)] engine: Engine) {
        let database = TestDatabase::create(engine).await.unwrap();
        let db = database.open(MIGRATIONS).await.unwrap();
        let mut tx = db.begin().await.unwrap();
        for sql in [
            "INSERT INTO users (id, email, password_hash, created_at) VALUES ('usr_1', 'a@b.example', '', 0)",
            "INSERT INTO passkeys (id, user_id, credential_id, name, public_key, sign_count, created_at) \
             VALUES ('pky_1', 'usr_1', 'c', 'phone', '', 4, 0)",
        ] {
            query("", sql).execute(&mut tx).await.unwrap();
        }
        let now = clock::now();
        let mut uses = Vec::new();
        for count in [5, 5] {
            uses.push(note_use(&mut tx, "pky_1", Some(count), now).await.unwrap());
        }
        remove(&mut tx, "usr_1", "pky_1").await.unwrap();
        uses.push(note_use(&mut tx, "pky_1", Some(6), now).await.unwrap());
        assert_eq!(uses, [Use::Noted, Use::Cloned, Use::Gone]);
    }
}

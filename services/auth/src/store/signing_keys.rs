//! The keys that sign access tokens.
//!
//! They lie in the database as they are: whoever reads the database can sign tokens. Sealing them with a
//! key from a Secret belongs here, around `pkcs8`.

use base64::{Engine, prelude::BASE64_STANDARD};
use tracewell_kit::{
    clock,
    db::{Db, DbError, query},
    token::{KeyError, SigningKey},
};

/// The signing key could not be read or made.
#[derive(Debug, thiserror::Error)]
pub(crate) enum SigningKeyError {
    #[error(transparent)]
    Database(#[from] DbError),
    #[error(transparent)]
    Key(#[from] KeyError),
    #[error("the stored signing key is not base64")]
    Encoding(#[from] base64::DecodeError),
}

/// The newest key, made now if there is none.
pub(crate) async fn current(db: &Db) -> Result<SigningKey, SigningKeyError> {
    // One transaction, so that two processes that start at once agree on one key.
    let mut tx = db.begin().await?;
    let stored = query(
        "signing_keys",
        "SELECT pkcs8 FROM signing_keys ORDER BY created_at DESC, kid LIMIT 1",
    )
    .optional(&mut tx, |row| row.get::<String>("pkcs8"))
    .await?;
    if let Some(text) = stored {
        return Ok(SigningKey::from_pkcs8(&BASE64_STANDARD.decode(text)?)?);
    }
    let pkcs8 = SigningKey::generate_pkcs8()?;
    let key = SigningKey::from_pkcs8(&pkcs8)?;
    query(
        "signing_keys",
        "INSERT INTO signing_keys (kid, pkcs8, created_at) VALUES ($1, $2, $3)",
    )
    .bind(key.kid().to_owned())
    .bind(BASE64_STANDARD.encode(&pkcs8))
    .bind(clock::now().as_microsecond())
    .execute(&mut tx)
    .await?;
    tx.commit().await?;
    tracing::info!(kid = key.kid(), "made a key to sign access tokens");
    Ok(key)
}

//! What was asked of clients and is not answered yet.

use jiff::Timestamp;
use tracewell_kit::db::{Db, DbError, Tx, query};

use crate::opaque::OpaqueToken;

/// What a challenge is for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Purpose {
    /// The second half of a sign-in.
    SecondFactor,
    /// A passkey that is to be made.
    PasskeyRegistration,
    /// A passkey that is to be used; whose it is, is not known yet.
    PasskeySignin,
}

impl Purpose {
    fn name(self) -> &'static str {
        match self {
            Self::SecondFactor => "second_factor",
            Self::PasskeyRegistration => "passkey_registration",
            Self::PasskeySignin => "passkey_signin",
        }
    }
}

/// Stores a new challenge.
pub(crate) fn insert(
    tx: &mut Tx,
    challenge: &OpaqueToken,
    purpose: Purpose,
    user_id: Option<&str>,
    expires_at: Timestamp,
) {
    query(
        "challenges",
        "INSERT INTO challenges (hash, purpose, user_id, expires_at) VALUES ($1, $2, $3, $4)",
    )
    .bind(challenge.hash())
    .bind(purpose.name())
    .bind(user_id.map(str::to_owned))
    .bind(expires_at.as_microsecond())
    .queue(tx);
}

/// Takes all challenges of an account away: what let it be asked holds no longer.
pub(crate) fn void_all(tx: &mut Tx, user_id: &str) {
    query("challenges", "DELETE FROM challenges WHERE user_id = $1")
        .bind(user_id)
        .queue(tx);
}

/// The account that a challenge is about, if the challenge is good.
pub(crate) async fn user_of(
    db: &Db,
    challenge: &OpaqueToken,
    purpose: Purpose,
    now: Timestamp,
) -> Result<Option<String>, DbError> {
    let found = query(
        "challenges",
        "SELECT user_id FROM challenges WHERE hash = $1 AND purpose = $2 AND expires_at > $3",
    )
    .bind(challenge.hash())
    .bind(purpose.name())
    .bind(now.as_microsecond())
    .optional(db, |row| row.get::<Option<String>>("user_id"))
    .await?;
    Ok(found.flatten())
}

/// Takes the challenge away: it is good once. `None`: it was not good; else the account that it is about, if any.
pub(crate) async fn take(
    tx: &mut Tx,
    challenge: &OpaqueToken,
    purpose: Purpose,
    now: Timestamp,
) -> Result<Option<Option<String>>, DbError> {
    query(
        "challenges",
        "DELETE FROM challenges WHERE hash = $1 AND purpose = $2 AND expires_at > $3 RETURNING user_id",
    )
    .bind(challenge.hash())
    .bind(purpose.name())
    .bind(now.as_microsecond())
    .optional(tx, |row| row.get("user_id"))
    .await
}

//! Asking for the password again before what cannot be undone: an access token may have been stolen.

use tracewell_kit::{clock, db::Db};

use crate::{
    caller::Caller,
    client::Client,
    domain::Password,
    error::AuthError,
    hashing::{Hasher, Verdict},
    store::{self, attempts::Target},
};

/// The hash that `password`, which is the caller's, was held against; a wrong one counts against the account as a failed
/// sign-in does.
pub(crate) async fn reauthenticate(
    db: &Db,
    hasher: &Hasher,
    caller: &Caller,
    client: &Client,
    password: Password,
) -> Result<String, AuthError> {
    let place = hasher.queue()?;
    let target = Target::Password(&caller.user.email);
    store::attempts::begin(db, &target, client, clock::now()).await?;
    let stored = store::users::password_hash(db, &caller.user.id).await?;
    let verdict = place.verify(password, stored.clone()).await?;
    match (verdict, stored) {
        (Verdict::Right | Verdict::Outdated, Some(hash)) => {
            store::attempts::forgive_now(db, &target, client).await?;
            Ok(hash)
        }
        (Verdict::Wrong, _) | (_, None) => Err(AuthError::WrongPassword),
    }
}

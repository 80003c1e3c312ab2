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

/// Whether `password` is the caller's; wrong ones count against the account as failed sign-ins do.
pub(crate) async fn reauthenticate(
    db: &Db,
    hasher: &Hasher,
    caller: &Caller,
    client: &Client,
    password: Password,
) -> Result<(), AuthError> {
    let place = hasher.queue()?;
    let target = Target::Password(&caller.user.email);
    store::attempts::begin(db, &target, client, clock::now()).await?;
    let stored = store::users::password_hash(db, &caller.user.id).await?;
    let verdict = place.verify(password, stored).await;
    if !matches!(verdict, Ok(Verdict::Wrong)) {
        store::attempts::forgive(db, &target, client).await?;
    }
    match verdict? {
        Verdict::Wrong => Err(AuthError::WrongPassword),
        Verdict::Right | Verdict::Outdated => Ok(()),
    }
}

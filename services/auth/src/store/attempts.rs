//! Failed attempts at passwords and codes.

use std::{
    fmt,
    net::{IpAddr, Ipv6Addr},
    sync::LazyLock,
};

use jiff::{SignedDuration, Timestamp};
use tracewell_kit::db::{Db, DbError, Tx, query};
use tracewell_telemetry::{Counter, counter};

use crate::{
    client::Client,
    domain::{
        Email,
        lockout::{FORGOTTEN, Failures, Scope},
    },
    error::AuthError,
};

static LOCKOUTS: LazyLock<Counter> = LazyLock::new(|| {
    counter(
        "auth.lockouts",
        "Attempts at a password or code that were refused for those before.",
    )
});

/// What is guessed at.
#[derive(Debug, Clone, Copy)]
pub(crate) enum Target<'a> {
    /// The password of the account with this address, if there is one.
    Password(&'a Email),
    /// The codes of this user. They count for themselves: who knows the password must not be able to wipe the slate by
    /// it between two guesses at a code.
    Codes(&'a str),
}

impl fmt::Display for Target<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Password(email) => f.write_str(email.as_str()),
            Self::Codes(user_id) => write!(f, "codes of {user_id}"),
        }
    }
}

/// Counts an attempt as failed before it is made, so that many at once cannot all be the first; [`forgive`] takes it
/// back. Unknown addresses count like known ones.
pub(crate) async fn begin(
    db: &Db,
    target: &Target<'_>,
    client: &Client,
    now: Timestamp,
) -> Result<(), AuthError> {
    let mut tx = db.begin().await?;
    let scopes = scopes(target, client);
    for (_, key) in &scopes {
        tx.lock(key).await?;
    }
    for (scope, key) in &scopes {
        let failures = failures(&mut tx, key, now).await?;
        let wait = failures.map_or(SignedDuration::ZERO, |failures| failures.wait(*scope, now));
        let is_exempt =
            *scope == Scope::Account && !wait.is_zero() && has_been_in(&mut tx, target, client).await?;
        if !wait.is_zero() && !is_exempt {
            LOCKOUTS.add(1, &[("scope", scope.name())]);
            // Rounded up: who comes at the second named must not be early.
            let seconds = u32::try_from(wait.as_secs() + 1).unwrap_or(u32::MAX);
            return Err(AuthError::TooManyAttempts { seconds });
        }
    }
    for (_, key) in scopes {
        count(&mut tx, key, now).await?;
    }
    Ok(tx.commit().await?)
}

/// Takes the attempt back if what was tried was right. An attempt that ended with an error was none that was right: else
/// guesses would be free while the database, or a hasher, fails.
pub(crate) async fn forgive_if_right<T>(
    attempt: &Result<T, AuthError>,
    db: &Db,
    target: &Target<'_>,
    client: &Client,
) -> Result<(), DbError> {
    match attempt {
        // Of a locked account nobody is told but who knows the password.
        Ok(_) | Err(AuthError::AccountLocked) => forgive(db, target, client).await,
        Err(_) => Ok(()),
    }
}

/// Takes the attempt back. For the account at the client's address everything before is forgotten too.
pub(crate) async fn forgive(db: &Db, target: &Target<'_>, client: &Client) -> Result<(), DbError> {
    let mut tx = db.begin().await?;
    for (scope, key) in scopes(target, client) {
        let less = match scope {
            Scope::AccountAndAddress => i64::MAX,
            // Else one account of one's own would clear the way for guesses at others.
            Scope::Address | Scope::Account => 1,
        };
        query(
            "failed_attempts",
            "UPDATE failed_attempts SET failures = CASE WHEN failures > $1 THEN failures - $1 ELSE 0 END \
             WHERE scope = $2",
        )
        .bind(less)
        .bind(key.clone())
        .execute(&mut tx)
        .await?;
        query(
            "failed_attempts",
            "DELETE FROM failed_attempts WHERE scope = $1 AND failures = 0",
        )
        .bind(key)
        .execute(&mut tx)
        .await?;
    }
    tx.commit().await
}

/// Forgets the failures at an account, of all and of this client: its owner has proved to be it.
pub(crate) async fn clear(tx: &mut Tx, target: &Target<'_>, client: &Client) -> Result<(), DbError> {
    for (scope, key) in scopes(target, client) {
        if scope != Scope::Address {
            query("failed_attempts", "DELETE FROM failed_attempts WHERE scope = $1")
                .bind(key)
                .execute(&mut *tx)
                .await?;
        }
    }
    Ok(())
}

/// Whether somebody has signed in to the account from the client's network, as far as sessions are remembered. Guesses of
/// others then do not delay the client's own.
async fn has_been_in(tx: &mut Tx, target: &Target<'_>, client: &Client) -> Result<bool, DbError> {
    let (sql, value) = match target {
        Target::Password(email) => (
            "SELECT DISTINCT s.address FROM sessions s JOIN users u ON u.id = s.user_id WHERE u.email = $1",
            email.as_str(),
        ),
        Target::Codes(user_id) => (
            "SELECT DISTINCT address FROM sessions WHERE user_id = $1",
            *user_id,
        ),
    };
    let addresses = query("sessions", sql)
        .bind(value.to_owned())
        .all(tx, |row| row.get::<Option<String>>("address"))
        .await?;
    let networks = addresses
        .iter()
        .flatten()
        .filter_map(|address| address.parse().ok());
    let own = client.address.map(network);
    Ok(own.is_some() && networks.map(network).any(|known| Some(known) == own))
}

/// What the attempt counts for, with the name of each counter; always in the same order, in which they are locked.
fn scopes(target: &Target<'_>, client: &Client) -> Vec<(Scope, String)> {
    let mut scopes = vec![(Scope::Account, format!("account {target}"))];
    if let Some(address) = client.address.map(network) {
        scopes.push((Scope::Address, format!("address {address}")));
        scopes.push((Scope::AccountAndAddress, format!("{target} at {address}")));
    }
    scopes
}

/// The network that one client has: of IPv6 the first 64 bits, in which it may choose the rest.
fn network(address: IpAddr) -> IpAddr {
    match address.to_canonical() {
        IpAddr::V6(address) => Ipv6Addr::from_bits(address.to_bits() & (u128::MAX << 64)).into(),
        address @ IpAddr::V4(_) => address,
    }
}

async fn failures(tx: &mut Tx, key: &str, now: Timestamp) -> Result<Option<Failures>, DbError> {
    query(
        "failed_attempts",
        "SELECT failures, last_at FROM failed_attempts WHERE scope = $1 AND last_at > $2",
    )
    .bind(key.to_owned())
    .bind((now - FORGOTTEN).as_microsecond())
    .optional(tx, |row| {
        Ok(Failures {
            count: row.get("failures")?,
            last_at: row.instant("last_at")?,
        })
    })
    .await
}

async fn count(tx: &mut Tx, key: String, now: Timestamp) -> Result<(), DbError> {
    query(
        "failed_attempts",
        "INSERT INTO failed_attempts (scope, failures, last_at) VALUES ($1, 1, $2) \
         ON CONFLICT (scope) DO UPDATE SET last_at = excluded.last_at, \
         failures = CASE WHEN failed_attempts.last_at > $3 THEN failed_attempts.failures + 1 ELSE 1 END",
    )
    .bind(key)
    .bind(now.as_microsecond())
    .bind((now - FORGOTTEN).as_microsecond())
    .execute(tx)
    .await
    .map(drop)
}

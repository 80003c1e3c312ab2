//! Failed attempts at passwords and codes.

use std::{
    collections::BTreeMap,
    fmt,
    net::{IpAddr, Ipv6Addr},
    sync::LazyLock,
};

use jiff::{SignedDuration, Timestamp};
use tracewell_kit::db::{Db, DbError, Query, Tx, query};
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

/// The counters of an attempt, by their names in the database; an address may be unknown.
struct Counters {
    account: String,
    address: Option<String>,
    account_and_address: Option<String>,
}

impl Counters {
    fn of(target: &Target<'_>, client: &Client) -> Self {
        let network = client.address.map(network);
        Self {
            account: format!("account {target}"),
            address: network.map(|network| format!("address {network}")),
            account_and_address: network.map(|network| format!("{target} at {network}")),
        }
    }

    /// Always in the same order, in which they are locked.
    fn each(&self) -> impl Iterator<Item = (Scope, &str)> {
        let account = Some((Scope::Account, self.account.as_str()));
        let address = self.address.as_deref().map(|name| (Scope::Address, name));
        let both = self.account_and_address.as_deref();
        let both = both.map(|name| (Scope::AccountAndAddress, name));
        account.into_iter().chain(address).chain(both)
    }

    async fn lock(&self, tx: &mut Tx) -> Result<(), DbError> {
        for (_, name) in self.each() {
            tx.lock(name).await?;
        }
        Ok(())
    }

    /// A query whose first three values are their names, null where an address is unknown.
    fn query(&self, sql: &'static str) -> Query {
        query("failed_attempts", sql)
            .bind(self.account.clone())
            .bind(self.address.clone())
            .bind(self.account_and_address.clone())
    }

    /// What is not forgotten of each.
    async fn failures(&self, tx: &mut Tx, now: Timestamp) -> Result<BTreeMap<String, Failures>, DbError> {
        let rows = self
            .query(
                "SELECT scope, failures, last_at FROM failed_attempts \
                 WHERE scope IN ($1, $2, $3) AND last_at > $4",
            )
            .bind((now - FORGOTTEN).as_microsecond())
            .all(tx, |row| {
                let failures = Failures {
                    count: row.get("failures")?,
                    last_at: row.instant("last_at")?,
                };
                Ok((row.get("scope")?, failures))
            });
        Ok(rows.await?.into_iter().collect())
    }

    fn count(&self, tx: &mut Tx, now: Timestamp) {
        self.query(
            "INSERT INTO failed_attempts (scope, failures, last_at) \
             SELECT scope, 1, $4 FROM (SELECT $1 AS scope UNION SELECT $2 UNION SELECT $3) AS counters \
             WHERE scope IS NOT NULL \
             ON CONFLICT (scope) DO UPDATE SET last_at = excluded.last_at, \
             failures = CASE WHEN failed_attempts.last_at > $5 THEN failed_attempts.failures + 1 ELSE 1 END",
        )
        .bind(now.as_microsecond())
        .bind((now - FORGOTTEN).as_microsecond())
        .queue(tx);
    }
}

/// [`count`] in a transaction of its own.
pub(crate) async fn begin(
    db: &Db,
    target: &Target<'_>,
    client: &Client,
    now: Timestamp,
) -> Result<(), AuthError> {
    let mut tx = db.begin().await?;
    count(&mut tx, target, client, now).await?;
    Ok(tx.commit().await?)
}

/// Counts an attempt as failed before it is made, so that many at once cannot all be the first; [`forgive`] takes it
/// back. Unknown addresses count like known ones. To be committed before the attempt; refused, it is not counted.
pub(crate) async fn count(
    tx: &mut Tx,
    target: &Target<'_>,
    client: &Client,
    now: Timestamp,
) -> Result<(), AuthError> {
    let counters = Counters::of(target, client);
    counters.lock(tx).await?;
    let failures = counters.failures(tx, now).await?;
    for (scope, name) in counters.each() {
        let wait = failures
            .get(name)
            .map_or(SignedDuration::ZERO, |failures| failures.wait(scope, now));
        let is_exempt = scope == Scope::Account && !wait.is_zero() && has_been_in(tx, target, client).await?;
        if !wait.is_zero() && !is_exempt {
            LOCKOUTS.add(1, &[("scope", scope.name())]);
            // Rounded up: who comes at the second named must not be early.
            let seconds = u32::try_from(wait.as_secs() + 1).unwrap_or(u32::MAX);
            return Err(AuthError::TooManyAttempts { seconds });
        }
    }
    counters.count(tx, now);
    Ok(())
}

/// Takes the attempt back, as part of what it was made for: of one that ends with an error nothing is taken back, else
/// guesses would be free while the database, or a hasher, fails. For the account at the client's address everything before
/// is forgotten too; else this attempt alone, or one account of one's own would clear the way for guesses at others.
pub(crate) async fn forgive(tx: &mut Tx, target: &Target<'_>, client: &Client) -> Result<(), DbError> {
    let counters = Counters::of(target, client);
    counters.lock(tx).await?;
    for sql in [
        "DELETE FROM failed_attempts WHERE scope IN ($1, $2, $3) AND (failures <= 1 OR scope = $3)",
        "UPDATE failed_attempts SET failures = failures - 1 WHERE scope IN ($1, $2, $3)",
    ] {
        counters.query(sql).queue(tx);
    }
    Ok(())
}

/// [`forgive`] for what has no transaction of its own.
pub(crate) async fn forgive_now(db: &Db, target: &Target<'_>, client: &Client) -> Result<(), DbError> {
    let mut tx = db.begin().await?;
    forgive(&mut tx, target, client).await?;
    tx.commit().await
}

/// Forgets the failures at an account, of all and of this client: its owner has proved to be it.
pub(crate) fn clear(tx: &mut Tx, target: &Target<'_>, client: &Client) {
    let counters = Counters::of(target, client);
    query(
        "failed_attempts",
        "DELETE FROM failed_attempts WHERE scope IN ($1, $2)",
    )
    .bind(counters.account)
    .bind(counters.account_and_address)
    .queue(tx);
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
        .bind(value)
        .all(tx, |row| row.get::<Option<String>>("address"))
        .await?;
    let networks = addresses
        .iter()
        .flatten()
        .filter_map(|address| address.parse().ok());
    let own = client.address.map(network);
    Ok(own.is_some() && networks.map(network).any(|known| Some(known) == own))
}

/// The network that one client has: of IPv6 the first 64 bits, in which it may choose the rest.
fn network(address: IpAddr) -> IpAddr {
    match address.to_canonical() {
        IpAddr::V6(address) => Ipv6Addr::from_bits(address.to_bits() & (u128::MAX << 64)).into(),
        address @ IpAddr::V4(_) => address,
    }
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

    /// What is counted of the account, its address, and both, none where it is forgotten, after so many attempts and
    /// one that is forgiven.
    async fn left(db: &Db, client: &Client, attempts: usize) -> [Option<i64>; 3] {
        let email = Email::from(format!("{attempts}@example.com"));
        let (target, now) = (Target::Password(&email), clock::now());
        for _ in 0..attempts {
            begin(db, &target, client, now).await.unwrap();
        }
        forgive_now(db, &target, client).await.unwrap();
        let counters = Counters::of(&target, client);
        let failures = counters
            .failures(&mut db.begin().await.unwrap(), now)
            .await
            .unwrap();
        let count = |name: Option<&String>| Some(failures.get(name?)?.count);
        [
            count(Some(&counters.account)),
            count(counters.address.as_ref()),
            count(counters.account_and_address.as_ref()),
        ]
    }

    #[rstest]
    #[tokio::test]
    async fn one_attempt_is_forgiven_and_of_the_account_at_the_address_all(
        #[values(Sqlite, Postgres)] engine: Engine,
    ) {
        let database = TestDatabase::create(engine).await.unwrap();
        let db = database.open(MIGRATIONS).await.unwrap();
        let nowhere = Client::default();
        assert_eq!(left(&db, &nowhere, 1).await, [None; 3]);
        assert_eq!(left(&db, &nowhere, 2).await, [Some(1), None, None]);

        let somewhere = Client {
            address: Some([192, 0, 2, 1].into()),
            ..Client::default()
        };
        assert_eq!(left(&db, &somewhere, 3).await, [Some(2), Some(2), None]);
        // The address still has the two of before.
        assert_eq!(left(&db, &somewhere, 4).await, [Some(3), Some(5), None]);
    }
}

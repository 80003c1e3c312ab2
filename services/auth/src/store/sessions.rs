//! Sessions and their refresh tokens.

use jiff::Timestamp;
use tracewell_kit::db::{Db, DbError, Reader, Tx, query};

use super::{audit, audit::Subject, users};
use crate::{
    client::Client,
    domain::{
        Account, AuditKind, Session,
        session::{self, Presented, Rotation},
    },
    opaque::OpaqueToken,
};

/// Starts a session with its first refresh token.
pub(crate) fn open(
    tx: &mut Tx,
    user_id: &str,
    session_id: &str,
    token: &OpaqueToken,
    client: &Client,
    now: Timestamp,
) {
    query(
        "sessions",
        "INSERT INTO sessions (id, user_id, created_at, last_used_at, expires_at, address, user_agent) \
         VALUES ($1, $2, $3, $3, $4, $5, $6)",
    )
    .bind(session_id)
    .bind(user_id)
    .bind(now.as_microsecond())
    .bind(session::end(now, now).as_microsecond())
    .bind(client.address_text())
    .bind(client.user_agent.clone())
    .queue(tx);
    insert_token(tx, session_id, token);
}

fn insert_token(tx: &mut Tx, session_id: &str, token: &OpaqueToken) {
    query(
        "refresh_tokens",
        "INSERT INTO refresh_tokens (hash, session_id) VALUES ($1, $2)",
    )
    .bind(token.hash())
    .bind(session_id)
    .queue(tx);
}

/// The account of a session that goes on.
pub(crate) async fn account<'c>(
    on: impl Into<Reader<'c>>,
    session_id: &str,
    user_id: &str,
    now: Timestamp,
) -> Result<Option<Account>, DbError> {
    query(
        "sessions",
        "SELECT u.id, u.email, u.email_verified_at, u.display_name, u.role, u.created_at, u.locked_at \
         FROM sessions s JOIN users u ON u.id = s.user_id \
         WHERE s.id = $1 AND s.user_id = $2 AND s.revoked_at IS NULL AND s.expires_at > $3",
    )
    .bind(session_id)
    .bind(user_id)
    .bind(now.as_microsecond())
    .optional(on, users::account)
    .await
}

/// The sessions of a user that go on, newest first, from the one after `after` on; `current` is the one that asks.
pub(crate) async fn of_user(
    db: &Db,
    user_id: &str,
    current: &str,
    after: Option<String>,
    limit: i64,
    now: Timestamp,
) -> Result<Vec<Session>, DbError> {
    query(
        "sessions",
        "SELECT id, created_at, last_used_at, expires_at, address, user_agent FROM sessions \
         WHERE user_id = $1 AND revoked_at IS NULL AND expires_at > $2 AND ($3 IS NULL OR id < $3) \
         ORDER BY id DESC LIMIT $4",
    )
    .bind(user_id)
    .bind(now.as_microsecond())
    .bind(after)
    .bind(limit)
    .all(db, |row| {
        let id: String = row.get("id")?;
        Ok(Session {
            current: id == current,
            id,
            created_at: row.instant("created_at")?,
            last_used_at: row.instant("last_used_at")?,
            expires_at: row.instant("expires_at")?,
            address: row.get("address")?,
            user_agent: row.get("user_agent")?,
        })
    })
    .await
}

/// Ends a session of the user; `false` if there is none that goes on.
pub(crate) async fn revoke(
    tx: &mut Tx,
    user_id: &str,
    session_id: &str,
    now: Timestamp,
) -> Result<bool, DbError> {
    let rows = query(
        "sessions",
        "UPDATE sessions SET revoked_at = $1 \
         WHERE id = $2 AND user_id = $3 AND revoked_at IS NULL AND expires_at > $1",
    )
    .bind(now.as_microsecond())
    .bind(session_id)
    .bind(user_id)
    .execute(tx)
    .await?;
    Ok(rows == 1)
}

/// Ends every session of the user but `kept`.
pub(crate) fn revoke_all(tx: &mut Tx, user_id: &str, kept: Option<&str>, now: Timestamp) {
    query(
        "sessions",
        "UPDATE sessions SET revoked_at = $1 WHERE user_id = $2 AND id <> $3 AND revoked_at IS NULL",
    )
    .bind(now.as_microsecond())
    .bind(user_id)
    .bind(kept.unwrap_or_default())
    .queue(tx);
}

/// What became of a refresh.
#[derive(Debug)]
pub(crate) enum Refreshed {
    /// The session goes on with this token.
    Continued {
        user_id: String,
        session_id: String,
        token: OpaqueToken,
    },
    /// The token had been used before; its session is over now.
    Reused,
    /// The session was over already.
    Ended,
    /// No session has, or remembers, this token.
    Unknown,
}

struct Stored {
    session_id: String,
    user_id: String,
    created_at: Timestamp,
    salt: Option<String>,
    presented: Presented,
}

/// Exchanges a refresh token for its successor. `salt` is used if it has none yet.
///
/// All in one transaction that holds the session's row: no refresh can slip through while another one ends the session.
pub(crate) async fn refresh(
    db: &Db,
    token: &OpaqueToken,
    salt: &OpaqueToken,
    client: &Client,
    now: Timestamp,
) -> Result<Refreshed, DbError> {
    let mut tx = db.begin().await?;
    if !hold(&mut tx, token, now).await? {
        return Ok(Refreshed::Unknown);
    }
    let Some(stored) = stored(&mut tx, token, now).await? else {
        return Ok(Refreshed::Unknown);
    };
    let successor = match (stored.presented.rotation(now), &stored.salt) {
        (Rotation::Replace, _) => {
            let successor = token.successor(salt.expose());
            replace(&mut tx, &stored, token, &successor, salt.expose(), now);
            successor
        }
        (Rotation::Repeat, Some(salt)) => token.successor(salt),
        (Rotation::Ended, _) => return Ok(Refreshed::Ended),
        (Rotation::Reused, _) | (Rotation::Repeat, None) => {
            revoke(&mut tx, &stored.user_id, &stored.session_id, now).await?;
            let subject = Subject::user(&stored.user_id).in_session(&stored.session_id);
            audit::record(&mut tx, AuditKind::TokenReused, subject, client);
            tx.commit().await?;
            return Ok(Refreshed::Reused);
        }
    };
    touch(&mut tx, &stored, client, now);
    tx.commit().await?;
    Ok(Refreshed::Continued {
        user_id: stored.user_id,
        session_id: stored.session_id,
        token: successor,
    })
}

/// Writes to the session of a token before it is read, so that others wait; `false` if no session has the token.
async fn hold(tx: &mut Tx, token: &OpaqueToken, now: Timestamp) -> Result<bool, DbError> {
    let rows = query(
        "sessions",
        "UPDATE sessions SET last_used_at = $1 WHERE id = (SELECT session_id FROM refresh_tokens WHERE hash = $2)",
    )
    .bind(now.as_microsecond())
    .bind(token.hash())
    .execute(tx)
    .await?;
    Ok(rows == 1)
}

async fn stored(tx: &mut Tx, token: &OpaqueToken, now: Timestamp) -> Result<Option<Stored>, DbError> {
    query(
        "refresh_tokens",
        "SELECT t.session_id, t.replaced_at, t.salt, s.user_id, s.created_at, s.expires_at, s.revoked_at, \
         u.locked_at, c.hash AS successor_in_use \
         FROM refresh_tokens t JOIN sessions s ON s.id = t.session_id JOIN users u ON u.id = s.user_id \
         LEFT JOIN refresh_tokens c ON c.hash = t.successor AND c.replaced_at IS NULL \
         WHERE t.hash = $1",
    )
    .bind(token.hash())
    .optional(tx, |row| {
        // A sign-in that was under way when the account was locked may have left a session.
        let ended =
            row.optional_instant("revoked_at")?.is_some() || row.optional_instant("locked_at")?.is_some();
        Ok(Stored {
            session_id: row.get("session_id")?,
            user_id: row.get("user_id")?,
            created_at: row.instant("created_at")?,
            salt: row.get("salt")?,
            presented: Presented {
                session_ended: ended || row.instant("expires_at")? <= now,
                replaced_at: row.optional_instant("replaced_at")?,
                successor_in_use: row.get::<Option<String>>("successor_in_use")?.is_some(),
            },
        })
    })
    .await
}

fn replace(
    tx: &mut Tx,
    stored: &Stored,
    token: &OpaqueToken,
    successor: &OpaqueToken,
    salt: &str,
    now: Timestamp,
) {
    // The parent's grace is over: what its successor was made with can be forgotten.
    query(
        "refresh_tokens",
        "UPDATE refresh_tokens SET salt = NULL WHERE successor = $1 AND session_id = $2",
    )
    .bind(token.hash())
    .bind(stored.session_id.clone())
    .queue(tx);
    query(
        "refresh_tokens",
        "UPDATE refresh_tokens SET replaced_at = $1, successor = $2, salt = $3 WHERE hash = $4",
    )
    .bind(now.as_microsecond())
    .bind(successor.hash())
    .bind(salt)
    .bind(token.hash())
    .queue(tx);
    query(
        "refresh_tokens",
        "DELETE FROM refresh_tokens WHERE session_id = $1 AND replaced_at < $2",
    )
    .bind(stored.session_id.clone())
    .bind((now - session::REMEMBERED).as_microsecond())
    .queue(tx);
    insert_token(tx, &stored.session_id, successor);
}

fn touch(tx: &mut Tx, stored: &Stored, client: &Client, now: Timestamp) {
    query(
        "sessions",
        "UPDATE sessions SET last_used_at = $1, expires_at = $2, address = $3, user_agent = $4 WHERE id = $5",
    )
    .bind(now.as_microsecond())
    .bind(session::end(stored.created_at, now).as_microsecond())
    .bind(client.address_text())
    .bind(client.user_agent.clone())
    .bind(stored.session_id.clone())
    .queue(tx);
}

//! The audit trail.

use tracewell_kit::{
    clock,
    db::{Db, DbError, Tx, query},
    id,
};

use crate::{
    client::Client,
    domain::{AuditEvent, AuditKind},
};

/// Ids of those whom an event is about.
#[derive(Debug, Clone, Copy, Default)]
pub(crate) struct Subject<'a> {
    pub(crate) user: Option<&'a str>,
    pub(crate) actor: Option<&'a str>,
    pub(crate) session: Option<&'a str>,
}

impl<'a> Subject<'a> {
    pub(crate) fn user(user_id: &'a str) -> Self {
        Self {
            user: Some(user_id),
            ..Self::default()
        }
    }

    pub(crate) fn in_session(self, session_id: &'a str) -> Self {
        Self {
            session: Some(session_id),
            ..self
        }
    }

    pub(crate) fn by(self, actor_id: &'a str) -> Self {
        Self {
            actor: Some(actor_id),
            ..self
        }
    }
}

/// Writes down what the transaction does.
pub(crate) fn record(tx: &mut Tx, kind: AuditKind, subject: Subject<'_>, client: &Client) {
    query(
        "audit_events",
        "INSERT INTO audit_events (id, kind, at, user_id, actor_id, session_id, address) \
         VALUES ($1, $2, $3, $4, $5, $6, $7)",
    )
    .bind(id::new("evt"))
    .bind(kind.to_string())
    .bind(clock::now().as_microsecond())
    .bind(subject.user.map(str::to_owned))
    .bind(subject.actor.map(str::to_owned))
    .bind(subject.session.map(str::to_owned))
    .bind(client.address_text())
    .queue(tx);
}

/// Forgets what happened to an account.
pub(crate) fn forget(tx: &mut Tx, user_id: &str) {
    query("audit_events", "DELETE FROM audit_events WHERE user_id = $1")
        .bind(user_id)
        .queue(tx);
}

/// What happened to an account, newest first, from the one after the event `after` on.
pub(crate) async fn of_user(
    db: &Db,
    user_id: String,
    after: Option<String>,
    limit: i64,
) -> Result<Vec<AuditEvent>, DbError> {
    query(
        "audit_events",
        "SELECT id, kind, at, actor_id, session_id, address FROM audit_events \
         WHERE user_id = $1 AND ($2 IS NULL OR id < $2) ORDER BY id DESC LIMIT $3",
    )
    .bind(user_id)
    .bind(after)
    .bind(limit)
    .all(db, |row| {
        Ok(AuditEvent {
            id: row.get("id")?,
            kind: AuditKind::parse(&row.get::<String>("kind")?).ok_or(DbError::Corrupt { column: "kind" })?,
            at: row.instant("at")?,
            actor_id: row.get("actor_id")?,
            session_id: row.get("session_id")?,
            address: row.get("address")?,
        })
    })
    .await
}

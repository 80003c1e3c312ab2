//! The messages.

use jiff::Timestamp;
use tracewell_kit::db::{Db, DbError, Row, Tx, query};

use super::conversations::require_member;
use crate::{
    domain::{End, Message, Page, Range},
    error::ChatError,
};

/// A message on its way into a conversation.
pub(crate) struct Draft {
    pub(crate) id: String,
    pub(crate) conversation_id: String,
    pub(crate) sender_id: String,
    pub(crate) client_msg_id: String,
    pub(crate) body: String,
    pub(crate) created_at: Timestamp,
}

/// Whether a send made a message or found it made by an earlier try.
pub(crate) enum Sent {
    New(Message),
    Known(Message),
}

/// Appends a message, once for each `client_msg_id` of a sender.
pub(crate) async fn append(db: &Db, draft: Draft) -> Result<Sent, ChatError> {
    let mut tx = db.begin().await?;
    require_member(&mut tx, &draft.conversation_id, &draft.sender_id).await?;
    // First of all the place, which holds the conversation: of two tries at once the later one finds the earlier one's
    // message. It then gives the place back by not committing.
    let seq = next_seq(&mut tx, &draft.conversation_id).await?;
    if let Some(known) = by_client_id(&mut tx, &draft).await? {
        return Ok(Sent::Known(known));
    }
    query(
        "messages",
        "INSERT INTO messages (conversation_id, seq, id, sender_id, client_msg_id, body, created_at) \
         VALUES ($1, $2, $3, $4, $5, $6, $7)",
    )
    .bind(draft.conversation_id.clone())
    .bind(seq)
    .bind(draft.id.clone())
    .bind(draft.sender_id.clone())
    .bind(draft.client_msg_id.clone())
    .bind(draft.body.clone())
    .bind(draft.created_at.as_microsecond())
    .queue(&mut tx);
    tx.commit().await?;
    let Draft {
        id,
        conversation_id,
        sender_id,
        client_msg_id,
        body,
        created_at,
    } = draft;
    Ok(Sent::New(Message {
        id,
        conversation_id,
        seq,
        sender_id,
        client_msg_id,
        body,
        created_at,
    }))
}

async fn by_client_id(tx: &mut Tx, draft: &Draft) -> Result<Option<Message>, DbError> {
    query(
        "messages",
        "SELECT id, conversation_id, seq, sender_id, client_msg_id, body, created_at FROM messages \
         WHERE conversation_id = $1 AND sender_id = $2 AND client_msg_id = $3",
    )
    .bind(draft.conversation_id.clone())
    .bind(draft.sender_id.clone())
    .bind(draft.client_msg_id.clone())
    .optional(tx, message)
    .await
}

/// Takes the next place in the conversation; the row stays locked until the transaction ends, so places
/// are given in the order in which messages become visible.
async fn next_seq(tx: &mut Tx, conversation_id: &str) -> Result<i64, ChatError> {
    query(
        "conversations",
        "UPDATE conversations SET last_seq = last_seq + 1 WHERE id = $1 RETURNING last_seq",
    )
    .bind(conversation_id)
    .optional(tx, |row| row.get("last_seq"))
    .await?
    .ok_or(ChatError::NoSuchConversation)
}

/// A page of at most `limit` messages.
pub(crate) async fn page(db: &Db, conversation_id: &str, range: Range, limit: u16) -> Result<Page, DbError> {
    let sql = match range.from {
        End::Oldest => {
            "SELECT id, conversation_id, seq, sender_id, client_msg_id, body, created_at FROM messages \
             WHERE conversation_id = $1 AND seq > $2 AND seq < $3 ORDER BY seq LIMIT $4"
        }
        End::Newest => {
            "SELECT id, conversation_id, seq, sender_id, client_msg_id, body, created_at FROM messages \
             WHERE conversation_id = $1 AND seq > $2 AND seq < $3 ORDER BY seq DESC LIMIT $4"
        }
    };
    let found = query("messages", sql)
        .bind(conversation_id)
        .bind(range.after_seq)
        .bind(range.before_seq)
        .bind(i64::from(limit) + 1)
        .all(db, message)
        .await?;
    Ok(Page::cut(range.from, usize::from(limit), found))
}

fn message(row: &Row) -> Result<Message, DbError> {
    Ok(Message {
        id: row.get("id")?,
        conversation_id: row.get("conversation_id")?,
        seq: row.get("seq")?,
        sender_id: row.get("sender_id")?,
        client_msg_id: row.get("client_msg_id")?,
        body: row.get("body")?,
        created_at: row.instant("created_at")?,
    })
}

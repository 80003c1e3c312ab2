//! Conversations and who is in them.

use tracewell_kit::db::{DbError, Reader, Tx, query};

use crate::{domain::Conversation, error::ChatError};

/// Stores a new conversation, unless its owner has `limit` of them already.
pub(crate) async fn insert(
    tx: &mut Tx,
    owner_id: &str,
    conversation: &Conversation,
    limit: Option<i64>,
) -> Result<(), ChatError> {
    if let Some(limit) = limit {
        // Two requests at once must not both find one place left.
        tx.lock(&format!("conversations of {owner_id}")).await?;
        let count = query(
            "conversations",
            "SELECT COUNT(*) AS count FROM conversations WHERE owner_id = $1",
        )
        .bind(owner_id)
        .optional(&mut *tx, |row| row.get::<i64>("count"))
        .await?;
        if count.unwrap_or(0) >= limit {
            return Err(ChatError::PlanLimit(limit));
        }
    }
    let created_at = conversation.created_at.as_microsecond();
    query(
        "conversations",
        "INSERT INTO conversations (id, owner_id, title, last_seq, created_at) VALUES ($1, $2, $3, $4, $5)",
    )
    .bind(conversation.id.clone())
    .bind(owner_id)
    .bind(conversation.title.clone())
    .bind(conversation.last_seq)
    .bind(created_at)
    .queue(tx);
    for member in &conversation.member_ids {
        query(
            "members",
            "INSERT INTO members (conversation_id, user_id, joined_at) VALUES ($1, $2, $3)",
        )
        .bind(conversation.id.clone())
        .bind(member.clone())
        .bind(created_at)
        .queue(tx);
    }
    Ok(())
}

/// An error unless the user is a member of the conversation.
pub(crate) async fn require_member<'c>(
    on: impl Into<Reader<'c>>,
    conversation_id: &str,
    user_id: &str,
) -> Result<(), ChatError> {
    query(
        "members",
        "SELECT user_id FROM members WHERE conversation_id = $1 AND user_id = $2",
    )
    .bind(conversation_id)
    .bind(user_id)
    .optional(on, |_| Ok::<_, DbError>(()))
    .await?
    .ok_or(ChatError::NoSuchConversation)
}

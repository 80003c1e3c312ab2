//! The message.

use jiff::Timestamp;
use serde::Serialize;
use utoipa::ToSchema;

/// What a member said.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, ToSchema)]
pub(crate) struct Message {
    /// Id of the message.
    #[schema(example = "msg_0198f3c1a5b27c3e9d4f5a6b7c8d9e0f")]
    pub(crate) id: String,
    /// The conversation it belongs to.
    pub(crate) conversation_id: String,
    /// Its place in the conversation: 1, 2, 3… without gaps. Order, cursor and unread count in one.
    #[schema(minimum = 1)]
    pub(crate) seq: i64,
    /// Who said it.
    pub(crate) sender_id: String,
    /// The sender's own id of it, by which a repeated send is recognised.
    pub(crate) client_msg_id: String,
    /// What was said.
    pub(crate) body: String,
    /// When it was stored.
    pub(crate) created_at: Timestamp,
}

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
    #[schema(example = "cnv_0198f3c1a5b27c3e9d4f5a6b7c8d9e0f")]
    pub(crate) conversation_id: String,
    /// Its place in the conversation: 1, 2, 3… without gaps. Order, cursor and unread count in one.
    #[schema(minimum = 1, example = 42)]
    pub(crate) seq: i64,
    /// Who said it.
    #[schema(example = "usr_0198f3c1a5b27c3e9d4f5a6b7c8d9e0f")]
    pub(crate) sender_id: String,
    /// The sender's own id of it, by which a repeated send is recognised.
    #[schema(example = "m-1")]
    pub(crate) client_msg_id: String,
    /// What was said.
    #[schema(example = "Is anybody there?")]
    pub(crate) body: String,
    /// When it was stored.
    pub(crate) created_at: Timestamp,
}

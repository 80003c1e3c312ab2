//! Conversations, free of HTTP and SQL.

mod conversation;
mod message;
mod page;

pub(crate) use conversation::Conversation;
pub(crate) use message::Message;
pub(crate) use page::{End, Page, Range};

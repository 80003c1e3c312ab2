//! What the chat service keeps.

pub(crate) mod conversations;
pub(crate) mod messages;

use tracewell_kit::{db::Migration, idempotency};

pub(crate) const MIGRATIONS: &[Migration] = &[
    Migration {
        version: 1,
        name: "conversations and messages",
        sql: include_str!("../../migrations/0001_conversations_and_messages.sql"),
    },
    Migration {
        version: 2,
        name: "idempotency keys",
        sql: idempotency::TABLE,
    },
];

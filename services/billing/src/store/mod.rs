//! What the billing service keeps.

pub(crate) mod plans;
pub(crate) mod subscriptions;

use tracewell_kit::{db::Migration, idempotency};

pub(crate) const MIGRATIONS: &[Migration] = &[
    Migration {
        version: 1,
        name: "plans and subscriptions",
        sql: include_str!("../../migrations/0001_plans_and_subscriptions.sql"),
    },
    Migration {
        version: 2,
        name: "idempotency keys",
        sql: idempotency::TABLE,
    },
];

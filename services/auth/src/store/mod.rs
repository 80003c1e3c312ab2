//! What the auth service keeps.

pub(crate) mod signing_keys;
pub(crate) mod users;

use tracewell_kit::db::Migration;

pub(crate) const MIGRATIONS: &[Migration] = &[Migration {
    version: 1,
    name: "users and signing keys",
    sql: include_str!("../../migrations/0001_users_and_signing_keys.sql"),
}];

//! What the auth service keeps.

pub(crate) mod attempts;
pub(crate) mod audit;
pub(crate) mod challenges;
pub(crate) mod mail_tokens;
pub(crate) mod mails;
pub(crate) mod passkeys;
pub(crate) mod retention;
pub(crate) mod sessions;
pub(crate) mod signing_keys;
pub(crate) mod totp;
pub(crate) mod users;

use tracewell_kit::db::Migration;

pub(crate) const MIGRATIONS: &[Migration] = &[
    Migration {
        version: 1,
        name: "users and signing keys",
        sql: include_str!("../../migrations/0001_users_and_signing_keys.sql"),
    },
    Migration {
        version: 2,
        name: "accounts, sessions and the audit trail",
        sql: include_str!("../../migrations/0002_accounts_sessions_and_audit_trail.sql"),
    },
    Migration {
        version: 3,
        name: "failed attempts at a password",
        sql: include_str!("../../migrations/0003_failed_attempts.sql"),
    },
    Migration {
        version: 4,
        name: "mail",
        sql: include_str!("../../migrations/0004_mail.sql"),
    },
    Migration {
        version: 5,
        name: "rotation of signing keys",
        sql: include_str!("../../migrations/0005_rotation_of_signing_keys.sql"),
    },
    Migration {
        version: 6,
        name: "second factors and passkeys",
        sql: include_str!("../../migrations/0006_second_factors.sql"),
    },
    Migration {
        version: 7,
        name: "change of address",
        sql: include_str!("../../migrations/0007_change_of_address.sql"),
    },
];

//! Decisions: what is done and what is said, from what the cluster has.
#![expect(clippy::expect_used, reason = "a test ends where its setting cannot be made")]

mod backup;
mod causes;
mod changes;
mod database;
mod evidence;
mod fixture;
mod holds;
mod operation;
mod policies;
mod scaling;
#[path = "../common/settings.rs"]
mod settings;
mod status;

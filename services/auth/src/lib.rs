//! Accounts, sessions and access tokens, and the public keys by which every other service verifies tokens without
//! asking.

mod app;
mod caller;
mod client;
mod config;
mod cookie;
mod create_admin;
mod domain;
mod error;
mod hashing;
mod housekeeping;
mod keyring;
mod mail;
mod opaque;
mod paging;
mod reauthenticate;
mod routes;
mod sealing;
mod store;
mod tokens;

pub use app::Auth;

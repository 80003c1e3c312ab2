//! Accounts, sessions and access tokens, and the public keys by which every other service verifies tokens without
//! asking.

mod account_change;
mod app;
mod caller;
mod client;
mod config;
mod cookie;
mod create_admin;
mod domain;
mod error;
mod hashing;
mod keyring;
mod mail;
mod memory_limit;
mod opaque;
mod paging;
mod passkey;
mod reauthenticate;
mod refusals;
mod resealing;
mod routes;
mod sealing;
mod second_factor;
mod signed_in;
mod store;
mod tokens;

pub use app::Auth;

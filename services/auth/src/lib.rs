//! Accounts and access tokens: sign-up, sign-in, the caller's own account, and the public keys by which
//! every other service verifies tokens without asking.

mod app;
mod config;
mod domain;
mod error;
mod hashing;
mod routes;
mod store;

pub use app::Auth;

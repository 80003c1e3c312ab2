//! Conversations and their messages.

mod app;
mod config;
mod domain;
mod entitlements;
mod error;
mod routes;
mod store;

pub use app::Chat;

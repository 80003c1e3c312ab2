//! Plans, subscriptions, and what a subscription entitles its owner to.

mod app;
mod config;
mod domain;
mod error;
mod routes;
mod store;

pub use app::Billing;

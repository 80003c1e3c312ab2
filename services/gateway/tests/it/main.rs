//! The gateway as it runs, before real servers on loopback.

#![expect(
    clippy::unwrap_used,
    reason = "a test whose setting fails should stop right there"
)]

mod api_docs;
mod contract;
mod failures;
mod health;
mod resends;
mod routing;
mod streams;
mod support;
mod websockets;
mod with_auth;

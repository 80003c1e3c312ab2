//! Tracewell's gateway: the one way into a platform.
//!
//! `GATEWAY_ROUTES` mounts each service at a prefix (`/auth=http://auth:3001`). A request below a prefix goes to its
//! service with the prefix stripped; bodies stream both ways, so event streams pass, and upgraded connections such as
//! a WebSocket are joined. The gateway adds `X-Request-Id` and `X-Forwarded-*`, limits how much one address may ask,
//! and answers with `application/problem+json` where a service cannot.

pub mod app;
pub mod config;
pub mod error;
pub mod proxy;
pub mod rate_limit;
pub mod request_id;
pub mod routes;
pub mod routing;

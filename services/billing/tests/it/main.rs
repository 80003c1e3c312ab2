//! The billing service as a client sees it: the real router on a database of its own, by HTTP.

mod alone;
mod contract;
mod repeats;
mod subscriptions;
mod with_auth;

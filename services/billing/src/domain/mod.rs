//! Plans and subscriptions, free of HTTP and SQL.

mod plan;
mod subscription;

pub(crate) use plan::{Entitlements, FREE_PLAN, Interval, Money, Plan};
pub(crate) use subscription::{Status, Subscription};

//! The W3C trace context that a test sends, so that it knows which trace to look for.

pub use platform_core::trace::TraceContext;
use uuid::Uuid;

/// A trace that no one else has.
pub fn fresh() -> TraceContext {
    TraceContext::new(Uuid::now_v7().as_u128())
}

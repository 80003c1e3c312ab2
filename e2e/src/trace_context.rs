//! The W3C trace context that a test sends, so that it knows which trace to look for.

use uuid::Uuid;

/// A trace that the caller begins, with a span of the caller's own that nobody records.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct TraceContext {
    /// 32 hexadecimal digits.
    pub trace_id: String,
    /// 16 hexadecimal digits: the parent of the first recorded spans.
    pub span_id: String,
}

impl TraceContext {
    /// A trace that no one else has.
    pub fn fresh() -> Self {
        let random = |digits: usize| {
            let text = Uuid::now_v7().simple().to_string();
            // The end of a UUID v7 is random, its beginning is the time.
            text.get(text.len() - digits..).unwrap_or_default().to_owned()
        };
        Self {
            trace_id: random(32),
            span_id: random(16),
        }
    }

    /// Value of the `traceparent` header: sampled.
    pub fn header(&self) -> String {
        format!("00-{}-{}-01", self.trace_id, self.span_id)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_trace_is_another() {
        let (one, other) = (TraceContext::fresh(), TraceContext::fresh());
        assert_ne!(one.trace_id, other.trace_id);
        assert_ne!(one.span_id, other.span_id);
        assert_eq!(one.header().len(), 55);
    }
}

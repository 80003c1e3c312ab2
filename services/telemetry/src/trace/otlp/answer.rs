//! What a collector answers: `ExportTraceServiceResponse` of OTLP.

use prost::Message;

use crate::trace::courier::Rejection;

#[derive(Message)]
struct Answer {
    #[prost(message, optional, tag = "1")]
    partial_success: Option<PartialSuccess>,
}

#[derive(Message)]
struct PartialSuccess {
    #[prost(int64, tag = "1")]
    rejected_spans: i64,
    #[prost(string, tag = "2")]
    error_message: String,
}

/// The spans that the collector took the batch without. A warning about none is not one, nor is what cannot be read.
pub(super) fn rejection(answer: &[u8]) -> Option<Rejection> {
    let told = Answer::decode(answer).ok()?.partial_success?;
    let spans = usize::try_from(told.rejected_spans)
        .ok()
        .filter(|spans| *spans > 0)?;
    Some(Rejection {
        spans,
        reason: told.error_message,
    })
}

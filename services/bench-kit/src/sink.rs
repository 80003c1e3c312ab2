//! The backends: takes spans by OTLP and Sentry's envelopes, and counts both by the number of the server.

use std::{
    net::SocketAddr,
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering::Relaxed},
    },
};

use anyhow::Result;
use axum::{
    Router,
    body::Bytes,
    extract::{DefaultBodyLimit, Path, State},
    http::StatusCode,
    routing::post,
};
use prost::Message;
use serde::Deserialize;
use tokio::net::TcpListener;

/// Counts by the number of the server.
#[derive(Debug, Clone)]
pub struct Sink {
    received: Arc<[Received]>,
}

/// What came from one server so far.
#[derive(Debug, Default)]
struct Received {
    spans: AtomicU64,
    transactions: AtomicU64,
    profile_chunks: AtomicU64,
}

/// The same at one moment.
#[derive(Debug, Clone, Copy, Default)]
pub struct Counts {
    /// Spans by OTLP.
    pub spans: u64,
    /// Sentry's transactions.
    pub transactions: u64,
    /// Sentry's profiles.
    pub profile_chunks: u64,
}

impl Counts {
    /// What came since `before`.
    #[must_use]
    pub fn since(self, before: Self) -> Self {
        Self {
            spans: self.spans - before.spans,
            transactions: self.transactions - before.transactions,
            profile_chunks: self.profile_chunks - before.profile_chunks,
        }
    }
}

impl Sink {
    /// Starts it on a free port, for so many servers.
    pub async fn start(servers: usize) -> Result<(Self, SocketAddr)> {
        let sink = Self {
            received: (0..servers).map(|_| Received::default()).collect(),
        };
        let app = Router::new()
            .route("/{server}/v1/traces", post(take_spans))
            .route("/api/{server}/envelope/", post(take_envelope))
            .layer(DefaultBodyLimit::disable())
            .with_state(sink.clone());
        let listener = TcpListener::bind("127.0.0.1:0").await?;
        let address = listener.local_addr()?;
        tokio::spawn(async move { axum::serve(listener, app).await });
        Ok((sink, address))
    }

    /// What came from the server with this number so far.
    pub fn counts(&self, server: usize) -> Counts {
        let Some(received) = self.received.get(server) else {
            return Counts::default();
        };
        Counts {
            spans: received.spans.load(Relaxed),
            transactions: received.transactions.load(Relaxed),
            profile_chunks: received.profile_chunks.load(Relaxed),
        }
    }
}

async fn take_spans(State(sink): State<Sink>, Path(server): Path<usize>, body: Bytes) -> StatusCode {
    let (Some(received), Ok(request)) = (sink.received.get(server), ExportRequest::decode(body)) else {
        return StatusCode::BAD_REQUEST;
    };
    received.spans.fetch_add(request.spans(), Relaxed);
    StatusCode::OK
}

async fn take_envelope(State(sink): State<Sink>, Path(server): Path<usize>, body: Bytes) -> StatusCode {
    let Some(received) = sink.received.get(server) else {
        return StatusCode::BAD_REQUEST;
    };
    for kind in item_types(&body) {
        match kind.as_str() {
            // Node's SDK streams the spans of a transaction instead of the transaction.
            "transaction" | "span" => received.transactions.fetch_add(1, Relaxed),
            "profile_chunk" => received.profile_chunks.fetch_add(1, Relaxed),
            _ => continue,
        };
    }
    StatusCode::OK
}

/// The outermost fields of an OTLP request: spans are counted, not read, since their reader takes CPU time
/// from the servers.
#[derive(Message)]
struct ExportRequest {
    #[prost(message, repeated, tag = "1")]
    resources: Vec<ResourceSpans>,
}

impl ExportRequest {
    fn spans(&self) -> u64 {
        let scopes = self.resources.iter().flat_map(|resource| &resource.scopes);
        scopes.map(|scope| scope.spans.len() as u64).sum()
    }
}

#[derive(Message)]
struct ResourceSpans {
    #[prost(message, repeated, tag = "2")]
    scopes: Vec<ScopeSpans>,
}

#[derive(Message)]
struct ScopeSpans {
    #[prost(bytes = "bytes", repeated, tag = "2")]
    spans: Vec<Bytes>,
}

#[derive(Deserialize)]
struct ItemHeader {
    r#type: String,
    length: Option<usize>,
}

/// The types of an envelope's items, up to the first that cannot be read. A compressed one has none.
fn item_types(envelope: &[u8]) -> Vec<String> {
    let mut types = Vec::new();
    let (_, mut rest) = split_line(envelope);
    while let (header, body) = split_line(rest)
        && let Ok(header) = serde_json::from_slice::<ItemHeader>(header)
    {
        types.push(header.r#type);
        let length = header.length.unwrap_or_else(|| split_line(body).0.len());
        rest = body.get(length..).unwrap_or_default();
        rest = rest.strip_prefix(b"\n").unwrap_or(rest);
    }
    types
}

fn split_line(bytes: &[u8]) -> (&[u8], &[u8]) {
    match bytes.iter().position(|byte| *byte == b'\n') {
        Some(end) => (&bytes[..end], &bytes[end + 1..]),
        None => (bytes, &[]),
    }
}

#[cfg(test)]
mod tests {
    use opentelemetry_proto::tonic::{collector::trace::v1::ExportTraceServiceRequest, trace::v1 as proto};

    use super::*;

    #[test]
    fn items_are_found_with_and_without_their_length() {
        let envelope = b"{\"dsn\":\"x\"}\n\
            {\"type\":\"transaction\",\"length\":25}\n{\"type\":\n\"not an item\"..}\n\
            {\"type\":\"profile_chunk\"}\n{\"type\":\"payload\"}\n\
            {\"type\":\"session\",\"length\":2}\n{}";
        assert_eq!(item_types(envelope), ["transaction", "profile_chunk", "session"]);
    }

    #[test]
    fn what_is_not_an_envelope_has_no_items() {
        assert!(item_types(b"").is_empty());
        assert!(item_types(b"\x1f\x8b\x08\nbinary\n").is_empty());
    }

    #[test]
    fn spans_are_counted_over_resources_and_scopes() {
        let scope = |count| proto::ScopeSpans {
            spans: vec![proto::Span::default(); count],
            ..Default::default()
        };
        let resource = |counts: &[usize]| proto::ResourceSpans {
            scope_spans: counts.iter().copied().map(scope).collect(),
            ..Default::default()
        };
        let sent = ExportTraceServiceRequest {
            resource_spans: vec![resource(&[1, 2]), resource(&[3])],
        };
        let received = ExportRequest::decode(sent.encode_to_vec().as_slice()).unwrap();
        assert_eq!(received.spans(), 6);
    }
}

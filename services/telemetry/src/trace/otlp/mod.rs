//! Export by OTLP `http/protobuf`: the exporter of OpenTelemetry with the encoding and the transport of our own.
//!
//! The exporter knows endpoint, headers, resource, retries and answers. It is given an empty batch; the transport puts the spans
//! into the request that it makes of that.

mod answer;
mod encode;
#[cfg(test)]
mod tests;

use std::{
    future::Future,
    pin::Pin,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    time::Duration,
};

use opentelemetry_http::{Bytes, HttpClient, HttpError, Request, Response};
use opentelemetry_otlp::{ExporterBuildError, RetryPolicy, WithExportConfig, WithHttpConfig};
use opentelemetry_sdk::{
    Resource,
    error::OTelSdkResult,
    trace::{SpanData, SpanExporter},
};
use ureq::{Agent, Body};

use super::{Backend, courier::Rejection};
use crate::agent;

/// An answer that is longer is cut off: what a collector has to say about a batch is short.
const MAX_ANSWER: u64 = 64 << 10;

/// What a batch needs. A buffer that grew larger is given back.
const KEPT: usize = 256 << 10;

/// The batch under way in OTLP's form: the fields `scope_spans`.
#[derive(Clone, Debug, Default)]
struct Batch(Arc<Mutex<Vec<u8>>>);

impl Batch {
    fn lock(&self) -> MutexGuard<'_, Vec<u8>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// What the collector rejected of the batch that it answered last.
#[derive(Clone, Debug, Default)]
struct Rejected(Arc<Mutex<Option<Rejection>>>);

impl Rejected {
    fn lock(&self) -> MutexGuard<'_, Option<Rejection>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Sends spans to a collector.
#[derive(Debug)]
pub(super) struct OtlpExporter {
    exporter: opentelemetry_otlp::SpanExporter,
    batch: Batch,
    rejected: Rejected,
}

impl OtlpExporter {
    /// To this URL, of which one request may take so long.
    pub(super) fn new(url: &str, timeout: Duration) -> Result<Self, ExporterBuildError> {
        let (batch, rejected) = (Batch::default(), Rejected::default());
        let agent = agent::new(agent::config().timeout_global(Some(timeout)).build());
        let transport = Transport {
            agent,
            batch: batch.clone(),
            rejected: rejected.clone(),
        };
        let exporter = opentelemetry_otlp::SpanExporter::builder()
            .with_http()
            .with_http_client(transport)
            .with_endpoint(url)
            .with_timeout(timeout)
            .with_retry_policy(RetryPolicy::recommended())
            .build()?;
        Ok(Self {
            exporter,
            batch,
            rejected,
        })
    }
}

impl Backend for OtlpExporter {
    fn take_rejection(&self) -> Option<Rejection> {
        self.rejected.lock().take()
    }
}

impl SpanExporter for OtlpExporter {
    async fn export(&self, spans: Vec<SpanData>) -> OTelSdkResult {
        encode::scope_spans(&mut self.batch.lock(), &spans);
        drop(spans);
        let result = self.exporter.export(Vec::new()).await;
        let mut batch = self.batch.lock();
        batch.clear();
        batch.shrink_to(KEPT);
        result
    }

    fn shutdown_with_timeout(&self, timeout: Duration) -> OTelSdkResult {
        self.exporter.shutdown_with_timeout(timeout)
    }

    fn force_flush(&self) -> OTelSdkResult {
        self.exporter.force_flush()
    }

    fn set_resource(&mut self, resource: &Resource) {
        self.exporter.set_resource(resource);
    }
}

/// Puts the batch into requests and sends them, on the thread that asks: the batch processor's own.
#[derive(Debug)]
struct Transport {
    agent: Agent,
    batch: Batch,
    rejected: Rejected,
}

impl HttpClient for Transport {
    fn send_bytes<'a, 'b>(
        &'a self,
        request: Request<Bytes>,
    ) -> Pin<Box<dyn Future<Output = Result<Response<Bytes>, HttpError>> + Send + 'b>>
    where
        'a: 'b,
        Self: 'b,
    {
        let answer = self.send(request);
        Box::pin(std::future::ready(answer))
    }
}

impl Transport {
    fn send(&self, request: Request<Bytes>) -> Result<Response<Bytes>, HttpError> {
        let (head, body) = request.into_parts();
        let body =
            with_spans(&body, &self.batch.lock()).ok_or("the exporter's request has an unknown form")?;
        let answer = self.agent.run(Request::from_parts(head, body))?;
        let (head, mut body) = answer.into_parts();
        let body = read(&mut body)?;
        *self.rejected.lock() = answer::rejection(&body);
        Ok(Response::from_parts(head, body))
    }
}

fn read(body: &mut Body) -> Result<Bytes, ureq::Error> {
    // Read to its end, the connection serves the next batch too.
    let body = body.with_config().limit(MAX_ANSWER).read_to_vec()?;
    Ok(body.into())
}

/// The field `resource_spans` of a request, the first and here the only one: key and length.
const RESOURCE_SPANS: u8 = 1 << 3 | 2;

/// The exporter's request for an empty batch, with these `scope_spans` appended to its only `resource_spans`. `None` where it has
/// another form.
fn with_spans(request: &[u8], scope_spans: &[u8]) -> Option<Vec<u8>> {
    let (key, rest) = request.split_first()?;
    let ends = rest.iter().position(|byte| *byte < 0x80)? + 1;
    let (length, resource_spans) = rest.split_at(ends);
    let length = length.iter().rev().try_fold(0_usize, |length, byte| {
        Some(length.checked_mul(0x80)? | usize::from(byte & 0x7f))
    })?;
    if *key != RESOURCE_SPANS || length != resource_spans.len() {
        return None;
    }
    let mut request = Vec::with_capacity(request.len() + scope_spans.len() + 5);
    request.push(RESOURCE_SPANS);
    encode::varint(&mut request, (length + scope_spans.len()) as u64);
    request.extend_from_slice(resource_spans);
    request.extend_from_slice(scope_spans);
    Some(request)
}

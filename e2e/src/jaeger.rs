//! Jaeger's query API v3, which answers with OTLP's own JSON.

use std::time::Duration;

use anyhow::{Result, bail};
use http::StatusCode;
pub use platform_core::trace::{Kind, Span, Trace};

use crate::endpoint::Endpoint;
use crate::wait::{Look, until};

/// Sidecar and backend batch for a second each; a busy machine needs more.
const ARRIVAL_LIMIT: Duration = Duration::from_mins(1);

/// A Jaeger.
#[derive(Clone)]
pub struct Jaeger(Endpoint);

impl Jaeger {
    /// The Jaeger whose query API is there.
    pub fn at(endpoint: Endpoint) -> Self {
        Self(endpoint)
    }

    /// The trace, if Jaeger has any span of it.
    pub async fn trace(&self, trace_id: &str) -> Result<Option<Trace>> {
        let answer = self.0.get(&format!("/api/v3/traces/{trace_id}")).await?;
        match answer.status {
            StatusCode::OK => Ok(Some(answer.json()?)),
            StatusCode::NOT_FOUND => Ok(None),
            status => bail!("Jaeger answers {status}: {}", answer.body),
        }
    }

    /// Waits until `missing` finds nothing missing in the trace; a failure shows the trace and what is missing.
    pub async fn until_complete(
        &self,
        trace_id: &str,
        missing: impl Fn(&Trace) -> Vec<String>,
    ) -> Result<Trace> {
        until(
            &format!("the trace {trace_id} is complete"),
            ARRIVAL_LIMIT,
            async || {
                let Some(trace) = self.trace(trace_id).await? else {
                    return Ok(Look::NotYet("Jaeger has no span of it".to_owned()));
                };
                let missing = missing(&trace);
                if missing.is_empty() {
                    return Ok(Look::Done(trace));
                }
                Ok(Look::NotYet(format!(
                    "missing:\n  {}\nin the trace:\n{trace}",
                    missing.join("\n  ")
                )))
            },
        )
        .await
    }
}

//! `GET /api-docs/{service}.json`: the API document of a service, as it is reached through the gateway.

use std::sync::Arc;
use std::time::Duration;

use axum::Json;
use serde_json::{Map, Value, json};
use tracewell_telemetry::TracedClient;

use crate::error::GatewayError;
use crate::routing::Upstream;

/// A person waits for it.
const TIMEOUT: Duration = Duration::from_secs(5);

/// Fetches the service's own document and says where its paths begin here.
pub async fn service_document(
    client: TracedClient,
    upstream: Arc<Upstream>,
) -> Result<Json<Value>, GatewayError> {
    let fetch = async {
        let url = upstream.address(&upstream.document, None);
        let answer = client
            .get(url)
            .timeout(TIMEOUT)
            .send()
            .await?
            .error_for_status()?;
        answer.json::<Map<String, Value>>().await
    };
    let mut document = fetch.await.map_err(|source| GatewayError::NoDocument {
        upstream: upstream.name.clone(),
        source,
    })?;
    document.insert("servers".to_owned(), json!([{ "url": upstream.prefix() }]));
    Ok(Json(document.into()))
}

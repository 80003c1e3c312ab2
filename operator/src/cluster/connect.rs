//! The way to the API server: the kubeconfig of a person, or the service account of a pod.

use std::{
    sync::Arc,
    time::{Duration, Instant},
};

use ::http::Request;
use kube::{
    Client, Config,
    client::{Body, ClientBuilder},
};
use tower::util::MapRequestLayer;

use super::Hearing;

/// The longest that a connection may take, handshake included: as long as a request may.
const CONNECT_TIMEOUT: Duration = Duration::from_secs(10);

/// Why there is no way to an API server.
#[derive(Debug, thiserror::Error)]
pub enum ConnectError {
    /// Nothing says where it is. The cause stands in the message alone: its own chain repeats it.
    #[error("no cluster is configured: {0}")]
    NotConfigured(kube::config::InferConfigError),
    /// What says where it is makes no client, for instance because of its certificates.
    #[error("the client of the API server cannot be made")]
    NoClient(#[source] kube::Error),
}

/// A client, and the namespace that its configuration means where none is named.
pub async fn connect() -> Result<(Client, String), ConnectError> {
    connect_to(Config::infer().await.map_err(ConnectError::NotConfigured)?)
}

/// The same, to where this configuration says.
pub fn connect_to(config: Config) -> Result<(Client, String), ConnectError> {
    let config = in_our_time(config);
    let namespace = config.default_namespace.clone();
    Ok((
        Client::try_from(config).map_err(ConnectError::NoClient)?,
        namespace,
    ))
}

/// A client of whose watches `hearing` is told.
pub async fn connect_heard(hearing: Arc<Hearing>) -> Result<Client, ConnectError> {
    let config = in_our_time(Config::infer().await.map_err(ConnectError::NotConfigured)?);
    let told = MapRequestLayer::new(move |request: Request<Body>| {
        hearing.sent(&request, Instant::now());
        request
    });
    let client = ClientBuilder::try_from(config).map_err(ConnectError::NoClient)?;
    Ok(client.with_layer(&told).build())
}

/// With limits of time and repetition that suit a reconcile.
fn in_our_time(mut config: Config) -> Config {
    config.connect_timeout = Some(CONNECT_TIMEOUT);
    // The default repeats requests 15 times, POSTs too (kube-rs/kube#2082); here a failed reconcile is repeated as a
    // whole, with a pause per Platform.
    config.default_retry = false;
    config
}

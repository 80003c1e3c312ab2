//! `tracewell-operator run`: the wiring.

use std::{
    net::{Ipv4Addr, SocketAddr},
    sync::Arc,
    time::Duration,
};

use tokio::{
    net::TcpListener,
    signal::unix::{SignalKind, signal},
};
use tokio_util::sync::CancellationToken;
use tracewell_telemetry::{Readiness, Telemetry};

use crate::{
    cluster::{ConnectError, KubeCluster, connect},
    controller::{Backoff, Operator, Progress, controller, watch},
    http,
    preflight::{PreflightError, preflight},
    settings::{RunArgs, VERSION},
};

/// The longest wait for reconciles that run when the operator is told to stop. What is cut off is taken up by the next
/// operator.
const DRAIN: Duration = Duration::from_secs(15);

/// The longest wait for the last spans (5 s) and the last errors (2 s).
const FLUSH: Duration = Duration::from_secs(7);

/// Why the operator does not run.
#[derive(Debug, thiserror::Error)]
pub enum RunError {
    /// There is no way to an API server.
    #[error(transparent)]
    Connect(#[from] ConnectError),
    /// The cluster lacks what the operator needs.
    #[error(transparent)]
    Preflight(#[from] PreflightError),
    /// The port of the probes cannot be had.
    #[error("port {port} cannot be opened; --http-port names another one")]
    Port {
        /// The port.
        port: u16,
        /// Why.
        source: std::io::Error,
    },
    /// Signals cannot be received.
    #[error("signals cannot be received")]
    Signals(#[source] std::io::Error),
}

/// Runs the operator until it is told to stop by SIGTERM or an interrupt.
pub async fn run(arguments: RunArgs, telemetry: Telemetry) -> Result<(), RunError> {
    let shutdown = cancelled_by_signal().map_err(RunError::Signals)?;
    let ended = run_until(arguments, &telemetry, shutdown).await;
    telemetry.shutdown(FLUSH).await;
    ended
}

async fn run_until(
    arguments: RunArgs,
    telemetry: &Telemetry,
    shutdown: CancellationToken,
) -> Result<(), RunError> {
    let (client, _) = connect().await?;
    preflight(&client).await?;

    let (controller, platforms) = controller(&client);
    let operator = Arc::new(Operator {
        cluster: KubeCluster::new(client, arguments.pod_name),
        settings: arguments.images.settings(),
        progress: Arc::new(Progress::default()),
        backoff: Backoff::default(),
    });
    let readiness = http::readiness(platforms);
    let router = http::router(telemetry, readiness.clone(), operator.progress.clone());
    let address = SocketAddr::from((Ipv4Addr::UNSPECIFIED, arguments.http_port));
    let listener = TcpListener::bind(address)
        .await
        .map_err(|source| RunError::Port {
            port: arguments.http_port,
            source,
        })?;
    let server = tokio::spawn(axum::serve(listener, router).into_future());

    tracing::info!(version = VERSION, settings = ?operator.settings, "the operator watches");
    let watching = watch(controller, operator, shutdown.clone());
    drain(watching, &readiness, &shutdown).await;
    server.abort();
    tracing::info!("the operator stopped");
    Ok(())
}

/// Waits for the end of the watching, from the stop signal on with a limit.
async fn drain(watching: impl Future<Output = ()>, readiness: &Readiness, shutdown: &CancellationToken) {
    let limit = async {
        shutdown.cancelled().await;
        readiness.drain();
        tokio::time::sleep(DRAIN).await;
    };
    tokio::select! {
        () = watching => {}
        () = limit => tracing::warn!("reconciles were cut off after {DRAIN:?}"),
    }
}

/// A token that SIGTERM or an interrupt cancels.
fn cancelled_by_signal() -> std::io::Result<CancellationToken> {
    let (mut terminate, mut interrupt) = (signal(SignalKind::terminate())?, signal(SignalKind::interrupt())?);
    let token = CancellationToken::new();
    let cancelled = token.clone();
    tokio::spawn(async move {
        tokio::select! {
            _ = terminate.recv() => {}
            _ = interrupt.recv() => {}
        }
        cancelled.cancel();
    });
    Ok(token)
}

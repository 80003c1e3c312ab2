//! `tracewell-operator run`: the wiring.

use std::{
    collections::BTreeSet,
    net::{Ipv4Addr, SocketAddr},
    sync::Arc,
    time::Duration,
};

use futures::channel::mpsc;
use kube::{Client, runtime::reflector::Store};
use platform_core::{kinds::Kind, leader::Timing};
use tokio::{
    net::TcpListener,
    signal::unix::{SignalKind, signal},
    sync::watch,
};
use tokio_util::sync::CancellationToken;
use tracewell_telemetry::{Readiness, Telemetry};
use uuid::Uuid;

use crate::{
    cluster::{ClusterError, ConnectError, Hearing, KubeCluster, Leases, connect_heard, known_kinds},
    controller::{
        Backoff, News, Operator, Progress, ReferenceWatches, Referrers, Watched, controller, watch,
    },
    evidence::Inquiries,
    http,
    leader::{Election, Leadership, LostLeadership},
    preflight::{PreflightError, preflight},
    settings::{RunArgs, VERSION},
};

/// The longest wait for reconciles that run when the operator is told to stop. What is cut off is taken up by the next
/// operator.
const DRAIN: Duration = Duration::from_secs(15);

/// How often the operator looks whether CRDs came or went that it has a use for. It is one small request a group.
const DISCOVERY: Duration = Duration::from_mins(1);

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
    /// The kinds that the cluster knows cannot be looked up.
    #[error("the kinds that the cluster knows cannot be looked up")]
    Discovery(#[source] ClusterError),
    /// Another operator may lead by now.
    #[error(
        "this operator does not lead any more, and ends so that a new one starts from what the cluster has"
    )]
    LostLeadership(#[source] LostLeadership),
    /// Signals cannot be received.
    #[error("signals cannot be received")]
    Signals(#[source] std::io::Error),
}

/// Runs the operator until it is told to stop by SIGTERM or an interrupt.
pub async fn run(arguments: RunArgs, telemetry: Telemetry) -> Result<(), RunError> {
    let shutdown = cancelled_by_signal().map_err(RunError::Signals)?;
    let ended = Box::pin(run_until(arguments, &telemetry, shutdown)).await;
    telemetry.shutdown(FLUSH).await;
    ended
}

async fn run_until(
    arguments: RunArgs,
    telemetry: &Telemetry,
    shutdown: CancellationToken,
) -> Result<(), RunError> {
    let hearing = Arc::new(Hearing::default());
    let client = connect_heard(hearing.clone()).await?;
    let lease = arguments.lease();
    preflight(&client, &arguments.reach(), lease.as_ref()).await?;

    let progress = Arc::new(Progress::default());
    let (stores, platforms) = watch::channel(None);
    let readiness = http::readiness(platforms);
    let router = http::router(telemetry, readiness.clone(), progress.clone(), hearing.clone());
    let address = SocketAddr::from((Ipv4Addr::UNSPECIFIED, arguments.http_port));
    let listener = TcpListener::bind(address)
        .await
        .map_err(|source| RunError::Port {
            port: arguments.http_port,
            source,
        })?;
    let service = router.into_make_service_with_connect_info::<SocketAddr>();
    let server = tokio::spawn(axum::serve(listener, service).into_future());

    let mut election = lease.map(|lease| {
        let me = format!(
            "{}_{}",
            arguments.pod_name.as_deref().unwrap_or("operator"),
            Uuid::now_v7()
        );
        Election::new(Leases::new(client.clone(), lease), me, Timing::default())
    });
    let (leads, leadership) = watch::channel(false);
    let watching = watch_again(
        client,
        arguments,
        (progress, hearing),
        stores,
        leadership,
        shutdown.clone(),
    );
    let ended = tokio::select! {
        watched = drain(watching, &readiness, &shutdown) => watched,
        lost = lead(election.as_mut(), leads) => Err(RunError::LostLeadership(lost)),
    };
    if let Some(election) = &mut election {
        election.release().await;
    }
    server.abort();
    tracing::info!("the operator stopped");
    ended
}

/// Tells `leads` once this operator leads, and ends when it does not any more. One that is alone leads for ever.
async fn lead(election: Option<&mut Election>, leads: watch::Sender<bool>) -> LostLeadership {
    let Some(election) = election else {
        leads.send_replace(true);
        return std::future::pending().await;
    };
    election.win().await;
    leads.send_replace(true);
    election.hold().await
}

/// Watches until the shutdown, anew whenever a CRD comes or goes that the operator has a use for.
async fn watch_again(
    client: Client,
    arguments: RunArgs,
    (progress, hearing): (Arc<Progress>, Arc<Hearing>),
    stores: watch::Sender<Option<Store<Watched>>>,
    leadership: watch::Receiver<bool>,
    shutdown: CancellationToken,
) -> Result<(), RunError> {
    let reach = arguments.reach();
    let referrers = Arc::new(Referrers::default());
    let mut kinds = known_kinds(&client).await.map_err(RunError::Discovery)?;
    while !shutdown.is_cancelled() {
        // Without a bound: what is sent is few names, and the controller takes them at once.
        let (concern, concerned) = mpsc::unbounded();
        let news = News {
            hearing: hearing.clone(),
            ..News::default()
        };
        let (controller, platforms) = controller(&client, &reach, &kinds, &news, concerned);
        stores.send_replace(Some(platforms));
        let stop = shutdown.child_token();
        let operator = Operator {
            cluster: KubeCluster::new(client.clone(), arguments.pod_name.clone())
                .within(reach.clone())
                .informed_by(news.revisions.clone()),
            settings: arguments.settings.to_settings(),
            kinds: kinds.clone(),
            referrers: referrers.clone(),
            reference_watches: ReferenceWatches::new(
                client.clone(),
                referrers.clone(),
                concern.clone(),
                news.revisions.clone(),
                hearing.clone(),
            ),
            inquiries: Arc::new(Inquiries::new(concern)),
            news,
            progress: progress.clone(),
            backoff: Backoff::default(),
            leadership: Leadership::new(leadership.clone(), stop.clone()),
        };
        tracing::info!(version = VERSION, settings = ?operator.settings, ?kinds, ?reach, "the operator watches");
        let change = async {
            let changed = other_kinds(&client, &kinds, &stop).await;
            stop.cancel();
            changed
        };
        let ((), changed) = tokio::join!(
            async {
                watch(controller, Arc::new(operator), stop.clone()).await;
                stop.cancel();
            },
            change
        );
        kinds = changed.unwrap_or(kinds);
    }
    Ok(())
}

/// The kinds that the cluster knows, once they are others than these; `None` when told to stop.
async fn other_kinds(
    client: &Client,
    kinds: &BTreeSet<Kind>,
    stop: &CancellationToken,
) -> Option<BTreeSet<Kind>> {
    loop {
        tokio::select! {
            () = stop.cancelled() => return None,
            () = tokio::time::sleep(DISCOVERY) => {}
        }
        match known_kinds(client).await {
            Ok(known) if known != *kinds => return Some(known),
            Ok(_) => {}
            Err(error) => tracing::warn!(%error, "the kinds of the cluster cannot be looked up"),
        }
    }
}

/// Waits for the end of the watching, from the stop signal on with a limit.
async fn drain(
    watching: impl Future<Output = Result<(), RunError>>,
    readiness: &Readiness,
    shutdown: &CancellationToken,
) -> Result<(), RunError> {
    let limit = async {
        shutdown.cancelled().await;
        readiness.drain();
        tokio::time::sleep(DRAIN).await;
    };
    tokio::select! {
        watched = watching => watched,
        () = limit => {
            tracing::warn!("reconciles were cut off after {DRAIN:?}");
            Ok(())
        }
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

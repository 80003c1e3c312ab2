//! The gateway as a service of the kit: its routes, and the upstreams mounted beside them.

use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use axum::Router;
use axum::extract::{ConnectInfo, Request, State};
use axum::middleware::{self, Next};
use axum::response::Response;
use axum::routing::{any, get};
use tracewell_kit::config::Env;
use tracewell_kit::docs::{DocumentLink, Routes};
use tracewell_kit::forwarded::TrustedProxies;
use tracewell_kit::service::{Resources, Service, StartError};
use tracewell_telemetry::TracedClient;
use utoipa_axum::routes;

use crate::config::Config;
use crate::error::GatewayError;
use crate::proxy::Proxy;
use crate::rate_limit::ClientRateLimit;
use crate::request_id;
use crate::routes::{api_docs, health};
use crate::routing::Upstream;

/// The gateway service.
#[derive(Debug, Clone, Copy)]
pub struct Gateway;

/// What the handlers share.
#[derive(Debug, Clone)]
pub struct GatewayState {
    /// For the gateway's own calls to upstreams.
    pub client: TracedClient,
    /// Sorted by prefix.
    pub upstreams: Arc<[Arc<Upstream>]>,
    proxy: Proxy,
    /// None: no limit.
    rate_limit: Option<Arc<ClientRateLimit>>,
    trusted_proxies: TrustedProxies,
}

impl Service for Gateway {
    const NAME: &'static str = "gateway";
    const BINARY: &'static str = env!("CARGO_PKG_NAME");
    const VERSION: &'static str = env!("CARGO_PKG_VERSION");
    const TITLE: &'static str = "Tracewell gateway";
    const DESCRIPTION: &'static str = "The one way into the platform: routes each prefix to its service, limits rates, \
        names requests, and shows the API documents of all services.";
    const PORT: u16 = 3000;
    /// Above the longest `UPSTREAM_TIMEOUT_SECONDS`, so that the answer names the upstream.
    const REQUEST_TIMEOUT: Duration = Duration::from_mins(5);
    /// A request costs it little, and one service that hangs must not take the places of all.
    const REQUESTS_AT_ONCE: usize = 16 * 1024;
    /// Bodies are streamed, never held: this only bounds what one request may move. Services have limits of their own.
    const BODY_LIMIT: usize = 32 * 1024 * 1024;

    type Config = Config;
    type State = GatewayState;

    fn configure(env: &mut Env) -> Config {
        Config::read(env)
    }

    fn routes() -> Routes<GatewayState> {
        Routes::default().v1(routes!(health::health))
    }

    async fn start(config: Config, resources: &Resources) -> Result<GatewayState, StartError> {
        let client = resources.client.clone();
        Ok(GatewayState {
            proxy: Proxy::new(
                client.clone(),
                config.upstream_timeout,
                resources.trusted_proxies,
                resources.connections.clone(),
            ),
            client,
            upstreams: config.routes.upstreams().iter().cloned().map(Arc::new).collect(),
            rate_limit: config.rate_limit.0.map(ClientRateLimit::new).map(Arc::new),
            trusted_proxies: resources.trusted_proxies,
        })
    }

    fn mount(state: &GatewayState, router: Router) -> Router {
        state
            .upstreams
            .iter()
            .fold(router, |router, upstream| {
                router.merge(mount_upstream(state, upstream))
            })
            .layer(middleware::from_fn_with_state(state.clone(), limit_rate))
            .layer(middleware::from_fn(request_id::assign))
    }

    fn documents(state: &GatewayState) -> Vec<DocumentLink> {
        let link = |upstream: &Arc<Upstream>| DocumentLink {
            name: upstream.name.clone(),
            url: format!("{}.json", upstream.name),
        };
        state.upstreams.iter().map(link).collect()
    }
}

/// The prefix itself, everything below it, and the service's API document.
fn mount_upstream(state: &GatewayState, upstream: &Arc<Upstream>) -> Router {
    let (proxy, target) = (state.proxy.clone(), Arc::clone(upstream));
    let forward = any(move |request: Request| async move { proxy.forward(target, request).await });
    let (client, described) = (state.client.clone(), Arc::clone(upstream));
    let document = get(move || api_docs::service_document(client, described));
    Router::new()
        .route(&upstream.prefix(), forward.clone())
        .route(&format!("{}/", upstream.prefix()), forward.clone())
        .route(&format!("{}/{{*path}}", upstream.prefix()), forward)
        .route(&format!("/api-docs/{}.json", upstream.name), document)
}

async fn limit_rate(
    State(state): State<GatewayState>,
    ConnectInfo(peer): ConnectInfo<SocketAddr>,
    request: Request,
    next: Next,
) -> Result<Response, GatewayError> {
    if let Some(limit) = &state.rate_limit {
        let client = state.trusted_proxies.client(request.headers(), Some(peer.ip()));
        limit
            .check(client.unwrap_or(peer.ip()))
            .map_err(|wait| GatewayError::RateLimited {
                retry_after_seconds: wait.as_secs() + 1,
            })?;
    }
    Ok(next.run(request).await)
}

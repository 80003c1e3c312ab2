//! Serving: the layers around a service's routes, the ports, and an orderly end.

use std::{future::Future, io, net::SocketAddr, pin::pin, sync::Arc, time::Duration};

use axum::{
    Router,
    extract::{DefaultBodyLimit, Request, State},
    middleware::{self, Next},
    response::{IntoResponse, Response},
    routing::get,
    serve::ListenerExt as _,
};
use http::{HeaderName, HeaderValue, Method, StatusCode, header};
use tokio::{net::TcpListener, sync::Semaphore, task::JoinHandle};
use tower_http::{
    cors::CorsLayer,
    csrf::{CsrfLayer, ProtectionError},
    set_header::SetResponseHeaderLayer,
};
use tracewell_telemetry::{Readiness, Telemetry};

use crate::{
    config::{ApiDocs, BaseConfig, Env},
    connections::Connections,
    db::{Db, Migration},
    docs,
    forwarded::TrustedProxies,
    idempotency,
    linger::linger,
    problem::{self, ApiError},
    service::{Resources, Service, Settings, StartError},
};

/// How long requests and connections under way may go on once new ones are refused.
const DRAIN: Duration = Duration::from_secs(20);

/// Answers nothing, and leaves a span as every request to the API does: by it one can find out whether spans arrive. The
/// probes' own paths leave none. The operator knows it as well (`SPAN_PATH` of its core).
pub const SPAN_PATH: &str = "/healthz/span";

/// How long the database may take to close: the last spans are sent after it, before the pod's grace period ends.
const CLOSE: Duration = Duration::from_secs(3);

/// A service that has its ports and is ready to serve.
#[derive(Debug)]
pub struct Server {
    listener: TcpListener,
    app: Router,
    ops: Option<(TcpListener, Router)>,
    readiness: Readiness,
    connections: Connections,
    shutdown_delay: Duration,
    db: Option<Db>,
}

/// A port cannot be listened on.
#[derive(Debug, thiserror::Error)]
#[error("cannot listen on {address} (set by {variable})")]
pub struct ListenError {
    address: SocketAddr,
    variable: &'static str,
    #[source]
    source: io::Error,
}

impl Server {
    /// Starts `S` as the environment says: opens its database, brings the schema up to date, takes its
    /// ports.
    pub async fn start<S: Service>(env: Env, telemetry: &Telemetry) -> Result<Self, StartError> {
        let Settings {
            base,
            database,
            service,
            ..
        } = Settings::<S>::read(env)?;
        // Ports first: "in use" should be said before anything is created.
        let listener = listen(base.address, "HOST, PORT").await?;
        let ops_listener = match base.metrics_address {
            Some(address) => Some(listen(address, "HOST, METRICS_PORT").await?),
            None => None,
        };
        let database = database.as_ref().zip(S::MIGRATIONS);
        let resources = Resources::open(telemetry, base.trusted_proxies, database).await?;
        let state = S::start(service, &resources).await?;
        let db = resources.database().ok().cloned();
        let readiness = readiness(db.clone(), S::MIGRATIONS.unwrap_or_default());
        let ops = S::operations(&state, telemetry.ops_routes(readiness.clone()));
        let app = telemetry.wrap(api::<S>(&state, &base));
        let (app, ops) = match ops_listener {
            None => (app.merge(ops), None),
            Some(listener) => (app.merge(health_of(&ops)), Some((listener, ops))),
        };
        Ok(Self {
            listener,
            app,
            ops,
            readiness,
            connections: resources.connections,
            shutdown_delay: base.shutdown_delay,
            db,
        })
    }

    /// Where the API listens.
    pub fn address(&self) -> io::Result<SocketAddr> {
        self.listener.local_addr()
    }

    /// Where the metrics are listened for, when that is not beside the API.
    pub fn metrics_address(&self) -> Option<io::Result<SocketAddr>> {
        self.ops.as_ref().map(|(listener, _)| listener.local_addr())
    }

    /// Serves until `stop`, then ends in order: not ready, a delay in which load balancers notice, no new
    /// connections, requests and lasting connections under way finish within 20 s, the database closes.
    pub async fn run(self, stop: impl Future<Output = ()>) -> io::Result<()> {
        let ops = self.ops.map(|(listener, router)| serve_ops(listener, router));
        let stopping = self.connections.stopping().clone();
        let listener = self.listener.tap_io(send_at_once);
        let serving = axum::serve(
            listener,
            self.app.into_make_service_with_connect_info::<SocketAddr>(),
        )
        .with_graceful_shutdown(stopping.clone().cancelled_owned());
        let mut serving = pin!(serving.into_future());
        tokio::select! {
            ended = &mut serving => return ended,
            () = stop => {}
        }
        self.readiness.drain();
        tracing::info!(
            delay_seconds = self.shutdown_delay.as_secs(),
            "stopping: no longer ready"
        );
        tokio::select! {
            ended = &mut serving => return ended,
            () = tokio::time::sleep(self.shutdown_delay) => {}
        }
        stopping.cancel();
        let ended = async {
            // Whatever ended the server, its connections may still be open.
            let _ = serving.await;
            self.connections.ended().await;
        };
        if tokio::time::timeout(DRAIN, ended).await.is_err() {
            tracing::warn!(
                "requests or connections were still under way after {} s and are cut off",
                DRAIN.as_secs()
            );
        }
        if let Some(db) = self.db
            && tokio::time::timeout(CLOSE, db.close()).await.is_err()
        {
            tracing::warn!("the database was still busy after {} s", CLOSE.as_secs());
        }
        if let Some(ops) = ops {
            ops.abort();
        }
        tracing::info!("stopped");
        Ok(())
    }
}

async fn listen(address: SocketAddr, variable: &'static str) -> Result<TcpListener, ListenError> {
    TcpListener::bind(address).await.map_err(|source| ListenError {
        address,
        variable,
        source,
    })
}

fn serve_ops(listener: TcpListener, router: Router) -> JoinHandle<io::Result<()>> {
    tokio::spawn(axum::serve(listener, router).into_future())
}

/// Small answers must not wait for more bytes to come.
fn send_at_once(stream: &mut tokio::net::TcpStream) {
    if let Err(error) = stream.set_nodelay(true) {
        tracing::debug!(%error, "TCP_NODELAY not set");
    }
}

fn readiness(db: Option<Db>, migrations: &'static [Migration]) -> Readiness {
    let Some(db) = db else {
        return Readiness::new();
    };
    let schema = db.clone();
    Readiness::new()
        .check("database", move || {
            let db = db.clone();
            async move { Ok(db.ping().await?) }
        })
        .check("schema", move || {
            let db = schema.clone();
            async move { Ok(db.check_schema(migrations).await?) }
        })
}

/// The health endpoints of `ops` without its metrics, which have a port of their own.
fn health_of(ops: &Router) -> Router {
    ["/healthz", "/readyz"]
        .into_iter()
        .fold(Router::new(), |router, path| {
            router.route_service(path, ops.clone().into_service::<axum::body::Body>())
        })
}

/// The routes of `S` inside every layer but telemetry's, which goes around.
fn api<S: Service>(state: &S::State, base: &BaseConfig) -> Router {
    let documents = match base.api_docs {
        ApiDocs::Portal => docs::routes::<S>(S::documents(state)),
        ApiDocs::PerService => docs::routes::<S>(Vec::new()),
        ApiDocs::Disabled => Router::new(),
    };
    let router = S::routes()
        .into_router()
        .with_state(state.clone())
        .merge(documents)
        .route(SPAN_PATH, get(async || StatusCode::NO_CONTENT))
        .fallback(problem::unknown_route)
        .method_not_allowed_fallback(problem::method_not_allowed);
    // Each layer goes around those before it: read from the bottom to follow a request inwards.
    let router = S::mount(state, router);
    let router = if S::COOKIES {
        router
            .layer(same_origin(base))
            .layer(middleware::map_request_with_state(
                base.trusted_proxies,
                restore_host,
            ))
    } else {
        router
    };
    router
        .layer(DefaultBodyLimit::max(S::BODY_LIMIT))
        .layer(middleware::map_request(async |request| linger(request)))
        .layer(middleware::from_fn(problem::refuse_null_character))
        .layer(middleware::from_fn_with_state(
            Arc::new(Semaphore::new(S::REQUESTS_AT_ONCE)),
            shed_load,
        ))
        .layer(middleware::from_fn_with_state(S::REQUEST_TIMEOUT, limit_time))
        .layer(middleware::from_fn(problem::add_instance))
        .layer(cors(base))
        .layer(unless_set(header::CACHE_CONTROL, "no-store"))
        .layer(unless_set(
            header::CONTENT_SECURITY_POLICY,
            "default-src 'none'; frame-ancestors 'none'",
        ))
        .layer(unless_set(header::X_CONTENT_TYPE_OPTIONS, "nosniff"))
        .layer(unless_set(header::REFERRER_POLICY, "no-referrer"))
}

/// Refuses what comes while as many requests as may are under way: waiting in line, all would be late.
async fn shed_load(State(places): State<Arc<Semaphore>>, request: Request, next: Next) -> Response {
    let Ok(_place) = places.try_acquire() else {
        let detail = "the service has too many requests under way";
        return ApiError::overloaded("overloaded", detail).into_response();
    };
    next.run(request).await
}

async fn limit_time(State(limit): State<Duration>, request: Request, next: Next) -> Response {
    tokio::time::timeout(limit, next.run(request))
        .await
        .unwrap_or_else(|_| {
            let detail = format!("no answer within {} s", limit.as_secs());
            ApiError::new(StatusCode::GATEWAY_TIMEOUT, "timeout", detail).into_response()
        })
}

const X_REQUEST_ID: HeaderName = HeaderName::from_static("x-request-id");

/// What a page sends besides what any may: who it is for, its own OpenTelemetry's context, and names for the request.
const ALLOWED_HEADERS: [HeaderName; 7] = [
    header::AUTHORIZATION,
    header::CONTENT_TYPE,
    idempotency::HEADER,
    HeaderName::from_static("traceparent"),
    HeaderName::from_static("tracestate"),
    HeaderName::from_static("baggage"),
    X_REQUEST_ID,
];

/// What a page needs of an answer besides its body: when to come again, whether it was given before, and by which names to
/// ask about it.
const EXPOSED_HEADERS: [HeaderName; 5] = [
    idempotency::REPLAYED,
    header::RETRY_AFTER,
    header::WWW_AUTHENTICATE,
    X_REQUEST_ID,
    HeaderName::from_static("x-sentry-event-id"),
];

/// Lets the pages of the listed origins call, with cookies too: a gateway has none of its own and passes on those of the
/// services behind it.
fn cors(base: &BaseConfig) -> CorsLayer {
    CorsLayer::new()
        .allow_origin(base.cors_origins.as_slice().to_vec())
        .allow_methods([
            Method::GET,
            Method::POST,
            Method::PUT,
            Method::PATCH,
            Method::DELETE,
        ])
        .allow_headers(ALLOWED_HEADERS)
        .allow_credentials(true)
        .expose_headers(EXPOSED_HEADERS)
        .max_age(Duration::from_mins(10))
}

/// Gives a request the host that its client asked for, which a proxy may have replaced by the service's own: pages of the
/// same host are told by it.
async fn restore_host(State(proxies): State<TrustedProxies>, mut request: Request) -> Request {
    if let Some(host) = proxies.host(request.headers()) {
        request.headers_mut().insert(header::HOST, host);
    }
    request
}

/// Refuses what a page of another site makes a browser send, as Go's `net/http` does since 1.25; what is no browser
/// passes.
fn same_origin(base: &BaseConfig) -> CsrfLayer<fn(ProtectionError) -> Response> {
    let refuse: fn(ProtectionError) -> Response = |_| {
        let detail = "a page of another site sent this; CORS_ORIGINS lists those that may";
        ApiError::new(StatusCode::FORBIDDEN, "cross_origin", detail).into_response()
    };
    let origins = base.cors_origins.as_slice().iter();
    origins
        .filter_map(|origin| origin.to_str().ok())
        .fold(CsrfLayer::new(), |layer, origin| {
            // Cannot fail for an origin, which is all that `Origins` holds; one left out is refused, not let in.
            layer.clone().add_trusted_origin(origin).unwrap_or(layer)
        })
        .with_rejection_response(refuse)
}

fn unless_set(name: HeaderName, value: &'static str) -> SetResponseHeaderLayer<HeaderValue> {
    SetResponseHeaderLayer::if_not_present(name, HeaderValue::from_static(value))
}

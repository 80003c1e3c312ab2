//! A proxy between the operator and the API server, which can be told to fail as networks and API servers do. It ends
//! TLS, so that handshakes fail too.

use std::{convert::Infallible, net::Ipv4Addr, sync::Arc};

use base64::{Engine as _, engine::general_purpose::STANDARD};
use bytes::Bytes;
use futures::stream;
use http::{HeaderValue, Method, Request, Response, StatusCode, header};
use http_body_util::{BodyExt as _, Full, StreamBody, combinators::UnsyncBoxBody};
use hyper::{
    body::{Frame, Incoming},
    server::conn::http1,
    service::service_fn,
};
use hyper_util::rt::TokioIo;
use kube::{Client, client::Body, config::Kubeconfig, core::Status};
use platform_envtest::free_ports;
use serde_json::json;
use tokio::{
    io::{AsyncRead, AsyncReadExt as _, AsyncWrite, AsyncWriteExt as _, DuplexStream, duplex},
    net::{TcpListener, TcpStream},
    sync::watch,
};
use tokio_rustls::{
    TlsAcceptor,
    rustls::{ServerConfig, pki_types::PrivatePkcs8KeyDer},
};

use crate::fixture::World;

/// What is wrong with the way to the API server, or with the API server.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Fault {
    /// Nobody listens: connections are refused.
    Away,
    /// Nothing passes, and nobody is told.
    Blackholed,
    /// Every request is answered with this status.
    Status(StatusCode),
    /// Every write is answered with this status; reads are answered as always.
    Writes(StatusCode),
    /// Every answer breaks off in its middle.
    HalfBody,
    /// A page of something else answers, and says that all is well.
    Html,
}

type BoxError = Box<dyn std::error::Error + Send + Sync>;
type Answer = Response<UnsyncBoxBody<Bytes, BoxError>>;
type Switch = watch::Receiver<Option<Fault>>;

/// Where the operator of one test finds the API server. Its connections are cut when a fault begins that is not silent.
pub(crate) struct Proxy {
    fault: watch::Sender<Option<Fault>>,
    kubeconfig: Kubeconfig,
}

/// What every connection needs.
struct Way {
    tls: TlsAcceptor,
    upstream: Client,
    fault: Switch,
}

impl Proxy {
    pub(crate) async fn start(world: &World) -> Self {
        let certified = rcgen::generate_simple_self_signed(["127.0.0.1".to_owned()]).unwrap();
        let key = PrivatePkcs8KeyDer::from(certified.signing_key.serialize_der());
        let tls = ServerConfig::builder()
            .with_no_client_auth()
            .with_single_cert(vec![certified.cert.der().clone()], key.into())
            .unwrap();
        let [port] = free_ports().unwrap();
        let (fault, switch) = watch::channel(None);
        let way = Way {
            tls: TlsAcceptor::from(Arc::new(tls)),
            upstream: world.client.clone(),
            fault: switch,
        };
        tokio::spawn(listen(port, Arc::new(way)));
        while TcpStream::connect((Ipv4Addr::LOCALHOST, port)).await.is_err() {
            tokio::task::yield_now().await;
        }
        Self {
            fault,
            kubeconfig: kubeconfig(port, certified.cert.pem().as_bytes()),
        }
    }

    pub(crate) fn kubeconfig(&self) -> &Kubeconfig {
        &self.kubeconfig
    }

    pub(crate) fn begin(&self, fault: Fault) {
        self.fault.send_replace(Some(fault));
    }

    pub(crate) fn end(&self) {
        self.fault.send_replace(None);
    }
}

fn kubeconfig(port: u16, authority: &[u8]) -> Kubeconfig {
    let cluster = json!({
        "server": format!("https://127.0.0.1:{port}"), "certificate-authority-data": STANDARD.encode(authority),
    });
    serde_json::from_value(json!({
        "clusters": [{"name": "test", "cluster": cluster}],
        "users": [{"name": "operator", "user": {"token": "any"}}],
        "contexts": [{"name": "test", "context": {"cluster": "test", "user": "operator"}}],
        "current-context": "test",
    }))
    .unwrap()
}

/// Listens while the API server is not away.
async fn listen(port: u16, way: Arc<Way>) {
    let mut fault = way.fault.clone();
    while fault.wait_for(|fault| *fault != Some(Fault::Away)).await.is_ok() {
        let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, port)).await.unwrap();
        tokio::select! {
            () = accept(&listener, &way) => {}
            _ = fault.wait_for(|fault| *fault == Some(Fault::Away)) => {}
        }
    }
}

async fn accept(listener: &TcpListener, way: &Arc<Way>) {
    loop {
        let (socket, _) = listener.accept().await.unwrap();
        tokio::spawn(connection(socket, way.clone()));
    }
}

async fn connection(socket: TcpStream, way: Arc<Way>) {
    let mut fault = way.fault.clone();
    let at_first = *fault.borrow();
    let (outside, inside) = duplex(16 * 1024);
    let ((from_operator, to_operator), (from_inside, to_inside)) =
        (socket.into_split(), tokio::io::split(outside));
    let carried = async {
        tokio::join!(
            carry(from_operator, to_inside, way.fault.clone()),
            carry(from_inside, to_operator, way.fault.clone()),
            serve(inside, &way),
        )
    };
    tokio::select! {
        _ = carried => {}
        _ = fault.wait_for(|now| ![None, Some(Fault::Blackholed), at_first].contains(now)) => {}
    }
}

/// Passes bytes on; those of a blackhole arrive once it ends, as TCP repeats them.
async fn carry(
    mut from: impl AsyncRead + Unpin,
    mut to: impl AsyncWrite + Unpin,
    mut fault: Switch,
) -> Result<(), BoxError> {
    let mut buffer = [0; 16 * 1024];
    loop {
        let read = from.read(&mut buffer).await?;
        fault.wait_for(|fault| *fault != Some(Fault::Blackholed)).await?;
        if read == 0 {
            return Ok(to.shutdown().await?);
        }
        to.write_all(&buffer[..read]).await?;
    }
}

async fn serve(stream: DuplexStream, way: &Way) -> Result<(), BoxError> {
    let stream = TokioIo::new(way.tls.accept(stream).await?);
    let service = service_fn(|request| async move { Ok::<_, Infallible>(answer(request, way).await) });
    Ok(http1::Builder::new().serve_connection(stream, service).await?)
}

async fn answer(request: Request<Incoming>, way: &Way) -> Answer {
    let fault = *way.fault.borrow();
    match fault {
        None | Some(Fault::Away | Fault::Blackholed) => pass_on(request, way).await,
        Some(Fault::Writes(_)) if request.method() == Method::GET => pass_on(request, way).await,
        Some(Fault::Status(code) | Fault::Writes(code)) => refusal(code),
        Some(Fault::HalfBody) => half_a_body(),
        Some(Fault::Html) => page(),
    }
}

/// What the API server answers, with the administrator's permissions.
async fn pass_on(request: Request<Incoming>, way: &Way) -> Answer {
    let (mut parts, body) = request.into_parts();
    for name in [header::HOST, header::AUTHORIZATION, header::CONNECTION] {
        parts.headers.remove(name);
    }
    let sent = async {
        let body = body.collect().await?.to_bytes();
        Ok::<_, BoxError>(
            way.upstream
                .send(Request::from_parts(parts, Body::from(body)))
                .await?,
        )
    };
    match sent.await {
        Ok(answer) => answer.map(|body| body.map_err(BoxError::from).boxed_unsync()),
        Err(error) => plain(StatusCode::BAD_GATEWAY, "text/plain", error.to_string()),
    }
}

fn refusal(code: StatusCode) -> Answer {
    let reason = code.canonical_reason().unwrap_or_default().replace(' ', "");
    let status = Status::failure("injected", &reason).with_code(code.as_u16());
    let mut answer = plain(code, "application/json", serde_json::to_string(&status).unwrap());
    if code == StatusCode::TOO_MANY_REQUESTS {
        answer
            .headers_mut()
            .insert(header::RETRY_AFTER, HeaderValue::from_static("1"));
    }
    answer
}

fn half_a_body() -> Answer {
    let parts = [
        Ok(Frame::data(Bytes::from_static(br#"{"kind": "Status", "apiVers"#))),
        Err("cut off".into()),
    ];
    Response::new(StreamBody::new(stream::iter(parts)).boxed_unsync())
}

fn page() -> Answer {
    plain(
        StatusCode::OK,
        "text/html",
        "<html><body>Sign in to the network</body></html>".to_owned(),
    )
}

fn plain(code: StatusCode, content_type: &'static str, body: String) -> Answer {
    let body = Full::from(body).map_err(|never| match never {}).boxed_unsync();
    let mut answer = Response::new(body);
    *answer.status_mut() = code;
    answer
        .headers_mut()
        .insert(header::CONTENT_TYPE, HeaderValue::from_static(content_type));
    answer
}

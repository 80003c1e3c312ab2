//! Requests that are sent again: those that cannot have arrived, and those that may arrive twice.
//!
//! Each upstream has an address of its own on the loopback, by which the gateway's metric tells its calls apart.

use axum::body::Bytes;
use futures::StreamExt;
use http::{Method, StatusCode};
use tokio::io::{AsyncBufReadExt, AsyncWriteExt, BufReader};
use tokio::net::{TcpListener, TcpSocket, TcpStream};

use crate::support::{Running, Setup, assert_problem, mirror};

/// As many as [`tracewell_gateway`] makes until it gives up.
const MOST_ATTEMPTS: u64 = 5;

/// A socket with an address on which nothing listens yet: whoever connects is refused.
fn refusing(host: &str) -> (TcpSocket, String) {
    let socket = TcpSocket::new_v4().unwrap();
    socket.bind(format!("{host}:0").parse().unwrap()).unwrap();
    let url = format!("http://{}", socket.local_addr().unwrap());
    (socket, url)
}

/// How often the gateway has sent requests to the upstream at `host`, with an answer or without.
async fn attempts(gateway: &Running, host: &str) -> u64 {
    let metrics = gateway.text("/metrics").await;
    let of_host = format!("server_address=\"{host}\"");
    let counts = metrics
        .lines()
        .filter(|line| line.starts_with("http_client_request_duration_seconds_count{"))
        .filter(|line| line.contains(&of_host));
    // A trace id may follow the number.
    let number = |line: &str| line.split("} ").nth(1)?.split(' ').next()?.parse::<u64>().ok();
    counts.map(|line| number(line).unwrap()).sum()
}

/// Lets no time pass until it is dropped, so that no pause of the gateway ends before the test is ready for it.
///
/// Tokio's paused clock moves by itself when nothing runs, but not while a blocking task does.
struct FrozenTime(Option<std::sync::mpsc::Sender<()>>);

impl FrozenTime {
    fn begin() -> Self {
        let (end, ended) = std::sync::mpsc::channel();
        tokio::task::spawn_blocking(move || ended.recv());
        tokio::time::pause();
        Self(Some(end))
    }
}

impl Drop for FrozenTime {
    fn drop(&mut self) {
        tokio::time::resume();
        drop(self.0.take());
    }
}

#[tokio::test]
async fn what_an_upstream_refuses_before_it_listens_is_sent_again_whole_whatever_the_method() {
    const HOST: &str = "127.0.0.11";
    let (socket, url) = refusing(HOST);
    let gateway = Setup::new().existing("auth", &url).start().await;
    let time = FrozenTime::begin();
    let chunks = futures::stream::iter(["wh", "ole"]).map(Ok::<_, std::convert::Infallible>);
    let request = gateway
        .request(Method::POST, "/auth/v1/signup")
        .body(reqwest::Body::wrap_stream(chunks));
    let answer = tokio::spawn(request.send());
    while attempts(&gateway, HOST).await == 0 {
        tokio::task::yield_now().await;
    }
    let listener = socket.listen(16).unwrap();
    let upstream = tokio::spawn(async move { axum::serve(listener, mirror()).await });
    drop(time);
    let answer = answer.await.unwrap().unwrap();
    assert_eq!(answer.status(), StatusCode::OK);
    let received: crate::support::Received = answer.json().await.unwrap();
    assert_eq!(
        (received.method.as_str(), received.body.as_str()),
        ("POST", "whole")
    );
    assert_eq!(attempts(&gateway, HOST).await, 2);
    upstream.abort();
}

#[tokio::test]
async fn an_upstream_that_refuses_on_and_on_is_a_502_after_a_few_attempts() {
    const HOST: &str = "127.0.0.12";
    let (_socket, url) = refusing(HOST);
    let gateway = Setup::new().existing("auth", &url).start().await;
    for (method, so_far) in [(Method::GET, 0), (Method::POST, MOST_ATTEMPTS)] {
        let request = gateway.request(method, "/auth/v1/me").body("some");
        let answer = request.send().await.unwrap();
        let problem = assert_problem(answer, StatusCode::BAD_GATEWAY, "upstream_unreachable").await;
        assert_eq!(problem["detail"], "auth cannot be reached");
        assert_eq!(attempts(&gateway, HOST).await, so_far + MOST_ATTEMPTS);
    }
}

#[tokio::test]
async fn attempts_end_with_the_time_that_an_upstream_has() {
    const HOST: &str = "127.0.0.13";
    let (_socket, url) = refusing(HOST);
    let gateway = Setup::new()
        .existing("auth", &url)
        .env("UPSTREAM_TIMEOUT_SECONDS", "1")
        .start()
        .await;
    let time = FrozenTime::begin();
    let answer = tokio::spawn(gateway.get("/auth/v1/me").send());
    while attempts(&gateway, HOST).await == 0 {
        tokio::task::yield_now().await;
    }
    tokio::time::advance(std::time::Duration::from_secs(2)).await;
    let answer = answer.await.unwrap().unwrap();
    drop(time);
    assert_problem(answer, StatusCode::GATEWAY_TIMEOUT, "upstream_timeout").await;
}

/// Reads one request with its head and `body`, and gives false if none comes any more.
async fn read_request(connection: &mut BufReader<TcpStream>) -> bool {
    let (mut line, mut length) = (String::new(), 0);
    while connection.read_line(&mut line).await.unwrap() > 2 {
        if let Some(text) = line.strip_prefix("content-length: ") {
            length = text.trim().parse().unwrap();
        }
        line.clear();
    }
    let mut body = vec![0; length];
    tokio::io::AsyncReadExt::read_exact(connection, &mut body)
        .await
        .unwrap();
    !line.is_empty()
}

/// An upstream whose connections each answer once, stay open, and break when the next request has come.
async fn forgetful(host: &str) -> String {
    let listener = TcpListener::bind(format!("{host}:0")).await.unwrap();
    let url = format!("http://{}", listener.local_addr().unwrap());
    tokio::spawn(async move {
        while let Ok((connection, _)) = listener.accept().await {
            tokio::spawn(async move {
                let mut connection = BufReader::new(connection);
                if read_request(&mut connection).await {
                    let answer = b"HTTP/1.1 200 OK\r\ncontent-length: 0\r\n\r\n";
                    connection.get_mut().write_all(answer).await.unwrap();
                    read_request(&mut connection).await;
                }
            });
        }
    });
    url
}

/// The answer to a second request, which meets the connection that the first one left, and how often it was sent.
async fn on_a_used_connection(host: &str, method: Method, body: &'static str) -> (reqwest::Response, u64) {
    let gateway = Setup::new()
        .existing("auth", &forgetful(host).await)
        .start()
        .await;
    let first = gateway.get("/auth/v1/me").send().await.unwrap();
    assert_eq!(first.status(), StatusCode::OK);
    let request = gateway.request(method, "/auth/v1/me").body(Bytes::from(body));
    let answer = request.send().await.unwrap();
    (answer, attempts(&gateway, host).await - 1)
}

#[tokio::test]
async fn an_idempotent_request_without_a_body_survives_a_connection_that_breaks() {
    for (host, method) in [("127.0.0.14", Method::GET), ("127.0.0.15", Method::DELETE)] {
        let (answer, attempts) = on_a_used_connection(host, method, "").await;
        assert_eq!((answer.status(), attempts), (StatusCode::OK, 2), "{host}");
    }
}

#[tokio::test]
async fn a_request_that_may_have_had_its_effect_is_not_sent_again() {
    for (host, method, body) in [
        ("127.0.0.16", Method::POST, ""),
        ("127.0.0.17", Method::POST, "some"),
        ("127.0.0.18", Method::PUT, "some"),
    ] {
        let (answer, attempts) = on_a_used_connection(host, method, body).await;
        assert_eq!(attempts, 1, "{host}");
        assert_problem(answer, StatusCode::BAD_GATEWAY, "upstream_unreachable").await;
    }
}

/// Whatever broke it may be the request itself.
#[tokio::test]
async fn a_request_that_breaks_every_connection_is_sent_twice_and_no_more() {
    const HOST: &str = "127.0.0.19";
    let listener = TcpListener::bind(format!("{HOST}:0")).await.unwrap();
    let url = format!("http://{}", listener.local_addr().unwrap());
    let gateway = Setup::new().existing("auth", &url).start().await;
    tokio::spawn(async move {
        while let Ok((connection, _)) = listener.accept().await {
            read_request(&mut BufReader::new(connection)).await;
        }
    });
    let answer = gateway.get("/auth/v1/me").send().await.unwrap();
    assert_problem(answer, StatusCode::BAD_GATEWAY, "upstream_unreachable").await;
    assert_eq!(attempts(&gateway, HOST).await, 2);
}

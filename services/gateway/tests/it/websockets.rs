//! `WebSocket`s through the real binary: joined, told of a stop, and traced.

use std::process::Stdio;
use std::time::Duration;

use axum::Router;
use axum::body::Body;
use axum::extract::Request;
use axum::response::Response;
use axum::routing::any;
use http::StatusCode;
use hyper_util::rt::TokioIo;
use serde_json::Value;
use tokio::io::{AsyncBufReadExt, AsyncReadExt, AsyncWriteExt, BufReader};
use tokio::net::{TcpListener, TcpStream};
use tokio::process::{Child, Command};

/// A text frame `hello` and a close frame with code 1000, masked with zeros.
const HELLO: &[u8] = b"\x81\x85\0\0\0\0hello";
const CLOSE: &[u8] = b"\x88\x82\0\0\0\0\x03\xe8";
/// The answer to it, which a server does not mask.
const CLOSED: &[u8] = b"\x88\x02\x03\xe8";
/// The close frame of a gateway that stops (1001), for the client.
const GOING_AWAY: &[u8] = b"\x88\x02\x03\xe9";

/// Agrees to a WebSocket, sends every byte back, and answers a close with its code.
async fn echo(mut request: Request) -> Response {
    let upgraded = hyper::upgrade::on(&mut request);
    tokio::spawn(async move {
        let mut stream = TokioIo::new(upgraded.await.unwrap());
        let mut buffer = [0; 64];
        while let Ok(read @ 1..) = stream.read(&mut buffer).await {
            let bytes = &buffer[..read];
            let close = bytes.iter().position(|byte| *byte == CLOSE[0]);
            stream.write_all(&bytes[..close.unwrap_or(read)]).await.unwrap();
            if close.is_some() {
                let code = &bytes[read - 2..];
                stream.write_all(&[&CLOSED[..2], code].concat()).await.unwrap();
                stream.shutdown().await.ok();
                return;
            }
        }
    });
    http::Response::builder()
        .status(StatusCode::SWITCHING_PROTOCOLS)
        .header("connection", "upgrade")
        .header("upgrade", "websocket")
        .body(Body::empty())
        .unwrap()
}

/// The gateway's binary before an upstream that echoes; its spans are lines of its output.
struct Gateway {
    child: Child,
    lines: tokio::io::Lines<BufReader<tokio::process::ChildStdout>>,
    address: String,
}

impl Gateway {
    async fn start() -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let upstream = listener.local_addr().unwrap();
        tokio::spawn(async move { axum::serve(listener, Router::new().fallback(any(echo))).await });
        let mut child = Command::new(env!("CARGO_BIN_EXE_tracewell-gateway"))
            .env_clear()
            .envs([
                ("HOST", "127.0.0.1"),
                ("PORT", "0"),
                ("OTEL_TRACES_EXPORTER", "console"),
                ("OTEL_BSP_SCHEDULE_DELAY", "50"),
                ("SHUTDOWN_DELAY_SECONDS", "0"),
            ])
            .env("GATEWAY_ROUTES", format!("/chat=http://{upstream}"))
            .stdout(Stdio::piped())
            .kill_on_drop(true)
            .spawn()
            .unwrap();
        let mut lines = BufReader::new(child.stdout.take().unwrap()).lines();
        let address = loop {
            let line = lines.next_line().await.unwrap().unwrap();
            if let Some((_, rest)) = line.split_once(" listens on http://") {
                break rest.split([',', '"', ' ']).next().unwrap().to_owned();
            }
        };
        Self {
            child,
            lines,
            address,
        }
    }

    /// A client's end of a WebSocket that is open.
    async fn connect(&self) -> TcpStream {
        let mut stream = TcpStream::connect(&self.address).await.unwrap();
        let request = "GET /chat/ws HTTP/1.1\r\nhost: x\r\nconnection: Upgrade\r\nupgrade: WebSocket\r\n\r\n";
        stream.write_all(request.as_bytes()).await.unwrap();
        let mut head = Vec::new();
        while !head.ends_with(b"\r\n\r\n") {
            head.push(stream.read_u8().await.unwrap());
        }
        assert!(
            head.starts_with(b"HTTP/1.1 101 "),
            "{}",
            String::from_utf8_lossy(&head)
        );
        stream
    }

    /// The next line of the log with this message.
    async fn line(&mut self, message: &str) -> Value {
        let found = async {
            while let Some(line) = self.lines.next_line().await.unwrap() {
                let line: Value = serde_json::from_str(&line).unwrap();
                if line["msg"] == message {
                    return line;
                }
            }
            Value::Null
        };
        tokio::time::timeout(Duration::from_secs(30), found)
            .await
            .unwrap()
    }

    async fn terminate(&self) {
        let pid = self.child.id().unwrap().to_string();
        Command::new("kill").args(["-TERM", &pid]).status().await.unwrap();
    }
}

async fn read(stream: &mut TcpStream, length: usize) -> Vec<u8> {
    let mut bytes = vec![0; length];
    stream.read_exact(&mut bytes).await.unwrap();
    bytes
}

#[tokio::test]
async fn a_websocket_has_a_trace_of_its_own_that_ends_with_its_close_code() {
    let mut gateway = Gateway::start().await;
    let mut stream = gateway.connect().await;
    // The request is over while the connection lives on.
    let request = gateway.line("span GET /chat/{*path}").await;
    stream.write_all(HELLO).await.unwrap();
    assert_eq!(read(&mut stream, HELLO.len()).await, HELLO);
    stream.write_all(CLOSE).await.unwrap();
    assert_eq!(read(&mut stream, CLOSED.len()).await, CLOSED);
    drop(stream);
    let span = gateway.line("span websocket chat").await;
    assert_ne!(span["trace_id"], request["trace_id"], "a trace of its own");
    assert_eq!(span["parent_span_id"], "0000000000000000");
    let attributes = span["attributes"].as_str().unwrap();
    for attribute in [
        "websocket.close_code=1000".to_owned(),
        format!("gateway.bytes_sent={}", HELLO.len() + CLOSE.len()),
        format!("gateway.bytes_received={}", HELLO.len() + CLOSED.len()),
    ] {
        assert!(attributes.contains(&attribute), "no {attribute} in {attributes}");
    }
}

#[tokio::test]
async fn a_websocket_that_breaks_off_has_no_code_of_its_own() {
    let mut gateway = Gateway::start().await;
    let mut stream = gateway.connect().await;
    stream.write_all(&HELLO[..4]).await.unwrap();
    assert_eq!(read(&mut stream, 4).await, HELLO[..4]);
    drop(stream);
    let span = gateway.line("span websocket chat").await;
    assert!(
        span["attributes"]
            .as_str()
            .unwrap()
            .contains("websocket.close_code=1006"),
        "{span}"
    );
}

#[tokio::test]
async fn a_stop_tells_both_ends_between_two_frames_and_waits_for_them() {
    let mut gateway = Gateway::start().await;
    let mut idle = gateway.connect().await;
    let mut busy = gateway.connect().await;
    busy.write_all(&HELLO[..4]).await.unwrap();
    assert_eq!(read(&mut busy, 4).await, HELLO[..4]);
    gateway.terminate().await;
    assert_eq!(read(&mut idle, GOING_AWAY.len()).await, GOING_AWAY);
    idle.write_all(CLOSE).await.unwrap();
    // The frame under way is finished first.
    busy.write_all(&HELLO[4..]).await.unwrap();
    let rest = [&HELLO[4..], GOING_AWAY].concat();
    assert_eq!(read(&mut busy, rest.len()).await, rest);
    busy.write_all(CLOSE).await.unwrap();
    for _ in 0..2 {
        let span = gateway.line("span websocket chat").await;
        assert!(
            span["attributes"]
                .as_str()
                .unwrap()
                .contains("websocket.close_code=1001"),
            "{span}"
        );
    }
    assert!(gateway.child.wait().await.unwrap().success());
}

//! Bodies pass as they come, and connections may change their protocol.

use axum::Router;
use axum::body::{Body, Bytes};
use axum::extract::Request;
use axum::response::Response;
use axum::routing::{get, post};
use futures::StreamExt;
use futures::channel::mpsc;
use http::{Method, StatusCode};
use hyper_util::rt::TokioIo;
use std::convert::Infallible;
use std::sync::Arc;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;
use tokio::sync::Notify;

use crate::support::{Setup, assert_problem};

#[tokio::test]
async fn an_event_reaches_the_client_while_the_next_is_not_yet_made() {
    let seen = Arc::new(Notify::new());
    let first_was_seen = Arc::clone(&seen);
    let events = get(move || async move {
        let first = futures::stream::iter([Ok::<_, Infallible>("data: one\n\n")]);
        let second = futures::stream::once(async move {
            first_was_seen.notified().await;
            Ok("data: two\n\n")
        });
        (
            [("content-type", "text/event-stream")],
            Body::from_stream(first.chain(second)),
        )
    });
    let gateway = Setup::new()
        .upstream("chat", Router::new().route("/events", events))
        .await
        .start()
        .await;
    let mut answer = gateway.get("/chat/events").send().await.unwrap();
    assert_eq!(answer.headers()["content-type"], "text/event-stream");
    assert_eq!(answer.chunk().await.unwrap(), Some(Bytes::from("data: one\n\n")));
    seen.notify_one();
    assert_eq!(answer.chunk().await.unwrap(), Some(Bytes::from("data: two\n\n")));
    assert_eq!(answer.chunk().await.unwrap(), None);
}

#[tokio::test]
async fn a_body_reaches_the_upstream_while_the_client_still_sends() {
    let echo = post(|request: Request| async { Response::new(request.into_body()) });
    let gateway = Setup::new()
        .upstream("chat", Router::new().route("/echo", echo))
        .await
        .start()
        .await;
    let (mut send, chunks) = mpsc::channel::<Result<&'static str, Infallible>>(1);
    send.try_send(Ok("one")).unwrap();
    let body = reqwest::Body::wrap_stream(chunks);
    let mut answer = gateway
        .request(Method::POST, "/chat/echo")
        .body(body)
        .send()
        .await
        .unwrap();
    assert_eq!(answer.chunk().await.unwrap(), Some(Bytes::from("one")));
    send.try_send(Ok("two")).unwrap();
    drop(send);
    assert_eq!(answer.chunk().await.unwrap(), Some(Bytes::from("two")));
}

/// Agrees to the protocol `shout` and sends back in capitals.
async fn shout(mut request: Request) -> Response {
    if request
        .headers()
        .get("upgrade")
        .is_none_or(|protocol| protocol != "shout")
    {
        return http::Response::builder()
            .status(StatusCode::UPGRADE_REQUIRED)
            .body(Body::empty())
            .unwrap();
    }
    let upgraded = hyper::upgrade::on(&mut request);
    tokio::spawn(async move {
        let mut stream = TokioIo::new(upgraded.await.unwrap());
        let mut word = [0; 5];
        stream.read_exact(&mut word).await.unwrap();
        stream.write_all(&word.to_ascii_uppercase()).await.unwrap();
        stream.shutdown().await.unwrap();
    });
    http::Response::builder()
        .status(StatusCode::SWITCHING_PROTOCOLS)
        .header("connection", "upgrade")
        .header("upgrade", "shout")
        .header("x-agreed", "yes")
        .body(Body::empty())
        .unwrap()
}

#[tokio::test]
async fn an_upgraded_connection_joins_client_and_upstream() {
    let gateway = Setup::new()
        .upstream("chat", Router::new().route("/ws", get(shout)))
        .await
        .start()
        .await;
    let mut stream = TcpStream::connect(gateway.address).await.unwrap();
    let request = "GET /chat/ws HTTP/1.1\r\nhost: x\r\nconnection: Upgrade\r\nupgrade: shout\r\n\r\n";
    stream.write_all(request.as_bytes()).await.unwrap();
    let mut head = Vec::new();
    while !head.ends_with(b"\r\n\r\n") {
        head.push(stream.read_u8().await.unwrap());
    }
    let head = String::from_utf8(head).unwrap();
    assert!(head.starts_with("HTTP/1.1 101 "), "{head}");
    assert!(
        head.contains("x-agreed: yes") && head.contains("upgrade: shout"),
        "{head}"
    );
    stream.write_all(b"hello").await.unwrap();
    let mut shouted = String::new();
    stream.read_to_string(&mut shouted).await.unwrap();
    assert_eq!(shouted, "HELLO");
}

#[tokio::test]
async fn an_upstream_may_decline_an_upgrade() {
    let gateway = Setup::new()
        .upstream("chat", Router::new().route("/ws", get(shout)))
        .await
        .start()
        .await;
    let answer = gateway
        .get("/chat/ws")
        .header("connection", "upgrade")
        .header("upgrade", "other")
        .send()
        .await
        .unwrap();
    assert_eq!(answer.status(), StatusCode::UPGRADE_REQUIRED);
}

#[tokio::test]
async fn an_upgrade_that_nobody_asked_for_is_a_502() {
    let pushy = get(|mut request: Request| async move {
        request
            .headers_mut()
            .insert("upgrade", http::HeaderValue::from_static("shout"));
        shout(request).await
    });
    let gateway = Setup::new()
        .upstream("chat", Router::new().route("/ws", pushy))
        .await
        .start()
        .await;
    let answer = gateway.get("/chat/ws").send().await.unwrap();
    assert_eq!(answer.status(), StatusCode::BAD_GATEWAY);
    drop(assert_problem(answer, StatusCode::BAD_GATEWAY, "upstream_protocol").await);
}

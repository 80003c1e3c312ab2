//! Closed-loop load: each connection sends its next request when the last one is answered.

use std::{
    net::SocketAddr,
    time::{Duration, Instant},
};

use anyhow::{Context, Result, bail, ensure};
use futures::future::try_join_all;
use hdrhistogram::Histogram;
use http::{Request, header::HOST};
use http_body_util::{BodyExt, Empty};
use hyper::{body::Bytes, client::conn::http1};
use hyper_util::rt::TokioIo;
use tokio::net::TcpStream;

use crate::server::PLANS;

/// What the load saw.
pub(crate) struct Outcome {
    /// Requests, all answered 200.
    pub(crate) requests: u64,
    pub(crate) elapsed: Duration,
    /// Nanoseconds from the request to the last byte of its answer.
    pub(crate) latency: Histogram<u64>,
}

/// Loads the server at `address` for `duration`. Any answer but 200 is an error.
pub(crate) async fn run(address: SocketAddr, connections: usize, duration: Duration) -> Result<Outcome> {
    let started = Instant::now();
    let end = started + duration;
    let clients = (0..connections).map(|number| tokio::spawn(drive(address, number, end)));
    let mut latency = latencies()?;
    for client in try_join_all(clients).await? {
        latency.add(client?)?;
    }
    Ok(Outcome {
        requests: latency.len(),
        elapsed: started.elapsed(),
        latency,
    })
}

/// One connection, from its own place in the list of plans.
async fn drive(address: SocketAddr, first: usize, end: Instant) -> Result<Histogram<u64>> {
    let stream = TcpStream::connect(address).await?;
    stream.set_nodelay(true)?;
    let (mut sender, connection) = http1::handshake(TokioIo::new(stream)).await?;
    tokio::spawn(connection);
    let mut latency = latencies()?;
    for number in first.. {
        let sent = Instant::now();
        if sent >= end {
            return Ok(latency);
        }
        let request = Request::get(format!("/v1/plans/plan-{}", number % PLANS))
            .header(HOST, "bench")
            .body(Empty::<Bytes>::new())?;
        sender.ready().await?;
        let answer = sender.send_request(request).await.context("no answer")?;
        let status = answer.status();
        let body = answer.into_body().collect().await?.to_bytes();
        ensure!(status == 200 && !body.is_empty(), "a request failed: {status}");
        latency.record(u64::try_from(sent.elapsed().as_nanos())?)?;
    }
    bail!("the numbers ran out")
}

/// From a microsecond to a minute, to three digits.
fn latencies() -> Result<Histogram<u64>> {
    Ok(Histogram::new_with_bounds(1_000, 60_000_000_000, 3)?)
}

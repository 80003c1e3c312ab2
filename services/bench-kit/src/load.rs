//! Closed-loop load: each connection sends its next request when the last one is answered.

use std::{
    net::SocketAddr,
    sync::Arc,
    time::{Duration, Instant},
};

use anyhow::{Context as _, Result, bail, ensure};
use futures::future::try_join_all;
use hdrhistogram::Histogram;
use http::{Request, StatusCode};
use http_body_util::{BodyExt as _, Full};
use hyper::client::conn::http1::{self, SendRequest};
use hyper_util::rt::TokioIo;
use tokio::net::TcpStream;

pub use hyper::body::Bytes;

/// Makes the request of a number. Each connection counts from its own number on.
pub type Requests = Arc<dyn Fn(usize) -> http::Result<Request<Full<Bytes>>> + Send + Sync>;

/// What the load saw.
#[derive(Debug)]
pub struct Outcome {
    /// Requests, all answered 200.
    pub requests: u64,
    /// How long it took.
    pub elapsed: Duration,
    /// Nanoseconds from the request to the last byte of its answer.
    pub latency: Histogram<u64>,
}

impl Outcome {
    /// Requests a second.
    pub fn throughput(&self) -> f64 {
        self.requests as f64 / self.elapsed.as_secs_f64()
    }

    /// Milliseconds.
    pub fn latency_at(&self, quantile: f64) -> f64 {
        milliseconds_at(&self.latency, quantile)
    }
}

/// A quantile of nanoseconds in milliseconds.
pub fn milliseconds_at(latency: &Histogram<u64>, quantile: f64) -> f64 {
    latency.value_at_quantile(quantile) as f64 / 1e6
}

/// Loads the server at `address` for `duration`. Any answer but 200 is an error.
pub async fn run(
    address: SocketAddr,
    connections: usize,
    duration: Duration,
    requests: &Requests,
) -> Result<Outcome> {
    let started = Instant::now();
    let end = started + duration;
    let clients =
        (0..connections).map(|number| tokio::spawn(drive(address, number, end, Arc::clone(requests))));
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

/// One connection.
async fn drive(
    address: SocketAddr,
    first: usize,
    end: Instant,
    requests: Requests,
) -> Result<Histogram<u64>> {
    let mut connection = Connection::open(address).await?;
    let mut latency = latencies()?;
    for number in first.. {
        let sent = Instant::now();
        if sent >= end {
            return Ok(latency);
        }
        let (status, body) = connection.send(requests(number)?).await?;
        ensure!(
            status == 200 && !body.is_empty(),
            "a request failed: {status} {}",
            String::from_utf8_lossy(&body)
        );
        latency.record(nanoseconds(sent)?)?;
    }
    bail!("the numbers ran out")
}

/// A connection that takes one request after the other.
#[derive(Debug)]
pub struct Connection(SendRequest<Full<Bytes>>);

impl Connection {
    /// Connects.
    pub async fn open(address: SocketAddr) -> Result<Self> {
        let stream = TcpStream::connect(address).await?;
        stream.set_nodelay(true)?;
        let (sender, connection) = http1::handshake(TokioIo::new(stream)).await?;
        tokio::spawn(connection);
        Ok(Self(sender))
    }

    /// The status and the body of the answer.
    pub async fn send(&mut self, request: Request<Full<Bytes>>) -> Result<(StatusCode, Bytes)> {
        self.0.ready().await?;
        let answer = self.0.send_request(request).await.context("no answer")?;
        let status = answer.status();
        Ok((status, answer.into_body().collect().await?.to_bytes()))
    }
}

/// How long ago that was, as [`latencies`] records it.
pub fn nanoseconds(since: Instant) -> Result<u64> {
    Ok(u64::try_from(since.elapsed().as_nanos())?)
}

/// From a microsecond to a minute, to three digits.
pub fn latencies() -> Result<Histogram<u64>> {
    Ok(Histogram::new_with_bounds(1_000, 60_000_000_000, 3)?)
}

//! Two joined connections: bytes pass both ways until one side ends or the gateway stops.

use std::io;
use std::time::Duration;

use tokio::io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt, copy_bidirectional, split};
use tokio_util::sync::CancellationToken;
use tracewell_telemetry::span_attribute;

use super::websocket::{ABNORMAL, Frames, GOING_AWAY, NO_STATUS, close_to_client, close_to_upstream};

/// How long both sides may take to answer the close that they get when the gateway stops.
const CLOSE_TIMEOUT: Duration = Duration::from_secs(5);

/// As much as passes at once.
const BUFFER: usize = 8 * 1024;

/// Joins connections of a protocol that the gateway does not know: nobody can be told of a stop.
pub(super) async fn opaque(
    mut client: impl AsyncRead + AsyncWrite + Unpin,
    mut upstream: impl AsyncRead + AsyncWrite + Unpin,
) {
    // A side that breaks off is how such connections end.
    if let Ok((sent, received)) = copy_bidirectional(&mut client, &mut upstream).await {
        record_bytes(sent, received);
    }
}

/// Joins the two ends of a WebSocket. When the gateway stops, both are told at the next end of a frame (close
/// code 1001), and have 5 s to answer.
pub(super) async fn websocket(
    client: impl AsyncRead + AsyncWrite,
    upstream: impl AsyncRead + AsyncWrite,
    stopping: &CancellationToken,
) {
    let (from_client, to_client) = split(client);
    let (from_upstream, to_upstream) = split(upstream);
    let (mut sent, mut received) = (Direction::default(), Direction::default());
    let (end_upstream, end_client) = (close_to_upstream(GOING_AWAY), close_to_client(GOING_AWAY));
    let until_both_end = async {
        // A side that breaks off is seen by the missing close.
        let _ = tokio::join!(
            sent.pass(from_client, to_upstream, &end_upstream, stopping),
            received.pass(from_upstream, to_client, &end_client, stopping),
        );
    };
    let patience = async {
        stopping.cancelled().await;
        tokio::time::sleep(CLOSE_TIMEOUT).await;
    };
    tokio::select! {
        () = until_both_end => {}
        () = patience => {}
    }
    record_bytes(sent.bytes, received.bytes);
    let closes = [&sent.frames, &received.frames];
    let told = closes.iter().any(|frames| frames.is_closed());
    let code = closes.iter().find_map(|frames| frames.close_code());
    let code = match (code, told) {
        _ if sent.told || received.told => GOING_AWAY,
        (Some(code), _) => code,
        (None, true) => NO_STATUS,
        (None, false) => ABNORMAL,
    };
    span_attribute("websocket.close_code", i64::from(code));
}

/// One way of a WebSocket.
#[derive(Default)]
struct Direction {
    frames: Frames,
    bytes: u64,
    /// The gateway itself has sent the close.
    told: bool,
}

impl Direction {
    /// Passes bytes on until the source ends. Once the gateway stops, `close` goes out at the next end of a
    /// frame, and the rest is only read, until the source has answered with its own close.
    async fn pass(
        &mut self,
        mut from: impl AsyncRead + Unpin,
        mut to: impl AsyncWrite + Unpin,
        close: &[u8],
        stopping: &CancellationToken,
    ) -> io::Result<()> {
        let mut buffer = vec![0; BUFFER];
        loop {
            if stopping.is_cancelled() && self.frames.is_between() {
                self.tell(&mut to, close).await?;
            }
            let read = tokio::select! {
                read = from.read(&mut buffer) => read?,
                () = stopping.cancelled(), if !stopping.is_cancelled() => continue,
            };
            if read == 0 {
                return to.shutdown().await;
            }
            let end = self.frames.follow(&buffer[..read]);
            let pass = match end {
                _ if self.told => 0,
                Some(end) if stopping.is_cancelled() => end,
                _ => read,
            };
            to.write_all(&buffer[..pass]).await?;
            to.flush().await?;
            self.bytes += pass as u64;
            if pass < read {
                self.tell(&mut to, close).await?;
            }
            if self.told && self.frames.is_closed() {
                return to.shutdown().await;
            }
        }
    }

    async fn tell(&mut self, to: &mut (impl AsyncWrite + Unpin), close: &[u8]) -> io::Result<()> {
        if self.told || self.frames.is_closed() {
            return Ok(());
        }
        self.told = true;
        to.write_all(close).await?;
        to.flush().await
    }
}

fn record_bytes(sent: u64, received: u64) {
    for (name, bytes) in [("gateway.bytes_sent", sent), ("gateway.bytes_received", received)] {
        span_attribute(name, i64::try_from(bytes).unwrap_or(i64::MAX));
    }
}

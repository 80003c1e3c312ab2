//! Connections that change their protocol, as a WebSocket does: once both sides agreed, bytes pass both ways.

use axum::body::Body;
use axum::extract::Request;
use axum::response::Response;
use http::header::{CONNECTION, HeaderMap, HeaderValue, UPGRADE};
use hyper::upgrade::OnUpgrade;
use hyper_util::rt::TokioIo;
use tracewell_kit::connections::Connections;
use tracewell_telemetry::background;

use super::headers::drop_hop_by_hop;
use super::relay;

/// A client's wish to change the protocol of its connection.
pub(super) struct Upgrade {
    protocol: HeaderValue,
    client: OnUpgrade,
}

/// The wish of `request`, if it has one.
pub(super) fn take(request: &mut Request) -> Option<Upgrade> {
    let asks = request.headers().get_all(CONNECTION).iter().any(|value| {
        value.to_str().is_ok_and(|value| {
            value
                .split(',')
                .any(|token| token.trim().eq_ignore_ascii_case("upgrade"))
        })
    });
    let protocol = request.headers().get(UPGRADE).filter(|_| asks)?.clone();
    let client = request.extensions_mut().remove::<OnUpgrade>()?;
    Some(Upgrade { protocol, client })
}

impl Upgrade {
    /// Repeats the wish towards the upstream.
    pub(super) fn ask(&self, headers: &mut HeaderMap) {
        headers.insert(CONNECTION, HeaderValue::from_static("upgrade"));
        headers.insert(UPGRADE, self.protocol.clone());
    }

    /// The upstream agreed: answers the client so, and joins the two connections until one side ends.
    pub(super) fn join(
        self,
        answer: reqwest::Response,
        upstream: &str,
        connections: &Connections,
    ) -> Response {
        let mut response = Response::new(Body::empty());
        *response.status_mut() = answer.status();
        let headers = response.headers_mut();
        headers.extend(answer.headers().clone());
        drop_hop_by_hop(headers);
        self.ask(headers);
        let is_websocket = self.protocol.as_bytes().eq_ignore_ascii_case(b"websocket");
        let protocol = if is_websocket { "websocket" } else { "upgraded" };
        // Described here, where its cause is the current span.
        let lasting = background(format!("{protocol} {upstream}"));
        let stopping = connections.stopping().clone();
        connections.spawn(async move {
            let joined = lasting.run(async {
                let (upstream, client) = tokio::try_join!(
                    async { answer.upgrade().await.map_err(|error| error.to_string()) },
                    async { self.client.await.map_err(|error| error.to_string()) },
                )?;
                let client = TokioIo::new(client);
                if is_websocket {
                    relay::websocket(client, upstream, &stopping).await;
                } else {
                    relay::opaque(client, upstream).await;
                }
                Ok::<_, String>(())
            });
            if let Err(error) = joined.await {
                tracing::warn!(error, "the connection was not upgraded");
            }
        });
        response
    }
}

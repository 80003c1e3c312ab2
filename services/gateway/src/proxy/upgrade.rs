//! Connections that change their protocol, as a WebSocket does: once both sides agreed, bytes pass both ways.

use axum::body::Body;
use axum::extract::Request;
use axum::response::Response;
use http::header::{CONNECTION, HeaderMap, HeaderValue, UPGRADE};
use hyper::upgrade::OnUpgrade;
use hyper_util::rt::TokioIo;
use tracing::Instrument;

use super::headers::drop_hop_by_hop;

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
    pub(super) fn join(self, answer: reqwest::Response) -> Response {
        let mut response = Response::new(Body::empty());
        *response.status_mut() = answer.status();
        let headers = response.headers_mut();
        headers.extend(answer.headers().clone());
        drop_hop_by_hop(headers);
        self.ask(headers);
        let pass = async move {
            let ends = tokio::try_join!(
                async { answer.upgrade().await.map_err(|error| error.to_string()) },
                async { self.client.await.map_err(|error| error.to_string()) },
            );
            let outcome = match ends {
                Ok((mut upstream, client)) => {
                    let mut client = TokioIo::new(client);
                    tokio::io::copy_bidirectional(&mut client, &mut upstream)
                        .await
                        .map_err(|error| error.to_string())
                }
                Err(error) => Err(error),
            };
            match outcome {
                Ok((sent, received)) => tracing::debug!(sent, received, "upgraded connection ended"),
                Err(error) => tracing::debug!(error, "upgraded connection broke"),
            }
        };
        tokio::spawn(pass.in_current_span());
        response
    }
}

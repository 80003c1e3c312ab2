//! Passing a request on to an upstream, and its answer back, both as streams.

pub mod headers;
mod relay;
mod resend;
mod upgrade;
mod websocket;

use std::net::{IpAddr, SocketAddr};
use std::sync::Arc;
use std::time::Duration;

use axum::RequestExt;
use axum::body::Body;
use axum::extract::{ConnectInfo, Request};
use axum::response::Response;
use http::request::Parts;
use tracewell_kit::connections::Connections;
use tracewell_kit::forwarded::TrustedProxies;
use tracewell_telemetry::{Relayed, TracedClient};

use self::resend::Repeatable;
use crate::error::GatewayError;
use crate::routing::{Upstream, is_ambiguous, is_for_operators};

/// How the gateway passes requests on; cheap to clone.
#[derive(Debug, Clone)]
pub struct Proxy {
    client: TracedClient,
    answer_timeout: Duration,
    trusted_proxies: TrustedProxies,
    connections: Connections,
}

impl Proxy {
    /// `answer_timeout` bounds the time from the request, however often it is sent, to the head of the answer; the answer's body may take as
    /// long as it likes, as event streams do.
    /// Upgraded connections go to `connections`.
    pub fn new(
        client: TracedClient,
        answer_timeout: Duration,
        trusted_proxies: TrustedProxies,
        connections: Connections,
    ) -> Self {
        Self {
            client,
            answer_timeout,
            trusted_proxies,
            connections,
        }
    }

    /// Sends `request` to `upstream`, its prefix stripped, and returns the answer while its body still streams.
    pub async fn forward(
        &self,
        upstream: Arc<Upstream>,
        mut request: Request,
    ) -> Result<Response, GatewayError> {
        let upgrade = upgrade::take(&mut request);
        let (mut head, body) = request.with_limited_body().into_parts();
        if is_ambiguous(head.uri.path()) {
            return Err(GatewayError::AmbiguousPath);
        }
        if is_for_operators(path_below(&upstream, &head.uri)) {
            return Err(GatewayError::NotPassedOn(head.uri.path().to_owned()));
        }
        let mut outgoing = self.outgoing_head(&upstream, &mut head);
        if let Some(upgrade) = &upgrade {
            upgrade.ask(outgoing.headers_mut());
        }
        let sent = Repeatable::new(outgoing, body).send(&self.client);
        let answer = tokio::time::timeout(self.answer_timeout, sent)
            .await
            .map_err(|_| GatewayError::Timeout {
                upstream: upstream.name.clone(),
                after: self.answer_timeout,
            })?
            .map_err(|source| GatewayError::from_exchange(&upstream.name, source))?;
        if answer.status() == http::StatusCode::SWITCHING_PROTOCOLS {
            let upgrade = upgrade.ok_or_else(|| GatewayError::UnaskedUpgrade(upstream.name.clone()))?;
            return Ok(upgrade.join(answer, &upstream.name, &self.connections));
        }
        let mut answer = http::Response::from(answer).map(Body::new);
        headers::drop_hop_by_hop(answer.headers_mut());
        headers::drop_cors(answer.headers_mut());
        // Whatever it tells of a failure, the upstream has reported.
        answer.extensions_mut().insert(Relayed);
        Ok(answer)
    }

    fn outgoing_head(&self, upstream: &Upstream, head: &mut Parts) -> reqwest::Request {
        let address = upstream.address(path_below(upstream, &head.uri), head.uri.query());
        let mut outgoing = reqwest::Request::new(head.method.clone(), address);
        let mut passed = std::mem::take(&mut head.headers);
        headers::drop_hop_by_hop(&mut passed);
        headers::set_forwarded(&mut passed, peer(head), &upstream.prefix(), self.trusted_proxies);
        *outgoing.headers_mut() = passed;
        outgoing
    }
}

/// The path as the upstream knows it. The router matched the prefix on the undecoded path, so its length is the same here.
fn path_below<'a>(upstream: &Upstream, uri: &'a http::Uri) -> &'a str {
    uri.path()
        .get(upstream.prefix().len()..)
        .filter(|rest| !rest.is_empty())
        .unwrap_or("/")
}

/// The address at the other end of the connection.
fn peer(head: &Parts) -> IpAddr {
    head.extensions
        .get::<ConnectInfo<SocketAddr>>()
        .map_or(IpAddr::from([0, 0, 0, 0]), |info| info.0.ip())
}

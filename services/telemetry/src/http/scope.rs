//! The outermost layer: a scope for each request, before anything can report under it.

use std::task::{Context, Poll};

use axum::extract::Request;
use tower::{Layer, Service};

use super::forwarded::TrustedProxies;
use crate::sentry::SentryClient;

/// Puts a [`RequestScope`](crate::sentry::RequestScope) into the extensions of each request.
#[derive(Clone)]
pub(crate) struct ScopeLayer {
    pub(crate) sentry: SentryClient,
    pub(crate) proxies: TrustedProxies,
}

impl<S> Layer<S> for ScopeLayer {
    type Service = Scoped<S>;

    fn layer(&self, inner: S) -> Self::Service {
        Scoped {
            inner,
            layer: self.clone(),
        }
    }
}

#[derive(Clone)]
pub(crate) struct Scoped<S> {
    inner: S,
    layer: ScopeLayer,
}

impl<S: Service<Request>> Service<Request> for Scoped<S> {
    type Response = S::Response;
    type Error = S::Error;
    type Future = S::Future;

    fn poll_ready(&mut self, cx: &mut Context<'_>) -> Poll<Result<(), S::Error>> {
        self.inner.poll_ready(cx)
    }

    fn call(&mut self, mut request: Request) -> Self::Future {
        let scope = self.layer.sentry.request_scope(&request, self.layer.proxies);
        request.extensions_mut().insert(scope);
        self.inner.call(request)
    }
}

//! The one layer around a router that decides, from the same status and route, what the span, the metrics,
//! the access log and Sentry say.

use std::{
    convert::Infallible,
    future::Future,
    pin::Pin,
    sync::Arc,
    task::{Context, Poll},
};

use axum::{
    BoxError,
    body::{Body, Bytes, HttpBody},
    extract::Request,
    http::header::CONTENT_LENGTH,
    response::Response,
};
use opentelemetry::{
    propagation::{TextMapCompositePropagator, TextMapPropagator},
    trace::FutureExt,
};
use opentelemetry_http::HeaderExtractor;
use tower::{Layer, Service};
use tracing::Instrument;

use super::{
    body::ObservedBody,
    record::{Reporters, RequestRecord},
};
use crate::sentry::RequestScope;

#[derive(Clone)]
pub(crate) struct HttpTelemetryLayer {
    pub(crate) propagator: Arc<TextMapCompositePropagator>,
    pub(crate) reporters: Reporters,
}

impl<S> Layer<S> for HttpTelemetryLayer {
    type Service = HttpTelemetry<S>;

    fn layer(&self, inner: S) -> Self::Service {
        HttpTelemetry {
            inner,
            layer: self.clone(),
        }
    }
}

#[derive(Clone)]
pub(crate) struct HttpTelemetry<S> {
    inner: S,
    layer: HttpTelemetryLayer,
}

impl<S, B> Service<Request> for HttpTelemetry<S>
where
    S: Service<Request, Response = Response<B>, Error = Infallible>,
    S::Future: Send + 'static,
    B: HttpBody<Data = Bytes, Error: Into<BoxError>> + Send + 'static,
{
    type Response = Response;
    type Error = Infallible;
    type Future = Pin<Box<dyn Future<Output = Result<Response, Infallible>> + Send>>;

    fn poll_ready(&mut self, cx: &mut Context<'_>) -> Poll<Result<(), Infallible>> {
        self.inner.poll_ready(cx)
    }

    fn call(&mut self, request: Request) -> Self::Future {
        let parent = self.layer.propagator.extract_with_context(
            &opentelemetry::Context::new(),
            &HeaderExtractor(request.headers()),
        );
        let scope = request
            .extensions()
            .get::<RequestScope>()
            .cloned()
            .unwrap_or_default();
        // What runs in this context, or in a span below it, reports under the request's scope.
        let parent = parent.with_value(scope.clone());
        let mut record = RequestRecord::start(&request, &parent, self.layer.reporters.clone(), scope);
        let context = record.span().context().clone();
        let stand_in = record.span().stand_in();
        let answer = {
            let _inside = context.clone().attach();
            stand_in.in_scope(|| self.inner.call(request))
        };
        Box::pin(
            async move {
                let mut response = answer.await?;
                record.answered(&mut response);
                let length = content_length(&response);
                Ok(response.map(|body| Body::new(ObservedBody::new(Body::new(body), length, record))))
            }
            .instrument(stand_in)
            .with_context(context),
        )
    }
}

fn content_length<B>(response: &Response<B>) -> Option<u64> {
    response
        .headers()
        .get(CONTENT_LENGTH)?
        .to_str()
        .ok()?
        .parse()
        .ok()
}

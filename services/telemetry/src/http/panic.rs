//! A panic in a handler becomes a 500 that the HTTP layer reports; one in a streamed body, its failure.

use std::{
    any::Any,
    cell::RefCell,
    convert::Infallible,
    future::Future,
    panic::{AssertUnwindSafe, catch_unwind},
    pin::Pin,
    task::{Context, Poll},
};

use axum::{
    extract::Request,
    http::{StatusCode, header},
    response::{IntoResponse, Response},
};
use pin_project_lite::pin_project;
use serde_json::json;
use tower::{Layer, Service};

use crate::{ErrorReport, current_trace_id, sentry::Stack};

/// The type under which a panic is reported: `error.type` of the span, `err.type` of the log.
pub(crate) const PANIC: &str = "panic";

thread_local! {
    /// One entry for each call of [`catch`] under way on this thread, innermost last: the stack of the
    /// panic seen in it.
    static WATCHES: RefCell<Vec<Option<Stack>>> = const { RefCell::new(Vec::new()) };
}

/// For the panic hook, which alone sees the stack of a panic: whether this one will be caught by [`catch`] and
/// reported with its request, which then has `stack`.
pub(crate) fn panic_noted(stack: Option<Stack>) -> bool {
    WATCHES.with_borrow_mut(|watches| match watches.last_mut() {
        Some(watch) => {
            *watch = stack;
            true
        }
        None => false,
    })
}

/// Runs `work`; a panic in it becomes its report.
pub(super) fn catch<T>(work: impl FnOnce() -> T) -> Result<T, ErrorReport> {
    WATCHES.with_borrow_mut(|watches| watches.push(None));
    // What the service leaves behind is dropped with the request, so nobody sees it half done.
    let outcome = catch_unwind(AssertUnwindSafe(work));
    let stack = WATCHES.with_borrow_mut(Vec::pop).flatten();
    outcome.map_err(|payload| ErrorReport::of_panic(panic_message(&*payload), stack))
}

/// Answers a request whose handler panics.
#[derive(Clone, Debug)]
pub(crate) struct CatchPanicLayer;

impl<S> Layer<S> for CatchPanicLayer {
    type Service = CatchPanic<S>;

    fn layer(&self, inner: S) -> Self::Service {
        CatchPanic(inner)
    }
}

#[derive(Clone, Debug)]
pub(crate) struct CatchPanic<S>(S);

impl<S> Service<Request> for CatchPanic<S>
where
    S: Service<Request, Response = Response, Error = Infallible>,
{
    type Response = Response;
    type Error = Infallible;
    type Future = Caught<S::Future>;

    fn poll_ready(&mut self, cx: &mut Context<'_>) -> Poll<Result<(), Infallible>> {
        self.0.poll_ready(cx)
    }

    fn call(&mut self, request: Request) -> Self::Future {
        match catch(|| self.0.call(request)) {
            Ok(answer) => Caught::Running { answer },
            Err(report) => Caught::Panicked { report: Some(report) },
        }
    }
}

pin_project! {
    /// The answer, or the problem document in its place.
    #[project = CaughtProjection]
    pub(crate) enum Caught<F> {
        Running { #[pin] answer: F },
        // Before there was anything to poll.
        Panicked { report: Option<ErrorReport> },
    }
}

impl<F: Future<Output = Result<Response, Infallible>>> Future for Caught<F> {
    type Output = Result<Response, Infallible>;

    fn poll(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Self::Output> {
        let report = match self.project() {
            CaughtProjection::Running { answer } => match catch(|| answer.poll(cx)) {
                Ok(poll) => return poll,
                Err(report) => Some(report),
            },
            CaughtProjection::Panicked { report } => report.take(),
        };
        Poll::Ready(Ok(problem(report)))
    }
}

/// An `application/problem+json` that tells the client nothing but the trace id.
fn problem(report: Option<ErrorReport>) -> Response {
    let problem = json!({
        "type": "about:blank",
        "title": "Internal Server Error",
        "status": 500,
        "detail": "The service failed unexpectedly. Quote the trace id when you report this.",
        "code": "internal",
        "trace_id": current_trace_id(),
    });
    let headers = [(header::CONTENT_TYPE, "application/problem+json")];
    let mut response = (StatusCode::INTERNAL_SERVER_ERROR, headers, problem.to_string()).into_response();
    if let Some(report) = report {
        response.extensions_mut().insert(report);
    }
    response
}

/// The text of a panic's payload.
pub(crate) fn panic_message(payload: &dyn Any) -> &str {
    payload
        .downcast_ref::<&'static str>()
        .copied()
        .or_else(|| payload.downcast_ref::<String>().map(String::as_str))
        .unwrap_or("a value that is no text")
}

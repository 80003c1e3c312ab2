//! Repeating a request that no upstream can have acted on, or that it may act on twice.
//!
//! A pod that goes away refuses connections until every node knows, and one that comes is announced a moment before it
//! listens. `hyper-util` repeats only what it gave to an idle connection and can take back unsent.

use std::io::{self, ErrorKind};
use std::pin::Pin;
use std::sync::{Arc, Mutex, PoisonError};
use std::task::{Context, Poll};
use std::time::Duration;

use axum::body::{Body, BodyDataStream, Bytes, HttpBody};
use futures::Stream;
use tracewell_telemetry::TracedClient;

use crate::error::find_cause;

/// Milliseconds before the second attempt, the third and so on: 750 in all, after which the client is better told.
const PAUSES: [u64; 4] = [50, 100, 200, 400];

/// A request that can be sent more than once.
pub(super) struct Repeatable {
    /// Without its body.
    head: reqwest::Request,
    body: Option<LentBody>,
}

impl Repeatable {
    /// `head` is the request without its body.
    pub(super) fn new(head: reqwest::Request, body: Body) -> Self {
        let body = (!body.is_end_stream()).then(|| LentBody::new(body));
        Self { head, body }
    }

    /// Sends it until there is an answer, or a failure after which it must not or need not be sent again.
    pub(super) async fn send(self, client: &TracedClient) -> reqwest::Result<reqwest::Response> {
        let mut resends = 0;
        let mut had_second_chance = false;
        for pause in PAUSES {
            match client.resend(self.attempt(), resends).await {
                Err(error) if self.was_not_sent(&error) => {}
                // Once: an upstream that this very request breaks shall not be broken by it again and again.
                Err(error) if !had_second_chance && self.may_be_sent_twice(&error) => {
                    had_second_chance = true;
                }
                result => return result,
            }
            tokio::time::sleep(Duration::from_millis(pause)).await;
            resends += 1;
        }
        client.resend(self.attempt(), resends).await
    }

    fn attempt(&self) -> reqwest::Request {
        let mut attempt = reqwest::Request::new(self.head.method().clone(), self.head.url().clone());
        attempt.headers_mut().clone_from(self.head.headers());
        *attempt.body_mut() = self.body.clone().map(reqwest::Body::wrap_stream);
        attempt
    }

    /// Whether it is certain that not a byte went out, so that any method can be repeated.
    ///
    /// Whom a connection kept waiting until the time was up has waited enough.
    fn was_not_sent(&self, error: &reqwest::Error) -> bool {
        let had_no_connection = error.is_connect() && !error.is_timeout();
        let was_never_taken = find_cause::<hyper::Error>(error).is_some_and(hyper::Error::is_canceled);
        let is_whole = self.body.as_ref().is_none_or(LentBody::is_whole);
        (had_no_connection || was_never_taken) && is_whole
    }

    /// Whether the connection ended without an answer to a request that means the same when it comes twice
    /// (RFC 9110 §9.2.2): most often an idle connection that the upstream was closing.
    fn may_be_sent_twice(&self, error: &reqwest::Error) -> bool {
        let was_closed = find_cause::<hyper::Error>(error).is_some_and(hyper::Error::is_incomplete_message);
        let was_cut = find_cause::<io::Error>(error).is_some_and(|error| {
            matches!(
                error.kind(),
                ErrorKind::ConnectionReset | ErrorKind::ConnectionAborted | ErrorKind::BrokenPipe
            )
        });
        (was_closed || was_cut) && self.body.is_none() && self.head.method().is_idempotent()
    }
}

/// A body that goes from one attempt to the next as long as none has read of it.
#[derive(Clone)]
struct LentBody(Arc<Mutex<Lent>>);

struct Lent {
    stream: BodyDataStream,
    is_whole: bool,
}

impl LentBody {
    fn new(body: Body) -> Self {
        Self(Arc::new(Mutex::new(Lent {
            stream: body.into_data_stream(),
            is_whole: true,
        })))
    }

    fn is_whole(&self) -> bool {
        self.with(|lent| lent.is_whole)
    }

    /// Attempts follow one another, so nobody ever waits for the lock.
    fn with<T>(&self, act: impl FnOnce(&mut Lent) -> T) -> T {
        act(&mut self.0.lock().unwrap_or_else(PoisonError::into_inner))
    }
}

impl Stream for LentBody {
    type Item = Result<Bytes, axum::Error>;

    fn poll_next(self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Option<Self::Item>> {
        self.with(|lent| {
            lent.is_whole = false;
            Pin::new(&mut lent.stream).poll_next(context)
        })
    }
}

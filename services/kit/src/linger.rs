//! Refusing a body without losing the answer.
//!
//! A handler may answer before it has read the whole body: 413 for one that is too large, 401 before looking at it.
//! Dropping the rest closes the connection while the client still writes; the kernel then answers with a reset, and
//! the client may lose the answer that was already on its way (RFC 9112, section 9.6). So the rest is read and thrown
//! away beside the answer, within bounds.

use std::{
    future::poll_fn,
    pin::Pin,
    task::{Context, Poll, ready},
    time::Duration,
};

use axum::{
    body::{Body, Bytes},
    extract::Request,
};
use http::header;
use http_body::{Body as HttpBody, Frame, SizeHint};
use tokio::runtime::Handle;

/// The most that is read of a body that nobody wants; of a larger one the connection is closed.
const MAX_BYTES: usize = 4 * 1024 * 1024;
/// The longest that such a body is read.
const MAX_TIME: Duration = Duration::from_secs(5);

/// Makes the request's body one that lingers.
pub(crate) fn linger(request: Request) -> Request {
    // Who expects "100 Continue" writes nothing before it is told to, and reading would tell it to.
    if request.headers().contains_key(header::EXPECT) {
        return request;
    }
    request.map(|body| {
        if body.is_end_stream() {
            body
        } else {
            Body::new(Lingering(body))
        }
    })
}

/// A body that, dropped before its end, is read to its end in the background.
struct Lingering(Body);

impl HttpBody for Lingering {
    type Data = Bytes;
    type Error = axum::Error;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, axum::Error>>> {
        let frame = ready!(Pin::new(&mut self.0).poll_frame(cx));
        if !matches!(frame, Some(Ok(_))) {
            // Ended or broken: nothing is left to read.
            self.0 = Body::empty();
        }
        Poll::Ready(frame)
    }

    fn is_end_stream(&self) -> bool {
        self.0.is_end_stream()
    }

    fn size_hint(&self) -> SizeHint {
        self.0.size_hint()
    }
}

impl Drop for Lingering {
    fn drop(&mut self) {
        if self.0.is_end_stream() {
            return;
        }
        let rest = std::mem::take(&mut self.0);
        if let Ok(runtime) = Handle::try_current() {
            runtime.spawn(async {
                // Out of time is as good as done: the connection closes.
                let _ = tokio::time::timeout(MAX_TIME, discard(rest)).await;
            });
        }
    }
}

async fn discard(mut body: Body) {
    let mut read = 0;
    while let Some(Ok(frame)) = poll_fn(|cx| Pin::new(&mut body).poll_frame(cx)).await {
        read += frame.data_ref().map_or(0, Bytes::len);
        if read > MAX_BYTES {
            return;
        }
    }
}

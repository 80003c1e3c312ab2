//! The response's body, watched to its end: a streamed answer lasts until its last byte.

use std::{
    pin::Pin,
    task::{Context, Poll, ready},
};

use axum::body::{Body, Bytes, HttpBody};

use super::{
    ErrorReport,
    panic::catch,
    record::{BodyEnd, RequestRecord},
};

/// What the server is told of a panic; the reason is for operators.
#[derive(Debug, thiserror::Error)]
#[error("the body panicked")]
struct Panicked;

/// Passes frames through; when it is dropped, the request's record is closed.
pub(crate) struct ObservedBody {
    inner: Body,
    /// Bytes still to come, where the length is known. A server stops polling once it has them all, so the
    /// end of such a stream is never seen as `None`.
    remaining: Option<u64>,
    record: RequestRecord,
}

impl ObservedBody {
    /// `length` is the response's declared length, if it has one.
    pub(crate) fn new(inner: Body, length: Option<u64>, mut record: RequestRecord) -> Self {
        let remaining = inner.size_hint().exact().or(length);
        if inner.is_end_stream() || remaining == Some(0) {
            record.body_ended(BodyEnd::Complete);
        }
        Self {
            inner,
            remaining,
            record,
        }
    }
}

impl HttpBody for ObservedBody {
    type Data = Bytes;
    type Error = axum::Error;

    fn poll_frame(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<http_body::Frame<Bytes>, axum::Error>>> {
        let this = self.get_mut();
        let polled = {
            let _inside = this.record.span().context().clone().attach();
            catch(|| Pin::new(&mut this.inner).poll_frame(cx))
        };
        let frame = match polled {
            Ok(polled) => ready!(polled),
            Err(panic) => {
                this.record.body_ended(BodyEnd::Failed(panic));
                // The server breaks the answer off, which tells the client that it is not whole.
                return Poll::Ready(Some(Err(axum::Error::new(Panicked))));
            }
        };
        match &frame {
            None => this.record.body_ended(BodyEnd::Complete),
            Some(Err(error)) => {
                let failure = ErrorReport::of_body(&error.to_string());
                this.record.body_ended(BodyEnd::Failed(failure));
            }
            Some(Ok(frame)) => {
                let length = frame.data_ref().map_or(0, |data| data.len() as u64);
                this.remaining = this.remaining.map(|remaining| remaining.saturating_sub(length));
                if this.remaining == Some(0) || this.inner.is_end_stream() {
                    this.record.body_ended(BodyEnd::Complete);
                }
            }
        }
        Poll::Ready(frame)
    }

    fn is_end_stream(&self) -> bool {
        self.inner.is_end_stream()
    }

    fn size_hint(&self) -> http_body::SizeHint {
        self.inner.size_hint()
    }
}

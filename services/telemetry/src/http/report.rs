//! What a handler tells the HTTP layer about its response, through the response's extensions.

use std::{any::type_name, error::Error, iter::successors};

use super::panic::PANIC;
use crate::{
    cause::chain,
    sentry::{Stack, current_hub, type_of},
};

/// Response extension: the error behind a failed response, for the log, the span and Sentry. Its text is for
/// operators and never reaches the client. Make it where the error becomes a response: Sentry shows the stack
/// of that moment.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ErrorReport {
    pub(crate) kind: &'static str,
    pub(crate) message: String,
    /// Nearest first.
    pub(crate) causes: Vec<Cause>,
    /// Taken only where it is sent.
    pub(crate) stack: Option<Stack>,
    /// The service decided on it: it is no error that somebody has to mend.
    pub(crate) is_refusal: bool,
}

/// Response extension: the answer is another service's, passed on, and what it tells of a failure was reported there. A proxy
/// leaves it, so that one failure is one event: the proxy's log and span have the id that came with the answer in
/// `X-Sentry-Event-Id`.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Relayed;

/// An error behind another one.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Cause {
    /// Its type.
    pub(crate) kind: String,
    pub(crate) message: String,
}

impl ErrorReport {
    /// Describes `error` and its chain of sources, under the name of its type.
    pub fn new<E: Error>(error: &E) -> Self {
        Self::named(short_name(type_name::<E>()), error)
    }

    /// Describes `error` under `kind`, a name of low cardinality such as the problem's code: it becomes
    /// the span's `error.type`.
    pub fn named(kind: &'static str, error: &dyn Error) -> Self {
        let causes = successors(error.source(), |&cause| cause.source()).map(|cause| Cause {
            kind: type_of(cause),
            message: cause.to_string(),
        });
        Self {
            kind,
            message: error.to_string(),
            causes: causes.collect(),
            stack: current_hub().map(|_| Stack::capture()),
            is_refusal: false,
        }
    }

    /// Describes a 5xx by which the service refuses what is too much for it. As the refusal of a 4xx, Sentry gets it as a
    /// warning, at most once in 10 s for the same service, method, route and status: under load, an event with its stack
    /// for each would take what the refusal spares.
    pub fn refusal(kind: &'static str, reason: &str) -> Self {
        Self {
            is_refusal: true,
            ..Self::plain(kind, reason)
        }
    }

    /// Describes a panic with this message.
    pub(crate) fn of_panic(message: &str, stack: Option<Stack>) -> Self {
        Self {
            stack,
            ..Self::plain(PANIC, message)
        }
    }

    /// Describes a body that failed for this reason.
    pub(crate) fn of_body(reason: &str) -> Self {
        Self::plain("body", reason)
    }

    fn plain(kind: &'static str, message: &str) -> Self {
        Self {
            kind,
            message: message.to_owned(),
            causes: Vec::new(),
            stack: None,
            is_refusal: false,
        }
    }

    pub(crate) fn is_panic(&self) -> bool {
        self.kind == PANIC
    }

    /// The message and its causes, one per line.
    pub(crate) fn chain(&self) -> String {
        let causes: Vec<_> = self.causes.iter().map(|cause| cause.message.clone()).collect();
        chain(&format!("{}: {}", self.kind, self.message), &causes)
    }
}

/// `store::StoreError<a::B>` → `StoreError`.
fn short_name(path: &'static str) -> &'static str {
    let path = path.split('<').next().unwrap_or(path);
    path.rsplit("::").next().unwrap_or(path)
}

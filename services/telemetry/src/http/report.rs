//! What a handler tells the HTTP layer about its response, through the response's extensions.

use std::{any::type_name, error::Error};

use crate::cause::{causes, chain};

/// Response extension: the error behind a failed response, for the log and the span. Its text is for
/// operators and never reaches the client. An error tracker would get its events from here too.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ErrorReport {
    pub(crate) kind: &'static str,
    pub(crate) message: String,
    /// Messages of the causes, nearest first.
    pub(crate) causes: Vec<String>,
}

impl ErrorReport {
    /// Describes `error` and its chain of sources, under the name of its type.
    pub fn new<E: Error>(error: &E) -> Self {
        Self::named(short_name(type_name::<E>()), error)
    }

    /// Describes `error` under `kind`, a name of low cardinality such as the problem's code: it becomes
    /// the span's `error.type`.
    pub fn named(kind: &'static str, error: &dyn Error) -> Self {
        Self {
            kind,
            message: error.to_string(),
            causes: causes(error),
        }
    }

    /// The message and its causes, one per line.
    pub(crate) fn chain(&self) -> String {
        chain(&format!("{}: {}", self.kind, self.message), &self.causes)
    }
}

/// `store::StoreError<a::B>` → `StoreError`.
fn short_name(path: &'static str) -> &'static str {
    let path = path.split('<').next().unwrap_or(path);
    path.rsplit("::").next().unwrap_or(path)
}

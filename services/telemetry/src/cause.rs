//! The chain of causes behind an error.

use std::{error::Error, iter::successors};

/// The messages of `error`'s sources, nearest first.
pub(crate) fn causes(error: &dyn Error) -> Vec<String> {
    successors(error.source(), |&cause| cause.source())
        .map(ToString::to_string)
        .collect()
}

/// `head` and its causes, one per line.
pub(crate) fn chain(head: &str, causes: &[String]) -> String {
    let lines: Vec<&str> = std::iter::once(head)
        .chain(causes.iter().map(String::as_str))
        .collect();
    lines.join("\n  caused by: ")
}

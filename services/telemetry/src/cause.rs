//! The chain of causes behind an error.

use std::{error::Error, fmt::Debug, iter::successors};

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

/// The name that the `Debug` output of an error begins with, such as its variant's: `PoolTimedOut`, `Database(…)`,
/// `Os { … }`. `None` where it is a text, whose first word is no name.
pub(crate) fn name_of(error: &(impl Debug + ?Sized)) -> Option<String> {
    let debug = format!("{error:?}");
    let end = debug.find([' ', '(', '{']).unwrap_or(debug.len());
    let (name, rest) = debug.split_at(end);
    let is_name = name.starts_with(|first: char| first.is_ascii_uppercase())
        && name
            .chars()
            .all(|letter| letter.is_ascii_alphanumeric() || letter == '_');
    let is_alone = rest.is_empty() || rest.starts_with('(') || rest.starts_with(" {");
    (is_name && is_alone).then(|| name.to_owned())
}

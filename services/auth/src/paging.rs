//! Pages of lists, cut by a key: a cursor stays right while entries come and go.

use serde::Deserialize;
use utoipa::IntoParams;

/// How many entries a page has unless asked otherwise.
const DEFAULT_LIMIT: u16 = 50;

/// Which page of a list.
#[derive(Debug, Deserialize, IntoParams)]
#[into_params(parameter_in = Query)]
pub(crate) struct Paging {
    /// `next` of the page before; the first page unless said.
    #[param(max_length = 64, example = "evt_0198f3c1a5b27c3e9d4f5a6b7c8d9e0f")]
    after: Option<String>,
    /// How many entries at most; 50 unless said.
    #[param(minimum = 1, maximum = 200)]
    limit: Option<u16>,
}

impl Paging {
    /// The key after which the page begins, and how many entries it has at most.
    pub(crate) fn resolve(self) -> (Option<String>, u16) {
        (self.after, self.limit.unwrap_or(DEFAULT_LIMIT))
    }
}

/// Cuts `found`, up to one more than `limit`, to a page; gives the key of the next page if there is one.
pub(crate) fn cut<T>(found: &mut Vec<T>, limit: u16, key: impl Fn(&T) -> &str) -> Option<String> {
    let more = found.len() > usize::from(limit);
    found.truncate(limit.into());
    found.last().filter(|_| more).map(|last| key(last).to_owned())
}

//! What operations have in common in the API document: the answers to those whom they do not let in. An operation lists them
//! before its own, which stand for those of the same status.

use std::collections::BTreeMap;

use tracewell_kit::docs;
use utoipa::{
    IntoResponses,
    openapi::{RefOr, Response},
};

type Responses = BTreeMap<String, RefOr<Response>>;

/// Of an operation that takes a signed-in caller.
pub(crate) struct CallerRefused;

/// Of an operation that takes an admin.
pub(crate) struct AdminRefused;

/// Of an operation that asks a signed-in caller for the password again.
pub(crate) struct OwnerRefused;

const NO_TOKEN: (u16, &str) = (401, "`session_ended`");

impl IntoResponses for CallerRefused {
    fn responses() -> Responses {
        problems(&[NO_TOKEN, (403, "`account_locked`")])
    }
}

impl IntoResponses for AdminRefused {
    fn responses() -> Responses {
        problems(&[NO_TOKEN, (403, "`admin_only` or `account_locked`")])
    }
}

impl IntoResponses for OwnerRefused {
    fn responses() -> Responses {
        problems(&[
            NO_TOKEN,
            (403, "`wrong_password` or `account_locked`"),
            (429, "`too_many_attempts`: Retry-After says when to come again"),
            (503, "`busy`"),
        ])
    }
}

fn problems(statuses: &[(u16, &str)]) -> Responses {
    let describe =
        |(status, description): &(u16, &str)| (status.to_string(), RefOr::T(docs::problem(description)));
    statuses.iter().map(describe).collect()
}

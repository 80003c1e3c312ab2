//! What can go wrong in the chat service, and what the client is told of it.

use http::StatusCode;
use tracewell_kit::{db::DbError, problem::ApiError};

/// The failure of a request.
#[derive(Debug, thiserror::Error)]
pub(crate) enum ChatError {
    // One answer for both cases: ids of foreign conversations cannot be probed for.
    #[error("there is no such conversation, or the caller is not a member of it")]
    NoSuchConversation,
    #[error("the plan allows {0} conversations, and the caller has as many")]
    PlanLimit(i64),
    #[error(transparent)]
    Database(#[from] DbError),
}

impl From<ChatError> for ApiError {
    fn from(error: ChatError) -> Self {
        let detail = error.to_string();
        match error {
            ChatError::NoSuchConversation => Self::not_found(detail),
            ChatError::PlanLimit(_) => Self::new(StatusCode::FORBIDDEN, "plan_limit", detail),
            ChatError::Database(error) => error.into(),
        }
    }
}

//! What can go wrong in the billing service, and what the client is told of it.

use http::StatusCode;
use tracewell_kit::problem::{ApiError, FieldError};

/// A subscription was refused.
#[derive(Debug, thiserror::Error)]
pub(crate) enum SubscribeError {
    #[error("there is no plan with this id; GET /v1/plans lists them")]
    UnknownPlan,
    #[error("the caller has an active subscription already")]
    AlreadySubscribed,
}

impl From<SubscribeError> for ApiError {
    fn from(error: SubscribeError) -> Self {
        let detail = error.to_string();
        match error {
            SubscribeError::UnknownPlan => Self::new(StatusCode::NOT_FOUND, "unknown_plan", detail.clone())
                .with_errors(vec![FieldError {
                    pointer: "/plan_id".into(),
                    detail,
                }]),
            SubscribeError::AlreadySubscribed => {
                Self::new(StatusCode::CONFLICT, "already_subscribed", detail)
            }
        }
    }
}

//! What a user's plan allows, as the billing service says.

use serde::Deserialize;
use tracewell_kit::{auth::AccessToken, problem::ApiError, upstream::Upstream};

/// Conversations of a user when there is no billing service to ask: as many as its free plan allows.
const LIMIT_ALONE: i64 = 20;

/// Where limits come from.
#[derive(Debug, Clone)]
pub(crate) struct Entitlements {
    billing: Option<Upstream>,
}

impl Entitlements {
    pub(crate) fn new(billing: Option<Upstream>) -> Self {
        Self { billing }
    }

    /// How many conversations the owner of the token may have; `None`: no limit.
    pub(crate) async fn max_conversations(&self, token: &AccessToken) -> Result<Option<i64>, ApiError> {
        #[derive(Deserialize)]
        struct Answer {
            max_conversations: Option<i64>,
        }
        match &self.billing {
            None => Ok(Some(LIMIT_ALONE)),
            Some(billing) => {
                let answer: Answer = billing.get("/v1/entitlements", Some(token)).await?;
                Ok(answer.max_conversations)
            }
        }
    }
}

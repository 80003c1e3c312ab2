//! Calls to the other services of the platform: traced, bounded in time, and never a hang.

use std::time::Duration;

use http::StatusCode;
use serde::de::DeserializeOwned;
use tracewell_telemetry::TracedClient;

use crate::{auth::AccessToken, config::BaseUrl, problem::ApiError};

/// A call that has not ended by then has failed.
const TIMEOUT: Duration = Duration::from_secs(5);

/// Another service.
#[derive(Debug, Clone)]
pub struct Upstream {
    name: &'static str,
    base: BaseUrl,
    client: TracedClient,
}

impl Upstream {
    /// The service `name` at `base`.
    pub fn new(name: &'static str, base: BaseUrl, client: TracedClient) -> Self {
        Self { name, base, client }
    }

    /// GET of `path`, for the user whose token is given.
    ///
    /// Unreachable or too slow is 503 `upstream_unavailable`; any answer but 200 with the expected body is
    /// 502 `upstream_failed`; a refused token stays what it is for the caller, 401.
    pub async fn get<T: DeserializeOwned>(
        &self,
        path: &'static str,
        token: Option<&AccessToken>,
    ) -> Result<T, ApiError> {
        let call = async {
            let mut request = self.client.get(self.base.join(path)).template(path);
            if let Some(token) = token {
                request = request.bearer_auth(token.expose());
            }
            let response = request
                .send()
                .await
                .map_err(|error| self.unavailable("is unreachable").caused_by(error))?;
            match response.status() {
                StatusCode::OK => response
                    .json::<T>()
                    .await
                    .map_err(|error| self.failed("gave an unreadable answer").caused_by(error)),
                StatusCode::UNAUTHORIZED => Err(ApiError::new(
                    StatusCode::UNAUTHORIZED,
                    "invalid_token",
                    format!("{} refused the token", self.name),
                )),
                StatusCode::SERVICE_UNAVAILABLE => Err(self.unavailable("is not available")),
                status => Err(self.failed(&format!("answered {status}"))),
            }
        };
        tokio::time::timeout(TIMEOUT, call)
            .await
            .unwrap_or_else(|_| Err(self.unavailable("did not answer in 5 s")))
    }

    fn unavailable(&self, what: &str) -> ApiError {
        ApiError::unavailable(
            "upstream_unavailable",
            format!("the service {} {what}", self.name),
            1,
        )
    }

    fn failed(&self, what: &str) -> ApiError {
        ApiError::new(
            StatusCode::BAD_GATEWAY,
            "upstream_failed",
            format!("the service {} {what}", self.name),
        )
    }
}

//! Why a request to the cluster failed, in the few groups that a reaction differs by.

use std::time::Duration;

use kube::core::Status;
use platform_core::step::FailureCategory;

/// A request that did not do what was asked.
#[derive(Debug, thiserror::Error)]
pub enum ClusterError {
    /// The API server answered no.
    #[error("{message}")]
    Refused {
        /// The group of its reason.
        category: FailureCategory,
        /// Its own sentence.
        message: String,
        /// How long it asked us to wait, if it did.
        retry_after: Option<Duration>,
    },
    /// The object, or the namespace that it should be in, does not exist.
    #[error("{0}")]
    NotFound(String),
    /// This API server has not heard yet of a revision that was asked for, or never will.
    #[error("{0}")]
    Behind(String),
    /// No answer before the deadline. The request may have been carried out.
    #[error("no answer from the API server within {} s", .0.as_secs())]
    Timeout(Duration),
    /// The request did not reach the API server, or the connection broke. The request may have been carried out.
    #[error("the API server cannot be reached: {0}")]
    Unreachable(String),
    /// The answer is not the object that was asked for.
    #[error("the API server's answer does not parse: {0}")]
    Malformed(String),
}

impl ClusterError {
    /// The group: reason of an event, label of a metric.
    pub fn category(&self) -> FailureCategory {
        match self {
            Self::Refused { category, .. } => *category,
            Self::Timeout(_) | Self::Behind(_) => FailureCategory::Timeout,
            Self::Unreachable(_) => FailureCategory::Unavailable,
            Self::NotFound(_) | Self::Malformed(_) => FailureCategory::Invalid,
        }
    }
}

impl From<kube::Error> for ClusterError {
    fn from(error: kube::Error) -> Self {
        match error {
            kube::Error::Api(status) if status.is_not_found() => Self::NotFound(status.message),
            kube::Error::Api(status) if has_cause(&status, "ResourceVersionTooLarge") => {
                Self::Behind(status.message)
            }
            kube::Error::Api(status) => Self::Refused {
                category: category_of(&status),
                retry_after: retry_after(&status),
                message: status.message,
            },
            kube::Error::SerdeError(error) => Self::Malformed(error.to_string()),
            other => Self::Unreachable(with_causes(&other)),
        }
    }
}

fn category_of(status: &Status) -> FailureCategory {
    match status.code {
        // A used-up quota is a 403 as well, told apart by its message alone
        // (k8s.io/apiserver/pkg/admission/plugin/resourcequota).
        403 if status.message.contains("exceeded quota") => FailureCategory::Quota,
        401 | 403 => FailureCategory::Forbidden,
        // A Secret that is made carries the operator's label, and would have been listed.
        409 if status.is_already_exists() => FailureCategory::Contested,
        409 if has_cause(status, "FieldManagerConflict") => FailureCategory::Contested,
        409 => FailureCategory::Conflict,
        429 => FailureCategory::Throttled,
        504 => FailureCategory::Timeout,
        code if code >= 500 => FailureCategory::Unavailable,
        _ => FailureCategory::Invalid,
    }
}

fn has_cause(status: &Status, reason: &str) -> bool {
    let causes = status.details.iter().flat_map(|details| &details.causes);
    causes.into_iter().any(|cause| cause.reason == reason)
}

fn retry_after(status: &Status) -> Option<Duration> {
    let seconds = status.details.as_ref()?.retry_after_seconds;
    (seconds > 0).then(|| Duration::from_secs(seconds.into()))
}

/// The chain of causes in one line: the outermost sentence of a connection error says next to nothing.
fn with_causes(error: &dyn std::error::Error) -> String {
    let mut text = error.to_string();
    let mut cause = error.source();
    while let Some(inner) = cause {
        let inner_text = inner.to_string();
        if !text.contains(&inner_text) {
            text = format!("{text}: {inner_text}");
        }
        cause = inner.source();
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    fn refusal(code: u16, reason: &str, message: &str) -> ClusterError {
        kube::Error::Api(Status::failure(message, reason).with_code(code).boxed()).into()
    }

    #[test]
    fn categories_follow_the_status_code() {
        let cases = [
            (403, "Forbidden", "pods is forbidden", FailureCategory::Forbidden),
            (
                403,
                "Forbidden",
                "pods is forbidden: exceeded quota: small",
                FailureCategory::Quota,
            ),
            (401, "Unauthorized", "Unauthorized", FailureCategory::Forbidden),
            (409, "Conflict", "changed", FailureCategory::Conflict),
            (422, "Invalid", "spec: Required value", FailureCategory::Invalid),
            (400, "BadRequest", "unknown field", FailureCategory::Invalid),
            (429, "TooManyRequests", "slow down", FailureCategory::Throttled),
            (500, "InternalError", "etcd", FailureCategory::Unavailable),
            (
                503,
                "ServiceUnavailable",
                "starting",
                FailureCategory::Unavailable,
            ),
            (504, "Timeout", "late", FailureCategory::Timeout),
        ];
        for (code, reason, message, category) in cases {
            let error = refusal(code, reason, message);
            assert_eq!(error.category(), category, "{code} {message}");
            assert_eq!(error.to_string(), message);
        }
    }

    #[test]
    fn fields_of_somebody_else_are_told_apart_from_a_change_meanwhile() {
        let mut status = Status::failure("Apply failed with 1 conflict", "Conflict").with_code(409);
        status.details = serde_json::from_value(serde_json::json!({
            "causes": [{"reason": "FieldManagerConflict", "message": "conflict with \"kubectl\"", "field": ".spec.ports"}],
        }))
        .ok();
        let error = ClusterError::from(kube::Error::Api(status.boxed()));
        assert_eq!(error.category(), FailureCategory::Contested);
    }

    #[test]
    fn not_found_is_told_apart() {
        assert!(
            matches!(refusal(404, "NotFound", "gone"), ClusterError::NotFound(message) if message == "gone")
        );
    }

    #[test]
    fn the_servers_own_pause_is_kept() {
        let mut status = Status::failure("slow down", "TooManyRequests").with_code(429);
        status.details =
            serde_json::from_value(serde_json::json!({"causes": [], "retryAfterSeconds": 7})).ok();
        let ClusterError::Refused { retry_after, .. } = kube::Error::Api(status.boxed()).into() else {
            panic!("a 429 is a refusal");
        };
        assert_eq!(retry_after, Some(Duration::from_secs(7)));
    }
}

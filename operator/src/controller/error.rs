//! Why a reconcile did not reach its end.

use std::time::Duration;

use platform_core::step::{ApplyFailure, FailureCategory};

use crate::cluster::ClusterError;

/// The step that failed. Every one is tried again, later and later.
#[derive(Debug, thiserror::Error)]
pub enum ReconcileError {
    /// The Platform, its objects or its pods could not be read; nothing was changed.
    #[error("{what} cannot be read")]
    Read {
        /// What was asked for.
        what: &'static str,
        /// Why.
        source: ClusterError,
    },
    /// There are no passwords to be made; nothing was changed.
    #[error("no passwords can be made")]
    NoEntropy(#[source] NoEntropy),
    /// An object could not be written; the status says so.
    #[error(transparent)]
    Write(WriteFailure),
    /// The status could not be written.
    #[error("the status cannot be written")]
    Status(#[source] ClusterError),
}

/// The system gives no random bytes, of which passwords are made.
#[derive(Debug, thiserror::Error)]
#[error("the system gives no random bytes")]
pub struct NoEntropy;

/// An object that could not be written.
#[derive(Debug, thiserror::Error)]
#[error("{} cannot be {}", .told.object, .told.action)]
pub struct WriteFailure {
    /// As the status tells it.
    pub told: ApplyFailure,
    /// Why.
    pub source: ClusterError,
}

impl ReconcileError {
    /// For `map_err` of a read.
    pub(super) fn reading(what: &'static str) -> impl FnOnce(ClusterError) -> Self {
        move |source| Self::Read { what, source }
    }

    /// The group of the failure: a label of metrics.
    pub fn category(&self) -> FailureCategory {
        self.cluster_error()
            .map_or(FailureCategory::Unavailable, ClusterError::category)
    }

    /// How long the API server asked us to wait, if it did.
    pub fn retry_after(&self) -> Option<Duration> {
        match self.cluster_error()? {
            ClusterError::Refused { retry_after, .. } => *retry_after,
            _ => None,
        }
    }

    fn cluster_error(&self) -> Option<&ClusterError> {
        match self {
            Self::Read { source, .. } | Self::Status(source) => Some(source),
            Self::Write(failure) => Some(&failure.source),
            Self::NoEntropy(_) => None,
        }
    }
}

impl WriteFailure {
    /// Whether no answer came, so that the next request would hardly get one either.
    pub(super) fn is_silence(&self) -> bool {
        matches!(
            self.source,
            ClusterError::Timeout(_) | ClusterError::Unreachable(_)
        )
    }
}

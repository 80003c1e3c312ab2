//! Leader election: the effects around [`platform_core::leader`]. Followers watch and hold their reconciles back, so that
//! one of them goes on at once.

mod leadership;

use std::time::Duration;

use k8s_openapi::api::coordination::v1::Lease;
use kube::ResourceExt as _;
use platform_core::{
    leader::{Decision, Sighting, Timing, decide},
    step::FailureCategory,
};
use tokio::time::Instant;

pub use self::leadership::Leadership;
use crate::cluster::{ClusterError, Leases};

/// Why an operator that led must end: another may lead by now, and what this one knows is old.
#[derive(Debug, thiserror::Error)]
pub enum LostLeadership {
    /// Another has the Lease.
    #[error("{holder} leads now")]
    Taken {
        /// Its identity.
        holder: String,
    },
    /// The Lease could not be renewed in time.
    #[error("the Lease could not be renewed for {} s", .after.as_secs())]
    NotRenewed {
        /// For how long it was tried.
        after: Duration,
        /// Why, the last time.
        source: ClusterError,
    },
}

/// One candidate.
pub struct Election {
    leases: Leases,
    me: String,
    timing: Timing,
    /// The Lease as it was seen last, and since when it was seen like that.
    seen: Option<(Lease, Instant)>,
}

impl Election {
    /// A candidate by the name `me`, which no other has.
    pub fn new(leases: Leases, me: String, timing: Timing) -> Self {
        Self {
            leases,
            me,
            timing,
            seen: None,
        }
    }

    /// Waits until this candidate leads.
    pub async fn win(&mut self) {
        tracing::info!(lease = %self.leases.key(), me = self.me, "waits to lead");
        loop {
            match self.round(false).await {
                Ok(Decision::Acquire | Decision::Renew) => break,
                Ok(Decision::Wait | Decision::Lost) => {}
                Err(error) => {
                    tracing::warn!(%error, lease = %self.leases.key(), "the Lease cannot be read or taken");
                }
            }
            tokio::time::sleep(self.timing.pause).await;
        }
        tracing::info!(lease = %self.leases.key(), me = self.me, "leads");
    }

    /// Renews for as long as this candidate leads.
    pub async fn hold(&mut self) -> LostLeadership {
        let mut renewed = Instant::now();
        loop {
            tokio::time::sleep(self.timing.pause).await;
            match self.round(true).await {
                Ok(Decision::Lost) => {
                    return LostLeadership::Taken {
                        holder: self.holder().to_owned(),
                    };
                }
                Ok(_) => renewed = Instant::now(),
                Err(source) if renewed.elapsed() > self.timing.renew_deadline => {
                    return LostLeadership::NotRenewed {
                        after: renewed.elapsed(),
                        source,
                    };
                }
                Err(error) => tracing::warn!(%error, lease = %self.leases.key(), "the Lease is not renewed"),
            }
        }
    }

    /// Lays the Lease down, so that the next one does not have to wait until it is free.
    pub async fn release(&mut self) {
        let mut released = self.lay_down().await;
        if released.as_ref().is_err_and(is_overtaken) {
            // A renewal was cut off before its answer came.
            released = match self.look().await {
                Ok(()) => self.lay_down().await,
                Err(error) => Err(error),
            };
        }
        if let Err(error) = released {
            tracing::warn!(%error, lease = %self.leases.key(), "the Lease was not laid down");
        }
    }

    /// Gives the Lease that was seen last to nobody, if this candidate holds it.
    async fn lay_down(&mut self) -> Result<(), ClusterError> {
        let Some((lease, _)) = self.seen.take_if(|(lease, _)| holder(lease) == self.me) else {
            return Ok(());
        };
        self.leases
            .put(Some(&lease), "", self.timing.lease)
            .await
            .map(drop)
    }

    /// One look, decision and write. A leader looks only where its write is refused: nobody else writes its Lease.
    async fn round(&mut self, leads: bool) -> Result<Decision, ClusterError> {
        if !leads || self.seen.is_none() {
            self.look().await?;
        }
        let decision = self.decide(leads);
        if !matches!(decision, Decision::Acquire | Decision::Renew) {
            return Ok(decision);
        }
        let before = self.seen.as_ref().map(|(lease, _)| lease);
        match self.leases.put(before, &self.me, self.timing.lease).await {
            Ok(lease) => {
                self.seen = Some((lease, Instant::now()));
                Ok(decision)
            }
            Err(error) if is_overtaken(&error) => {
                self.look().await?;
                match self.decide(leads) {
                    // Written by this candidate itself, in a request whose answer was lost.
                    Decision::Renew => Ok(Decision::Renew),
                    Decision::Acquire => Err(error),
                    decision => Ok(decision),
                }
            }
            Err(error) => Err(error),
        }
    }

    async fn look(&mut self) -> Result<(), ClusterError> {
        let found = self.leases.get().await?;
        self.seen = found.map(|lease| match self.seen.take() {
            Some((before, since)) if before.resource_version() == lease.resource_version() => (before, since),
            _ => (lease, Instant::now()),
        });
        Ok(())
    }

    fn decide(&self, leads: bool) -> Decision {
        let sighting = self.seen.as_ref().map(|(lease, since)| Sighting {
            holder: holder(lease),
            duration: duration(lease).unwrap_or(self.timing.lease),
            unchanged_for: since.elapsed(),
        });
        decide(sighting.as_ref(), &self.me, leads)
    }

    fn holder(&self) -> &str {
        self.seen.as_ref().map_or("", |(lease, _)| holder(lease))
    }
}

/// Whether the Lease is another one than was seen: changed, made or deleted meanwhile.
fn is_overtaken(error: &ClusterError) -> bool {
    matches!(
        error,
        ClusterError::NotFound(_)
            | ClusterError::Refused {
                category: FailureCategory::Conflict | FailureCategory::Contested,
                ..
            }
    )
}

fn holder(lease: &Lease) -> &str {
    let spec = lease.spec.as_ref();
    spec.and_then(|spec| spec.holder_identity.as_deref())
        .unwrap_or_default()
}

fn duration(lease: &Lease) -> Option<Duration> {
    let seconds = lease.spec.as_ref()?.lease_duration_seconds?;
    Some(Duration::from_secs(u64::try_from(seconds).ok()?))
}

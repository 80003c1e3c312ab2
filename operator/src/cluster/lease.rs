//! A Lease (coordination.k8s.io/v1): read, and written only onto the version that was read.

use std::time::Duration;

use k8s_openapi::{
    api::coordination::v1::{Lease, LeaseSpec},
    apimachinery::pkg::apis::meta::v1::MicroTime,
    jiff::Timestamp,
};
use kube::{Api, Client, ResourceExt as _, api::PostParams, core::ObjectMeta};

use super::{ClusterError, kube::within};

/// Shorter than the deadline of other requests: several must fit into the time that a leader has to renew.
const DEADLINE: Duration = Duration::from_secs(4);

/// Where a Lease is.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct LeaseKey {
    /// Its namespace.
    pub namespace: String,
    /// Its name.
    pub name: String,
}

impl std::fmt::Display for LeaseKey {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "Lease {}/{}", self.namespace, self.name)
    }
}

/// The requests of an election.
#[derive(Clone)]
pub struct Leases {
    api: Api<Lease>,
    key: LeaseKey,
}

impl Leases {
    /// Those about one Lease.
    pub fn new(client: Client, key: LeaseKey) -> Self {
        Self {
            api: Api::namespaced(client, &key.namespace),
            key,
        }
    }

    /// Which Lease it is about.
    pub fn key(&self) -> &LeaseKey {
        &self.key
    }

    /// The Lease; `None` when there is none.
    pub async fn get(&self) -> Result<Option<Lease>, ClusterError> {
        within(DEADLINE, self.api.get_opt(&self.key.name)).await
    }

    /// Writes `holder` (empty: nobody) for `duration` onto the version that `seen` has, or creates the Lease where none was
    /// seen. When somebody else was faster, it is refused as a conflict. Gives it as stored.
    pub async fn put(
        &self,
        seen: Option<&Lease>,
        holder: &str,
        duration: Duration,
    ) -> Result<Lease, ClusterError> {
        let before = seen.and_then(|lease| lease.spec.clone()).unwrap_or_default();
        let now = MicroTime(Timestamp::now());
        let is_renewal = before.holder_identity.as_deref() == Some(holder);
        let lease = Lease {
            metadata: ObjectMeta {
                name: Some(self.key.name.clone()),
                resource_version: seen.and_then(Lease::resource_version),
                ..ObjectMeta::default()
            },
            spec: Some(LeaseSpec {
                holder_identity: Some(holder.to_owned()),
                lease_duration_seconds: i32::try_from(duration.as_secs()).ok(),
                acquire_time: before.acquire_time.filter(|_| is_renewal).or(Some(now.clone())),
                renew_time: Some(now),
                lease_transitions: Some(before.lease_transitions.map_or(0, |count| {
                    count.saturating_add(i32::from(!is_renewal && !holder.is_empty()))
                })),
                ..LeaseSpec::default()
            }),
        };
        let parameters = PostParams::default();
        match seen {
            Some(_) => within(DEADLINE, self.api.replace(&self.key.name, &parameters, &lease)).await,
            None => within(DEADLINE, self.api.create(&parameters, &lease)).await,
        }
    }
}

//! A cluster that falls silent after a number of writes.

use std::sync::atomic::{AtomicUsize, Ordering};

use k8s_openapi::api::core::v1::Pod;
use kube::core::DynamicObject;
use platform_core::{
    api::{Platform, PlatformStatus},
    claims::Claim,
    diff::Prune,
    kinds::{Kind, ObjectKey},
    passwords::Content,
    references::Reference,
    step::EventNote,
};
use platform_operator::cluster::{Cluster, ClusterError, Contested, Found, KubeCluster, PlatformKey};

use crate::fixture::World;

/// A cluster whose writes are counted, and that falls silent after some of them.
pub(crate) struct Faulty {
    cluster: KubeCluster,
    writes: AtomicUsize,
    last: usize,
    fault: Fault,
}

#[derive(Clone, Copy, Debug)]
pub(crate) enum Fault {
    /// The write is not sent.
    BeforeWrite,
    /// The write is carried out, and its answer is lost.
    AfterWrite,
}

impl Faulty {
    pub(crate) fn after(world: &World, last: usize, fault: Fault) -> Self {
        Self {
            cluster: world.cluster(),
            writes: AtomicUsize::new(0),
            last,
            fault,
        }
    }

    pub(crate) fn counting(world: &World) -> Self {
        Self::after(world, usize::MAX, Fault::BeforeWrite)
    }

    pub(crate) fn writes(&self) -> usize {
        self.writes.load(Ordering::Relaxed)
    }

    async fn write<T>(&self, call: impl Future<Output = Result<T, ClusterError>>) -> Result<T, ClusterError> {
        let cut_off = self.writes.fetch_add(1, Ordering::Relaxed) >= self.last;
        match self.fault {
            _ if !cut_off => call.await,
            Fault::BeforeWrite => Err(ClusterError::Unreachable("cut off".into())),
            Fault::AfterWrite => {
                call.await?;
                Err(ClusterError::Unreachable("the answer was lost".into()))
            }
        }
    }
}

impl Cluster for Faulty {
    async fn get(&self, key: &PlatformKey) -> Result<Option<Found>, ClusterError> {
        self.cluster.get(key).await
    }

    async fn list(&self, platform: &Platform, kind: Kind) -> Result<Vec<DynamicObject>, ClusterError> {
        self.cluster.list(platform, kind).await
    }

    async fn pods(&self, platform: &Platform) -> Result<Vec<Pod>, ClusterError> {
        self.cluster.pods(platform).await
    }

    async fn version(&self, namespace: &str, reference: &Reference) -> Result<Option<String>, ClusterError> {
        self.cluster.version(namespace, reference).await
    }

    async fn claims(&self) -> Result<Vec<Claim>, ClusterError> {
        self.cluster.claims().await
    }

    async fn apply(
        &self,
        key: &ObjectKey,
        object: &DynamicObject,
        contested: Contested,
    ) -> Result<DynamicObject, ClusterError> {
        self.write(self.cluster.apply(key, object, contested)).await
    }

    async fn create(
        &self,
        key: &ObjectKey,
        object: &DynamicObject,
        content: &Content,
    ) -> Result<DynamicObject, ClusterError> {
        self.write(self.cluster.create(key, object, content)).await
    }

    async fn delete(&self, prune: &Prune) -> Result<(), ClusterError> {
        self.write(self.cluster.delete(prune)).await
    }

    async fn put_status(&self, platform: &Platform, status: &PlatformStatus) -> Result<String, ClusterError> {
        self.write(self.cluster.put_status(platform, status)).await
    }

    async fn publish(&self, platform: &Platform, note: &EventNote) -> Result<(), ClusterError> {
        self.cluster.publish(platform, note).await
    }
}

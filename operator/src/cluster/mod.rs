//! What the operator asks of a cluster, as a trait: the real one is [`kube::KubeCluster`], the test kit has a fake. No
//! decision is taken here. Each call is one request (a list may take several pages, a creation two) and carries its own
//! deadline.

mod connect;
mod discovery;
mod error;
mod events;
mod hearing;
mod kube;
mod lease;
mod lists;
mod reach;
mod read;
mod revisions;

use std::future::Future;

use ::kube::{ResourceExt, core::DynamicObject};
use k8s_openapi::api::core::v1::Pod;
use platform_core::{
    api::{Platform, PlatformStatus},
    claims::Claim,
    diff::Prune,
    kinds::{Kind, ObjectKey},
    passwords::Content,
    references::Reference,
    step::EventNote,
};

pub use self::{
    connect::{ConnectError, connect, connect_heard, connect_to},
    discovery::known_kinds,
    error::ClusterError,
    hearing::{Hearing, Listener, WATCH_SECONDS},
    kube::{KubeCluster, within_deadline},
    lease::{LeaseKey, Leases},
    reach::Reach,
    read::Read,
    revisions::Revisions,
};

/// The kind of Platforms, beside those of their objects.
pub const PLATFORM: &str = "Platform";

/// Where a Platform is.
#[derive(Debug, Clone, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct PlatformKey {
    /// Its namespace.
    pub namespace: String,
    /// Its name.
    pub name: String,
}

impl PlatformKey {
    /// The Platform of this name in this namespace.
    pub fn new(namespace: impl Into<String>, name: impl Into<String>) -> Self {
        Self {
            namespace: namespace.into(),
            name: name.into(),
        }
    }

    /// Where this Platform is.
    pub fn of(platform: &impl ResourceExt) -> Self {
        Self::new(platform.namespace().unwrap_or_default(), platform.name_any())
    }
}

impl std::fmt::Display for PlatformKey {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{}/{}", self.namespace, self.name)
    }
}

/// A Platform as it was read.
#[derive(Debug, Clone)]
pub struct Found {
    /// The Platform; of one whose spec is not understood the metadata and the status alone.
    pub platform: Platform,
    /// What of its spec is not understood: a field, and what is wrong with it.
    pub unreadable: Option<String>,
}

/// What becomes of fields that an object already has from somebody else.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Contested {
    /// The operator takes them: the object is its own.
    Taken,
    /// The request is refused: an object that the operator does not know must not become its own by its name alone.
    Respected,
}

/// The requests that a reconcile is made of.
///
/// All are idempotent: a call whose answer was lost can be repeated.
pub trait Cluster: Send + Sync + 'static {
    /// The Platform, at least as new as it is known to be; `None` when there is none.
    fn get(&self, key: &PlatformKey) -> impl Future<Output = Result<Option<Found>, ClusterError>> + Send;

    /// Every object of `kind` that [belongs](platform_core::ownership::belongs) to this Platform, also what an earlier one
    /// left to it. Of Secrets only the metadata: nobody here needs to know their content.
    fn list(
        &self,
        platform: &Platform,
        kind: Kind,
    ) -> impl Future<Output = Result<Vec<DynamicObject>, ClusterError>> + Send;

    /// Every pod that carries the label of this Platform's uid.
    fn pods(&self, platform: &Platform) -> impl Future<Output = Result<Vec<Pod>, ClusterError>> + Send;

    /// The version of an object that a Platform in this namespace refers to; `None` when there is none. Its content is
    /// never asked for.
    fn version(
        &self,
        namespace: &str,
        reference: &Reference,
    ) -> impl Future<Output = Result<Option<String>, ClusterError>> + Send;

    /// What the Platforms claim, as far as the operator sees them.
    fn claims(&self) -> impl Future<Output = Result<Vec<Claim>, ClusterError>> + Send;

    /// Server-side apply under the Platform's [`field_manager`](platform_core::labels::field_manager), which refuses unknown
    /// fields. Gives the object as stored.
    fn apply(
        &self,
        key: &ObjectKey,
        object: &DynamicObject,
        contested: Contested,
    ) -> impl Future<Output = Result<DynamicObject, ClusterError>> + Send;

    /// Creates a Secret with this content, then applies its metadata as [`apply`](Self::apply) does. One of the
    /// operator's own that is there already, unrecognised because a create was cut off or somebody took its labels
    /// away, keeps its content; one of somebody else is an error. Gives its metadata.
    fn create(
        &self,
        key: &ObjectKey,
        object: &DynamicObject,
        content: &Content,
    ) -> impl Future<Output = Result<DynamicObject, ClusterError>> + Send;

    /// Deletes exactly the object that was seen: uid and resourceVersion are preconditions. An object that is gone
    /// already is a success.
    fn delete(&self, prune: &Prune) -> impl Future<Output = Result<(), ClusterError>> + Send;

    /// Writes the status of this very Platform (its uid is a precondition) under
    /// [`STATUS_FIELD_MANAGER`](platform_core::labels::STATUS_FIELD_MANAGER): another manager than that of the objects.
    /// Gives the version that the Platform has then.
    fn put_status(
        &self,
        platform: &Platform,
        status: &PlatformStatus,
    ) -> impl Future<Output = Result<String, ClusterError>> + Send;

    /// Publishes an event that regards the Platform.
    fn publish(
        &self,
        platform: &Platform,
        note: &EventNote,
    ) -> impl Future<Output = Result<(), ClusterError>> + Send;
}

//! A deleted Platform leaves nothing.

use std::time::Duration;

use anyhow::Result;
use k8s_openapi::api::apps::v1::ReplicaSet;
use kube::api::{DeleteParams, ListParams};
use kube::{Api, ResourceExt};
use platform_core::kinds::Kind;
use platform_core::labels;
use tracewell_e2e::platform::{Handle, billing_alone};
use tracewell_e2e::wait::{Look, until};

/// Pods have 40 s to end, then the garbage collector takes the volumes.
const LIMIT: Duration = Duration::from_mins(3);

#[tokio::test]
async fn a_deleted_platform_leaves_no_object_behind() -> Result<()> {
    let platform = Handle::create("deletion", billing_alone()).await?;
    platform.until_ready().await?;
    let uid = platform.uid().await?;
    let owned = platform.cluster.owned_objects(&platform.namespace, &uid).await?;
    for kind in [
        Kind::ConfigMap,
        Kind::PersistentVolumeClaim,
        Kind::Service,
        Kind::Deployment,
        Kind::Pod,
    ] {
        let prefix = format!("{kind} ");
        assert!(
            owned.iter().any(|(name, _)| name.starts_with(&prefix)),
            "a running Platform has a {kind}"
        );
    }

    platform
        .api()
        .delete(&platform.name, &DeleteParams::default())
        .await?;
    let replica_sets: Api<ReplicaSet> = platform.cluster.namespaced(&platform.namespace);
    until("nothing is left of the Platform", LIMIT, async || {
        let owned = platform.cluster.owned_objects(&platform.namespace, &uid).await?;
        let selector = ListParams::default().labels(&labels::platform_selector(&uid));
        let sets = replica_sets.list(&selector).await?;
        let mut left: Vec<String> = owned.into_iter().map(|(name, _)| name).collect();
        left.extend(sets.iter().map(|set| format!("ReplicaSet {}", set.name_any())));
        left.extend(
            platform
                .api()
                .get_opt(&platform.name)
                .await?
                .map(|_| "the Platform itself".to_owned()),
        );
        Ok(if left.is_empty() {
            Look::Done(())
        } else {
            Look::NotYet(left.join(", "))
        })
    })
    .await?;
    platform.remove().await
}

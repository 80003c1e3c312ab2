//! Who writes while nobody asks for anything.

use std::collections::BTreeMap;
use std::time::Duration;

use anyhow::Result;
use kube::ResourceExt;

use crate::platform::Handle;

/// What changed in the Platform and its objects within a window: one line for each object, with the field manager
/// that wrote last.
pub async fn during(platform: &Handle, window: Duration) -> Result<Vec<String>> {
    let before = versions(platform).await?;
    // A window of time is what is measured here; there is no condition that could end it.
    tokio::time::sleep(window).await;
    let after = versions(platform).await?;
    let changed = after
        .iter()
        .filter(|(name, (version, _))| before.get(*name).map(|(old, _)| old) != Some(version));
    let gone = before
        .keys()
        .filter(|name| !after.contains_key(*name))
        .map(|name| format!("{name} was deleted"));
    Ok(changed
        .map(|(name, (_, writer))| format!("{name} by {writer}"))
        .chain(gone)
        .collect())
}

/// Version and last writer of each object.
async fn versions(platform: &Handle) -> Result<BTreeMap<String, (String, String)>> {
    let itself = platform.get().await?;
    let uid = itself.uid().unwrap_or_default();
    let mut versions = BTreeMap::from([(format!("Platform {}", platform.name), version(&itself))]);
    for (name, object) in platform.cluster.owned_objects(&platform.namespace, &uid).await? {
        versions.insert(name, version(&object));
    }
    Ok(versions)
}

fn version(object: &impl ResourceExt) -> (String, String) {
    let last = object
        .managed_fields()
        .iter()
        .max_by_key(|entry| entry.time.clone());
    let writer = last.and_then(|entry| entry.manager.clone()).unwrap_or_default();
    (object.resource_version().unwrap_or_default(), writer)
}

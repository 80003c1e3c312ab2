//! Which kinds of others' CRDs the cluster knows.

use std::collections::BTreeSet;

use ::kube::Client;
use platform_core::kinds::{KINDS, Kind};

use super::{ClusterError, kube::within_deadline};

/// The kinds of [`KINDS`] that come with a CRD and whose CRD is there. One request for each group.
pub async fn known_kinds(client: &Client) -> Result<BTreeSet<Kind>, ClusterError> {
    let optional: Vec<_> = KINDS.iter().filter(|info| !info.is_everywhere()).collect();
    let groups: BTreeSet<_> = optional
        .iter()
        .map(|info| format!("{}/{}", info.group, info.version))
        .collect();
    let mut served = BTreeSet::new();
    for group in groups {
        match within_deadline(client.list_api_group_resources(&group)).await {
            Ok(list) => served.extend(
                list.resources
                    .into_iter()
                    .map(|resource| (group.clone(), resource.name)),
            ),
            Err(ClusterError::NotFound(_)) => {}
            Err(error) => return Err(error),
        }
    }
    Ok(optional
        .into_iter()
        .filter(|info| served.contains(&(format!("{}/{}", info.group, info.version), info.plural.to_owned())))
        .map(|info| info.kind)
        .collect())
}

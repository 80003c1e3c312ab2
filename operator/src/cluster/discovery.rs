//! Which kinds of others' CRDs the cluster knows.

use std::collections::BTreeSet;

use ::kube::Client;
use platform_core::kinds::{KINDS, Kind, KindInfo};

use super::{ClusterError, kube::within_deadline};

/// The kinds of [`KINDS`] that come with a CRD and whose CRD is there: one request, and one for each group that is there.
pub async fn known_kinds(client: &Client) -> Result<BTreeSet<Kind>, ClusterError> {
    let served: BTreeSet<String> = within_deadline(client.list_api_groups())
        .await?
        .groups
        .into_iter()
        .flat_map(|group| group.versions)
        .map(|version| version.group_version)
        .collect();
    let mut kinds = BTreeSet::new();
    for group in served {
        let wanted = |info: &&KindInfo| !info.is_everywhere() && info.api_resource().api_version == group;
        if !KINDS.iter().any(|info| wanted(&info)) {
            continue;
        }
        let resources = within_deadline(client.list_api_group_resources(&group))
            .await?
            .resources;
        let is_served = |info: &&KindInfo| resources.iter().any(|resource| resource.name == info.plural);
        kinds.extend(
            KINDS
                .iter()
                .filter(wanted)
                .filter(is_served)
                .map(|info| info.kind),
        );
    }
    Ok(kinds)
}

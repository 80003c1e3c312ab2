//! Lists, of which no answer and no result is larger than it has to be: others may have made what they are full of.

use std::fmt::Debug;

use kube::{
    Api, ResourceExt,
    api::ListParams,
    core::{DynamicObject, PartialObjectMeta},
};
use platform_core::{api::Platform, kinds::Kind, labels};
use serde::de::DeserializeOwned;
use serde_json::json;

use super::{ClusterError, Read, within_deadline};

/// Objects per page of a list: bounds the memory that one answer takes, when each object is as large as the API server
/// lets it be. What most Platforms have of a kind is one page.
const PAGE_SIZE: u32 = 16;

/// The same where all of an object may be content.
const PAGE_SIZE_OF_CONTENT: u32 = 8;

/// Content of a `ConfigMap`, in bytes, that none of the operator's own has.
const BULK: usize = 256 << 10;

/// How what may belong to a Platform is listed.
pub(super) fn own(platform: &Platform, kind: Kind) -> ListParams {
    let limit = match kind {
        Kind::ConfigMap => PAGE_SIZE_OF_CONTENT,
        _ => PAGE_SIZE,
    };
    ListParams::default()
        .labels(&selector(platform, kind))
        .limit(limit)
}

/// How anything else is listed.
pub(super) fn page_by_page() -> ListParams {
    ListParams::default().limit(PAGE_SIZE)
}

/// What a list gave.
pub(super) struct Listed<T> {
    pub(super) items: Vec<T>,
    /// How new it was.
    pub(super) revision: Option<String>,
}

/// What `keep` makes of the objects on all pages of a list. A continuation that expired meanwhile fails the whole list,
/// which is then read again by the next attempt: half of an old list and half of a new one would be a cluster that never
/// was.
pub(super) async fn list_all<K, T>(
    api: &Api<Read<K>>,
    mut params: ListParams,
    keep: impl Fn(K) -> Option<T>,
) -> Result<Listed<T>, ClusterError>
where
    Read<K>: Clone + DeserializeOwned + Debug,
{
    let mut items = Vec::new();
    loop {
        let page = within_deadline(api.list(&params)).await?;
        items.extend(page.items.into_iter().filter_map(|Read(object)| keep(object)));
        match page.metadata.continue_ {
            // The token says how new the rest is.
            Some(token) if !token.is_empty() => {
                (params.resource_version, params.version_match) = (None, None);
                params = params.continue_token(&token);
            }
            _ => {
                return Ok(Listed {
                    items,
                    revision: page.metadata.resource_version,
                });
            }
        }
    }
}

/// Selects what may belong to a Platform: of the kinds that are kept also what an earlier one of the name has left. What
/// only calls itself the Platform's is not even sent.
fn selector(platform: &Platform, kind: Kind) -> String {
    if kind.info().is_kept() {
        labels::name_selector(&platform.name_any())
    } else {
        labels::platform_selector(&platform.uid().unwrap_or_default())
    }
}

/// The content of a `ConfigMap` that is too large to be of the operator's making is not looked at.
pub(super) fn without_bulk(kind: Kind, mut object: DynamicObject) -> DynamicObject {
    let size = |field: &str| -> usize {
        let entries = object.data[field].as_object().into_iter().flatten();
        entries.map(|(_, text)| text.as_str().map_or(0, str::len)).sum()
    };
    if kind == Kind::ConfigMap && size("data") + size("binaryData") > BULK {
        object.data = json!({});
    }
    object
}

pub(super) fn metadata_only(partial: PartialObjectMeta<DynamicObject>) -> DynamicObject {
    DynamicObject {
        types: None,
        metadata: partial.metadata,
        data: json!({}),
    }
}

//! Whose an object is.

use kube::ResourceExt;
use kube::core::DynamicObject;

use crate::api::Platform;
use crate::kinds::Kind;
use crate::labels;

/// Whether an object with the Platform's name as label is this very Platform's, or was left for it: of a kind that is
/// kept, by a Platform of this name that is gone and was to leave its data. An object of somebody who lives has an
/// owner.
pub fn belongs(platform: &Platform, kind: Kind, object: &DynamicObject) -> bool {
    if object.labels().get(labels::PLATFORM) != Some(&platform.name_any()) {
        return false;
    }
    is_of(platform.uid().as_deref(), object) || is_left(kind, object)
}

/// Whether the object carries this uid of a Platform.
pub(crate) fn is_of(platform_uid: Option<&str>, object: &DynamicObject) -> bool {
    object.labels().get(labels::PLATFORM_UID).map(String::as_str) == platform_uid
}

fn is_left(kind: Kind, object: &DynamicObject) -> bool {
    kind.info().is_kept()
        && object.owner_references().is_empty()
        && object.metadata.deletion_timestamp.is_none()
        && object.labels().get(labels::MANAGED_BY).map(String::as_str) == Some(labels::OPERATOR)
}

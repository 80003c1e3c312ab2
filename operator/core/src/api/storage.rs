//! Volumes, and what becomes of them.

use kube::KubeSchema;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// A volume.
#[derive(KubeSchema, Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
#[x_kube(validation = Rule::new("quantity(self.size).compareTo(quantity('128Mi')) >= 0").message("storage.size must be at least 128Mi"))]
pub struct Storage {
    /// Size in bytes, for example "1Gi"; at least 128Mi.
    #[serde(default = "one_gibibyte")]
    #[schemars(
        length(min = 1, max = 20),
        regex(pattern = r"^[0-9]+(\.[0-9]{1,3})?(Ki|Mi|Gi|Ti|k|M|G|T)?$")
    )]
    pub size: String,
    /// Storage class. Left out, it is the cluster's default.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(
        length(min = 1, max = 253),
        regex(pattern = r"^[a-z0-9]([-.a-z0-9]*[a-z0-9])?$")
    )]
    pub storage_class_name: Option<String>,
}

impl Default for Storage {
    fn default() -> Self {
        Self {
            size: one_gibibyte(),
            storage_class_name: None,
        }
    }
}

/// A claim cannot shrink, so it starts small.
fn one_gibibyte() -> String {
    "1Gi".to_owned()
}

/// What becomes of data when the Platform is deleted.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub enum DeletionPolicy {
    /// It is deleted too.
    #[default]
    Delete,
    /// Volume claims, and the passwords of a Postgres database, stay. The next Platform of the same name in the same
    /// namespace takes them over.
    RetainStorage,
}

//! One-time passwords of a device, with backup codes: one file per endpoint.

mod backup_codes;
mod begin;
mod confirm;
mod disable;
mod show;

use serde::{Deserialize, Serialize};
use tracewell_kit::docs::Routes;
use utoipa::ToSchema;
use utoipa_axum::routes;

use crate::{
    app::AppState,
    domain::{BackupCode, Password},
};

pub(super) fn add_to(routes: Routes<AppState>) -> Routes<AppState> {
    routes
        .v1(routes!(show::show, begin::begin, disable::disable))
        .v1(routes!(confirm::confirm))
        .v1(routes!(backup_codes::backup_codes))
}

/// The owner's consent.
#[derive(Debug, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub(super) struct Consent {
    pub(super) password: Password,
}

/// Codes that each let in once who has lost the device. They are shown this one time.
#[derive(Debug, Serialize, ToSchema)]
pub(super) struct BackupCodes {
    #[schema(example = json!(["k3fq-7wzm-h2ya-pd5t"]))]
    backup_codes: Vec<String>,
}

impl From<&[BackupCode]> for BackupCodes {
    fn from(codes: &[BackupCode]) -> Self {
        Self {
            backup_codes: codes.iter().map(BackupCode::expose).collect(),
        }
    }
}

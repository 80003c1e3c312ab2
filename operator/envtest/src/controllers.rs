//! Controllers of Kubernetes' own.

use std::{fs, path::Path};

use anyhow::Result;

use crate::{ControlPlane, Supervised};

/// Starts a kube-controller-manager with these controllers only; its files are kept in `folder`.
pub fn start_controllers(
    assets: &Path,
    plane: &ControlPlane,
    folder: &Path,
    controllers: &[&str],
) -> Result<Supervised> {
    let kubeconfig = folder.join("controllers.kubeconfig");
    fs::write(&kubeconfig, serde_json::to_string(plane.kubeconfig())?)?;
    Supervised::start(
        &folder.join("kube-controller-manager.log"),
        &assets.join("kube-controller-manager"),
        &[
            &format!("--kubeconfig={}", kubeconfig.display()),
            "--leader-elect=false",
            "--secure-port=0",
            &format!("--controllers={}", controllers.join(",")),
            // Its own limit of 20 requests per second would be what is measured.
            "--kube-api-qps=2000",
            "--kube-api-burst=4000",
        ],
    )
}

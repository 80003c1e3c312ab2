//! What the person who installs the operator decides once for all Platforms.

/// Settings of the operator: plain data, read by nobody but the caller.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Settings {
    /// The operator's own version; it stands in each status.
    pub operator_version: String,
    /// Registry and path of Tracewell's service images, without a slash at the end.
    pub image_repository: String,
    /// Tag of Tracewell's service images.
    pub image_tag: String,
    /// Image of a managed Jaeger.
    pub jaeger_image: String,
    /// Image of a managed PostgreSQL.
    pub postgres_image: String,
    /// Image of a managed Prometheus.
    pub prometheus_image: String,
    /// Image of the collectors.
    pub collector_image: String,
    /// How people let the operator use the Secrets of a namespace.
    pub secrets_grant: SecretsGrant,
}

/// What a `RoleBinding` is made of.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SecretsGrant {
    /// Name of the chart's `ClusterRole` for Secrets.
    pub cluster_role: String,
    /// The operator's service account: its namespace, a colon, its name.
    pub service_account: String,
}

impl SecretsGrant {
    /// The command that lets the operator use the Secrets of this namespace.
    pub fn command(&self, namespace: &str) -> String {
        format!(
            "kubectl create rolebinding tracewell-secrets --namespace {namespace} --clusterrole {} --serviceaccount {}",
            self.cluster_role, self.service_account
        )
    }
}

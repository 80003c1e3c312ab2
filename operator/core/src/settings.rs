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
}

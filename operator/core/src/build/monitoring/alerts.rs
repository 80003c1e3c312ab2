//! Alerts: few, about what people notice or what is lost unseen, and each with a page that says what to do.

use serde_json::{Value, json};

use super::select;
use crate::resolve::Resolved;

/// Where the pages are; each has the name of its alert.
const RUNBOOKS: &str = "https://github.com/tracewell/tracewell/blob/main/docs/runbooks";

struct Alert {
    /// Its name, and that of its page in docs/runbooks.
    name: &'static str,
    /// Query of what is wrong, with the word SELECTOR where the Platform's labels belong.
    query: &'static str,
    /// Minutes that it has to be wrong.
    minutes: u32,
    severity: Severity,
    /// One sentence for people.
    summary: &'static str,
}

#[derive(Clone, Copy)]
enum Severity {
    /// People have to be woken.
    Critical,
    /// Somebody should look today.
    Warning,
}

impl Severity {
    const fn as_str(self) -> &'static str {
        match self {
            Self::Critical => "critical",
            Self::Warning => "warning",
        }
    }
}

const ALERTS: &[Alert] = &[
    Alert {
        name: "TracewellPodDown",
        query: "up{SELECTOR} == 0",
        minutes: 3,
        severity: Severity::Critical,
        summary: "A pod of {{ $labels.app_kubernetes_io_name }} does not answer with its metrics.",
    },
    Alert {
        name: "TracewellErrorsHigh",
        // At least one request in ten seconds: one failure of two at night is no share to be woken for.
        query: r#"sum by (namespace, tracewell_dev_platform, app_kubernetes_io_name) (rate(http_server_request_duration_seconds_count{SELECTOR,http_response_status_code=~"5.."}[5m])) / sum by (namespace, tracewell_dev_platform, app_kubernetes_io_name) (rate(http_server_request_duration_seconds_count{SELECTOR}[5m])) > 0.05 and sum by (namespace, tracewell_dev_platform, app_kubernetes_io_name) (rate(http_server_request_duration_seconds_count{SELECTOR}[5m])) > 0.1"#,
        minutes: 5,
        severity: Severity::Critical,
        summary: "{{ $value | humanizePercentage }} of the requests to {{ $labels.app_kubernetes_io_name }} fail with 5xx.",
    },
    Alert {
        name: "TracewellLatencyHigh",
        query: "histogram_quantile(0.99, sum by (namespace, tracewell_dev_platform, app_kubernetes_io_name, le) (rate(http_server_request_duration_seconds_bucket{SELECTOR}[5m]))) > 1 and sum by (namespace, tracewell_dev_platform, app_kubernetes_io_name) (rate(http_server_request_duration_seconds_count{SELECTOR}[5m])) > 0.1",
        minutes: 10,
        severity: Severity::Warning,
        summary: "One request in a hundred to {{ $labels.app_kubernetes_io_name }} takes longer than {{ $value | humanizeDuration }}.",
    },
    Alert {
        name: "TracewellRuntimeSaturated",
        query: "rate(tokio_worker_busy_time_seconds_total{SELECTOR}[5m]) / tokio_workers{SELECTOR} > 0.9",
        minutes: 10,
        severity: Severity::Warning,
        summary: "The workers of {{ $labels.app_kubernetes_io_name }} are busy {{ $value | humanizePercentage }} of the time.",
    },
    Alert {
        name: "TracewellDatabaseConnectionsExhausted",
        query: "sum by (namespace, tracewell_dev_platform, app_kubernetes_io_name) (rate(db_client_connection_timeouts_total{SELECTOR}[5m])) > 0",
        minutes: 2,
        severity: Severity::Critical,
        summary: "Requests to {{ $labels.app_kubernetes_io_name }} get no database connection in time.",
    },
    Alert {
        name: "TracewellSpansLost",
        query: "sum by (namespace, tracewell_dev_platform, app_kubernetes_io_name, reason) (rate(telemetry_spans_dropped_total{SELECTOR}[5m])) > 0",
        minutes: 5,
        severity: Severity::Warning,
        summary: "{{ $labels.app_kubernetes_io_name }} loses spans ({{ $labels.reason }}): traces have holes.",
    },
    Alert {
        name: "TracewellSpansNotStored",
        // A collector in a pod of its own whose backend is away repeats, then its queue is full; it refuses for want of memory.
        // Jaeger's receiver has answered before its storage fails.
        query: "sum by (namespace, tracewell_dev_platform, app_kubernetes_io_name) (rate(otelcol_exporter_enqueue_failed_spans_total{SELECTOR}[5m])) > 0 or sum by (namespace, tracewell_dev_platform, app_kubernetes_io_name) (rate(otelcol_exporter_send_failed_spans_total{SELECTOR}[5m])) > 0 or sum by (namespace, tracewell_dev_platform, app_kubernetes_io_name) (rate(otelcol_receiver_refused_spans_total{SELECTOR}[5m])) > 0",
        minutes: 5,
        severity: Severity::Warning,
        summary: "{{ $labels.app_kubernetes_io_name }} does not store or pass on {{ $value | humanize }} spans a second: traces have holes.",
    },
    Alert {
        name: "TracewellTraceVolumeFills",
        query: "predict_linear(jaeger_storage_badger_key_log_bytes_available{SELECTOR}[1h], 4 * 3600) < 0",
        minutes: 15,
        severity: Severity::Critical,
        summary: "The volume of Jaeger's traces is full within four hours, as fast as it fills now; then Jaeger ends.",
    },
    Alert {
        name: "TracewellErrorReportsLost",
        query: "sum by (namespace, tracewell_dev_platform, app_kubernetes_io_name, reason) (rate(telemetry_envelopes_dropped_total{SELECTOR}[5m])) > 0",
        minutes: 5,
        severity: Severity::Warning,
        summary: "{{ $labels.app_kubernetes_io_name }} loses reports to Sentry ({{ $labels.reason }}).",
    },
    Alert {
        name: "TracewellLogLinesLost",
        query: "sum by (namespace, tracewell_dev_platform, app_kubernetes_io_name) (rate(telemetry_log_lines_dropped_total{SELECTOR}[5m])) > 0",
        minutes: 5,
        severity: Severity::Warning,
        summary: "{{ $labels.app_kubernetes_io_name }} loses log lines.",
    },
    Alert {
        name: "TracewellSigninsRefused",
        query: "sum by (namespace, tracewell_dev_platform) (rate(auth_lockouts_total{SELECTOR}[10m])) > 1",
        minutes: 5,
        severity: Severity::Warning,
        summary: "Auth refuses {{ $value | humanize }} sign-ins a second after earlier failures: somebody guesses passwords.",
    },
    Alert {
        name: "TracewellMailDelayed",
        query: "histogram_quantile(0.9, sum by (namespace, tracewell_dev_platform, le) (rate(auth_mail_delay_seconds_bucket{SELECTOR}[30m]))) > 120",
        minutes: 10,
        severity: Severity::Warning,
        summary: "Mails of auth take longer than {{ $value | humanizeDuration }}.",
    },
];

/// The rules of a Platform's alerts, as the file of a Prometheus and the spec of a `PrometheusRule` have them.
pub(in crate::build) fn alert_rules(resolved: &Resolved) -> Value {
    let rules: Vec<Value> = ALERTS
        .iter()
        .map(|alert| {
            json!({
                "alert": alert.name,
                "expr": select(alert.query, resolved),
                "for": format!("{}m", alert.minutes),
                "labels": {"severity": alert.severity.as_str()},
                "annotations": {
                    "summary": alert.summary,
                    "runbook_url": format!("{RUNBOOKS}/{}.md", alert.name),
                },
            })
        })
        .collect();
    json!({"groups": [{"name": format!("tracewell-{}", resolved.name), "rules": rules}]})
}

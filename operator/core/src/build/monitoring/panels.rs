//! What the dashboards show. Queries have the word SELECTOR where the Platform's labels belong.

/// A dashboard.
pub(super) struct Dashboard {
    /// Its place in names.
    pub(super) name: &'static str,
    pub(super) title: &'static str,
    pub(super) rows: &'static [Row],
}

/// Panels below one heading.
pub(super) struct Row {
    pub(super) title: &'static str,
    pub(super) panels: &'static [Panel],
}

/// A graph over time.
pub(super) struct Panel {
    pub(super) title: &'static str,
    /// Unit, by Grafana's name.
    pub(super) unit: &'static str,
    /// Legend and query of each line.
    pub(super) queries: &'static [(&'static str, &'static str)],
}

const fn panel(
    title: &'static str,
    unit: &'static str,
    queries: &'static [(&'static str, &'static str)],
) -> Panel {
    Panel { title, unit, queries }
}

const SERVICE: &str = "{{app_kubernetes_io_name}}";

pub(super) const DASHBOARDS: &[Dashboard] = &[SERVICES, TELEMETRY, DOMAIN];

const SERVICES: Dashboard = Dashboard {
    name: "services",
    title: "Services",
    rows: &[
        Row {
            title: "Requests",
            panels: &[
                panel(
                    "Rate",
                    "reqps",
                    &[(
                        SERVICE,
                        r#"sum by (app_kubernetes_io_name) (rate(http_server_request_duration_seconds_count{SELECTOR,app_kubernetes_io_name=~"$service"}[$__rate_interval]))"#,
                    )],
                ),
                panel(
                    "Share of failures (5xx)",
                    "percentunit",
                    &[(
                        SERVICE,
                        r#"sum by (app_kubernetes_io_name) (rate(http_server_request_duration_seconds_count{SELECTOR,app_kubernetes_io_name=~"$service",http_response_status_code=~"5.."}[$__rate_interval])) / sum by (app_kubernetes_io_name) (rate(http_server_request_duration_seconds_count{SELECTOR,app_kubernetes_io_name=~"$service"}[$__rate_interval]))"#,
                    )],
                ),
                panel(
                    "Duration, 99 of 100",
                    "s",
                    &[(
                        SERVICE,
                        r#"histogram_quantile(0.99, sum by (app_kubernetes_io_name, le) (rate(http_server_request_duration_seconds_bucket{SELECTOR,app_kubernetes_io_name=~"$service"}[$__rate_interval])))"#,
                    )],
                ),
                panel(
                    "Duration, 99 of 100, by route",
                    "s",
                    &[(
                        "{{app_kubernetes_io_name}} {{http_request_method}} {{http_route}}",
                        r#"histogram_quantile(0.99, sum by (app_kubernetes_io_name, http_request_method, http_route, le) (rate(http_server_request_duration_seconds_bucket{SELECTOR,app_kubernetes_io_name=~"$service"}[$__rate_interval])))"#,
                    )],
                ),
                panel(
                    "By status",
                    "reqps",
                    &[(
                        "{{app_kubernetes_io_name}} {{http_response_status_code}}",
                        r#"sum by (app_kubernetes_io_name, http_response_status_code) (rate(http_server_request_duration_seconds_count{SELECTOR,app_kubernetes_io_name=~"$service"}[$__rate_interval]))"#,
                    )],
                ),
                panel(
                    "Being served",
                    "short",
                    &[(
                        SERVICE,
                        r#"sum by (app_kubernetes_io_name) (http_server_active_requests{SELECTOR,app_kubernetes_io_name=~"$service"})"#,
                    )],
                ),
            ],
        },
        Row {
            title: "Calls and queries",
            panels: &[
                panel(
                    "Outgoing calls, 99 of 100",
                    "s",
                    &[(
                        "{{app_kubernetes_io_name}} to {{server_address}}",
                        r#"histogram_quantile(0.99, sum by (app_kubernetes_io_name, server_address, le) (rate(http_client_request_duration_seconds_bucket{SELECTOR,app_kubernetes_io_name=~"$service"}[$__rate_interval])))"#,
                    )],
                ),
                panel(
                    "Queries, 99 of 100",
                    "s",
                    &[(
                        "{{app_kubernetes_io_name}} {{db_operation_name}} {{db_collection_name}}",
                        r#"histogram_quantile(0.99, sum by (app_kubernetes_io_name, db_operation_name, db_collection_name, le) (rate(db_client_operation_duration_seconds_bucket{SELECTOR,app_kubernetes_io_name=~"$service"}[$__rate_interval])))"#,
                    )],
                ),
                panel(
                    "Database connections",
                    "short",
                    &[
                        (
                            "{{app_kubernetes_io_name}} {{db_client_connection_pool_name}} {{db_client_connection_state}}",
                            r#"sum by (app_kubernetes_io_name, db_client_connection_pool_name, db_client_connection_state) (db_client_connection_count{SELECTOR,app_kubernetes_io_name=~"$service"})"#,
                        ),
                        (
                            "{{app_kubernetes_io_name}} {{db_client_connection_pool_name}} waiting",
                            r#"sum by (app_kubernetes_io_name, db_client_connection_pool_name) (db_client_connection_pending_requests{SELECTOR,app_kubernetes_io_name=~"$service"})"#,
                        ),
                    ],
                ),
            ],
        },
        Row {
            title: "Runtime",
            panels: &[
                panel(
                    "CPU",
                    "short",
                    &[(
                        "{{app_kubernetes_io_name}} {{instance}}",
                        r#"rate(process_cpu_seconds_total{SELECTOR,app_kubernetes_io_name=~"$service"}[$__rate_interval])"#,
                    )],
                ),
                panel(
                    "Memory",
                    "bytes",
                    &[(
                        "{{app_kubernetes_io_name}} {{instance}}",
                        r#"process_resident_memory_bytes{SELECTOR,app_kubernetes_io_name=~"$service"}"#,
                    )],
                ),
                panel(
                    "Workers busy",
                    "percentunit",
                    &[(
                        "{{app_kubernetes_io_name}} {{instance}}",
                        r#"rate(tokio_worker_busy_time_seconds_total{SELECTOR,app_kubernetes_io_name=~"$service"}[$__rate_interval]) / tokio_workers{SELECTOR,app_kubernetes_io_name=~"$service"}"#,
                    )],
                ),
                panel(
                    "Tasks alive",
                    "short",
                    &[(
                        "{{app_kubernetes_io_name}} {{instance}}",
                        r#"tokio_tasks_alive{SELECTOR,app_kubernetes_io_name=~"$service"}"#,
                    )],
                ),
                panel(
                    "Open files",
                    "short",
                    &[(
                        "{{app_kubernetes_io_name}} {{instance}}",
                        r#"process_open_fds{SELECTOR,app_kubernetes_io_name=~"$service"}"#,
                    )],
                ),
            ],
        },
    ],
};

const TELEMETRY: Dashboard = Dashboard {
    name: "telemetry",
    title: "Telemetry",
    rows: &[
        Row {
            title: "Traces",
            panels: &[
                panel(
                    "Spans sent by services",
                    "ops",
                    &[(
                        SERVICE,
                        r#"sum by (app_kubernetes_io_name) (rate(telemetry_spans_exported_total{SELECTOR,app_kubernetes_io_name=~"$service"}[$__rate_interval]))"#,
                    )],
                ),
                panel(
                    "Spans lost by services",
                    "ops",
                    &[(
                        "{{app_kubernetes_io_name}} {{reason}}",
                        r#"sum by (app_kubernetes_io_name, reason) (rate(telemetry_spans_dropped_total{SELECTOR,app_kubernetes_io_name=~"$service"}[$__rate_interval]))"#,
                    )],
                ),
                panel(
                    "Spans at Jaeger",
                    "ops",
                    &[
                        (
                            "taken",
                            r#"sum (rate(otelcol_receiver_accepted_spans_total{SELECTOR,app_kubernetes_io_name="jaeger"}[$__rate_interval]))"#,
                        ),
                        (
                            "stored",
                            r#"sum (rate(otelcol_exporter_sent_spans_total{SELECTOR,app_kubernetes_io_name="jaeger"}[$__rate_interval]))"#,
                        ),
                    ],
                ),
                panel(
                    "Spans not stored or passed on",
                    "ops",
                    &[
                        (
                            "{{app_kubernetes_io_name}} queue full",
                            "sum by (app_kubernetes_io_name) (rate(otelcol_exporter_enqueue_failed_spans_total{SELECTOR}[$__rate_interval]))",
                        ),
                        (
                            "{{app_kubernetes_io_name}} failed",
                            "sum by (app_kubernetes_io_name) (rate(otelcol_exporter_send_failed_spans_total{SELECTOR}[$__rate_interval]))",
                        ),
                        (
                            "{{app_kubernetes_io_name}} refused",
                            "sum by (app_kubernetes_io_name) (rate(otelcol_receiver_refused_spans_total{SELECTOR}[$__rate_interval]))",
                        ),
                    ],
                ),
            ],
        },
        Row {
            title: "Errors and logs",
            panels: &[
                panel(
                    "Envelopes to Sentry",
                    "ops",
                    &[(
                        SERVICE,
                        r#"sum by (app_kubernetes_io_name) (rate(telemetry_envelopes_sent_total{SELECTOR,app_kubernetes_io_name=~"$service"}[$__rate_interval]))"#,
                    )],
                ),
                panel(
                    "Envelopes lost",
                    "ops",
                    &[(
                        "{{app_kubernetes_io_name}} {{reason}}",
                        r#"sum by (app_kubernetes_io_name, reason) (rate(telemetry_envelopes_dropped_total{SELECTOR,app_kubernetes_io_name=~"$service"}[$__rate_interval]))"#,
                    )],
                ),
                panel(
                    "Log lines lost",
                    "ops",
                    &[(
                        SERVICE,
                        r#"sum by (app_kubernetes_io_name) (rate(telemetry_log_lines_dropped_total{SELECTOR,app_kubernetes_io_name=~"$service"}[$__rate_interval]))"#,
                    )],
                ),
            ],
        },
        Row {
            title: "Metrics",
            panels: &[
                panel(
                    "Pods that answer",
                    "short",
                    &[(
                        SERVICE,
                        r#"sum by (app_kubernetes_io_name) (up{SELECTOR,app_kubernetes_io_name=~"$service"})"#,
                    )],
                ),
                panel(
                    "Samples in a scrape",
                    "short",
                    &[(
                        "{{app_kubernetes_io_name}} {{instance}}",
                        r#"scrape_samples_scraped{SELECTOR,app_kubernetes_io_name=~"$service"}"#,
                    )],
                ),
            ],
        },
    ],
};

const DOMAIN: Dashboard = Dashboard {
    name: "domain",
    title: "Accounts, messages, subscriptions",
    rows: &[
        Row {
            title: "Accounts (auth)",
            panels: &[
                panel(
                    "Sign-ins",
                    "ops",
                    &[(
                        "{{outcome}}",
                        "sum by (outcome) (rate(auth_signin_total{SELECTOR}[$__rate_interval]))",
                    )],
                ),
                panel(
                    "Refreshes",
                    "ops",
                    &[(
                        "{{outcome}}",
                        "sum by (outcome) (rate(auth_refresh_total{SELECTOR}[$__rate_interval]))",
                    )],
                ),
                panel(
                    "Attempts refused after failures",
                    "ops",
                    &[(
                        "{{scope}}",
                        "sum by (scope) (rate(auth_lockouts_total{SELECTOR}[$__rate_interval]))",
                    )],
                ),
                panel(
                    "Wait for a hash, 99 of 100",
                    "s",
                    &[(
                        "wait",
                        "histogram_quantile(0.99, sum by (le) (rate(auth_hash_wait_seconds_bucket{SELECTOR}[$__rate_interval])))",
                    )],
                ),
                panel(
                    "Mails",
                    "ops",
                    &[(
                        "{{kind}} {{outcome}}",
                        "sum by (kind, outcome) (rate(auth_mail_total{SELECTOR}[$__rate_interval]))",
                    )],
                ),
                panel(
                    "Delay of mails, 90 of 100",
                    "s",
                    &[(
                        "delay",
                        "histogram_quantile(0.9, sum by (le) (rate(auth_mail_delay_seconds_bucket{SELECTOR}[$__rate_interval])))",
                    )],
                ),
            ],
        },
        Row {
            title: "Messages (chat)",
            panels: &[panel(
                "Messages sent",
                "ops",
                &[(
                    "{{outcome}}",
                    "sum by (outcome) (rate(chat_messages_total{SELECTOR}[$__rate_interval]))",
                )],
            )],
        },
        Row {
            title: "Subscriptions (billing)",
            panels: &[panel(
                "Requests for subscriptions",
                "reqps",
                &[(
                    "{{http_request_method}} {{http_response_status_code}}",
                    r#"sum by (http_request_method, http_response_status_code) (rate(http_server_request_duration_seconds_count{SELECTOR,app_kubernetes_io_name="billing",http_route="/v1/subscriptions"}[$__rate_interval]))"#,
                )],
            )],
        },
    ],
};

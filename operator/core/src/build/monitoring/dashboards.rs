//! Dashboards as `ConfigMap`s that Grafana's sidecar finds by their label.

use std::collections::BTreeMap;

use k8s_openapi::api::core::v1::ConfigMap;
use serde_json::{Value, json};

use super::panels::{DASHBOARDS, Dashboard, Panel};
use super::select;
use crate::build::{Body, Part};
use crate::hash::short_hash_of_text;
use crate::labels::Component;
use crate::resolve::Resolved;

/// Columns of Grafana's grid.
const COLUMNS: usize = 24;
/// Columns and rows of a panel.
const WIDTH: usize = 8;
const HEIGHT: usize = 8;

/// One `ConfigMap` for each dashboard, if the Platform has them.
pub(super) fn build_dashboards(resolved: &Resolved) -> impl Iterator<Item = Part> {
    let wanted = DASHBOARDS.iter().filter(|_| resolved.metrics.dashboards);
    wanted.map(|dashboard| Part {
        name: resolved.name.dashboard(dashboard.name),
        app: Component::Dashboard.as_str().to_owned(),
        component: Component::Dashboard,
        body: Body::of(&ConfigMap {
            data: Some(BTreeMap::from([(
                // The sidecar puts the files of all ConfigMaps into one folder.
                format!("{}-{}-{}.json", resolved.namespace, resolved.name, dashboard.name),
                format!("{:#}\n", render(resolved, dashboard)),
            )])),
            ..ConfigMap::default()
        }),
    })
}

fn render(resolved: &Resolved, dashboard: &Dashboard) -> Value {
    let place = format!("{}/{}", resolved.namespace, resolved.name);
    json!({
        "uid": format!("tracewell-{}-{}", short_hash_of_text(&place), dashboard.name),
        "title": format!("Tracewell / {place} / {}", dashboard.title),
        "tags": ["tracewell"],
        "schemaVersion": 39,
        "editable": false,
        "refresh": "30s",
        "time": {"from": "now-1h", "to": "now"},
        "templating": {"list": [
            {"name": "datasource", "label": "Data source", "type": "datasource", "query": "prometheus"},
            {
                "name": "service",
                "label": "Service",
                "type": "query",
                "datasource": datasource(),
                "query": {
                    "query": select("label_values(up{SELECTOR}, app_kubernetes_io_name)", resolved),
                    "refId": "service",
                },
                "refresh": 2,
                "sort": 1,
                "includeAll": true,
                "multi": true,
                "allValue": ".+",
                "current": {"text": "All", "value": "$__all"},
            },
        ]},
        "panels": lay_out(resolved, dashboard),
    })
}

/// Each heading has the whole width, and below it stand its panels, three in a line.
fn lay_out(resolved: &Resolved, dashboard: &Dashboard) -> Vec<Value> {
    let mut laid = Vec::new();
    let mut top = 0;
    for row in dashboard.rows {
        laid.push(json!({
            "id": laid.len() + 1,
            "type": "row",
            "title": row.title,
            "collapsed": false,
            "panels": [],
            "gridPos": {"x": 0, "y": top, "w": COLUMNS, "h": 1},
        }));
        top += 1;
        for (index, panel) in row.panels.iter().enumerate() {
            let place = index * WIDTH;
            let position = json!({
                "x": place % COLUMNS, "y": top + place / COLUMNS * HEIGHT, "w": WIDTH, "h": HEIGHT,
            });
            laid.push(graph(resolved, panel, laid.len() + 1, &position));
        }
        top += (row.panels.len() * WIDTH).div_ceil(COLUMNS) * HEIGHT;
    }
    laid
}

fn graph(resolved: &Resolved, panel: &Panel, id: usize, position: &Value) -> Value {
    let targets: Vec<Value> = panel
        .queries
        .iter()
        .zip('A'..)
        .map(|((legend, query), letter)| {
            json!({
                "refId": letter,
                "datasource": datasource(),
                "expr": select(query, resolved),
                "legendFormat": legend,
            })
        })
        .collect();
    json!({
        "id": id,
        "type": "timeseries",
        "title": panel.title,
        "datasource": datasource(),
        "gridPos": position,
        "fieldConfig": {"defaults": {"unit": panel.unit, "min": 0}, "overrides": []},
        "options": {"legend": {"displayMode": "list", "placement": "bottom"}, "tooltip": {"mode": "multi"}},
        "targets": targets,
    })
}

fn datasource() -> Value {
    json!({"type": "prometheus", "uid": "${datasource}"})
}

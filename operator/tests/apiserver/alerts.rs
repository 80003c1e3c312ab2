//! The alerts, judged by Prometheus' own tool: it understands the rules, each fires when there is reason and none without,
//! and each leads to a page that is there.

use std::collections::BTreeMap;
use std::path::Path;
use std::process::Command;

use platform_envtest::assets;
use platform_operator::render::render;
use platform_testkit::example;
use serde_json::{Value, json};

use crate::fixture::settings;

/// Rules, and cases of them: a world in trouble, and one at rest.
struct Rules {
    text: String,
    cases: &'static str,
}

/// The alerts of a Platform, and those about the operator that come with its chart.
fn every_rules() -> [Rules; 2] {
    let of_platform = files()
        .remove("alerts.yml")
        .expect("a managed Prometheus has alerts");
    [
        Rules {
            text: of_platform,
            cases: include_str!("../alerts.yaml"),
        },
        Rules {
            text: include_str!("../../../charts/tracewell/files/alerts.yaml").to_owned(),
            cases: include_str!("../operator_alerts.yaml"),
        },
    ]
}

/// The files in the `ConfigMap`s of `examples/metrics.yaml`, by name.
fn files() -> BTreeMap<String, String> {
    let rendered = render(example("metrics"), &settings()).unwrap();
    let objects = rendered
        .split("---\n")
        .skip(1)
        .map(|document| serde_saphyr::from_str::<Value>(document).unwrap());
    let data = objects.flat_map(|object| object["data"].as_object().cloned().unwrap_or_default());
    data.map(|(file, text)| (file, text.as_str().unwrap_or_default().to_owned()))
        .collect()
}

fn promtool(folder: &Path, arguments: &[&str]) -> Option<String> {
    let mut command = Command::new(assets()?.join("promtool"));
    let output = command.args(arguments).current_dir(folder).output().unwrap();
    let printed = [output.stdout, output.stderr].concat();
    let printed = String::from_utf8_lossy(&printed).into_owned();
    assert!(output.status.success(), "{arguments:?}: {printed}");
    Some(printed)
}

#[test]
fn promtool_accepts_the_rules_and_they_fire_when_they_should() {
    for Rules { text, cases } in every_rules() {
        let folder = tempfile::tempdir().unwrap();
        std::fs::write(folder.path().join("alerts.yml"), &text).unwrap();
        std::fs::write(folder.path().join("cases.yml"), cases).unwrap();
        let Some(checked) = promtool(folder.path(), &["check", "rules", "alerts.yml"]) else {
            return;
        };
        let count = text.matches("alert: ").count();
        assert!(checked.contains(&format!("{count} rules found")), "{checked}");
        promtool(folder.path(), &["test", "rules", "cases.yml"]);
    }
}

#[test]
fn prometheus_understands_every_query_of_the_dashboards() {
    let mut queries = Vec::new();
    let mut files = files();
    let of_operator = include_str!("../../../charts/tracewell/files/dashboard.json");
    files.insert("tracewell-operator.json".to_owned(), of_operator.to_owned());
    let dashboards = files.iter().filter(|(file, _)| {
        Path::new(file)
            .extension()
            .is_some_and(|extension| extension == "json")
    });
    for (file, text) in dashboards {
        let dashboard: Value = serde_json::from_str(text).unwrap();
        let targets = dashboard["panels"].as_array().unwrap().iter();
        let targets = targets.flat_map(|panel| panel["targets"].as_array().into_iter().flatten());
        queries.extend(targets.map(|target| {
            target["expr"]
                .as_str()
                .expect(file)
                .replace("$__rate_interval", "5m")
        }));
    }
    assert!(queries.len() > 20, "{queries:?}");
    let rules: Vec<Value> = queries
        .iter()
        .enumerate()
        .map(|(n, query)| json!({"record": format!("q{n}"), "expr": query}))
        .collect();
    let folder = tempfile::tempdir().unwrap();
    let file = json!({"groups": [{"name": "dashboards", "rules": rules}]}).to_string();
    std::fs::write(folder.path().join("queries.yml"), file).unwrap();
    promtool(folder.path(), &["check", "rules", "queries.yml"]);
}

#[test]
fn every_alert_has_a_case_a_severity_a_summary_and_a_runbook() {
    for Rules { text, cases } in every_rules() {
        let rules: Value = serde_saphyr::from_str(&text).unwrap();
        let alerts = rules["groups"][0]["rules"].as_array().unwrap();
        assert!(alerts.len() > 3, "{alerts:?}");
        for alert in alerts {
            let name = alert["alert"].as_str().unwrap();
            assert!(
                cases.contains(&format!("alertname=\"{name}\"")),
                "no case for {name}"
            );
            assert!(["critical", "warning"].contains(&alert["labels"]["severity"].as_str().unwrap()));
            assert!(
                alert["annotations"]["summary"].as_str().unwrap().ends_with('.'),
                "{alert}"
            );
            let url = alert["annotations"]["runbook_url"].as_str().unwrap();
            let (_, page) = url.split_once("/blob/main/").unwrap();
            let page = Path::new(env!("CARGO_MANIFEST_DIR")).join("..").join(page);
            let text =
                std::fs::read_to_string(&page).unwrap_or_else(|error| panic!("{}: {error}", page.display()));
            assert!(text.starts_with(&format!("# {name}\n")), "{}", page.display());
        }
    }
}

//! Jaeger as a process, with a configuration of a Platform.

use std::{
    collections::BTreeMap,
    fs,
    path::{Path, PathBuf},
    time::{Duration, Instant},
};

use platform_envtest::{Supervised, assets, free_ports};
use reqwest::{Client, StatusCode};
use serde_json::Value;
use tempfile::TempDir;

/// The longest that anything here may take: Jaeger looks at its volume once a minute.
const PATIENCE: Duration = Duration::from_mins(2);
/// The pause between two looks.
const POLL: Duration = Duration::from_millis(50);

/// Where `jaeger` is; `None` is a loud skip.
pub(crate) fn jaeger() -> Option<PathBuf> {
    Some(assets()?.join("jaeger"))
}

/// A running one, and the folder of its files.
pub(crate) struct Running {
    process: Supervised,
    /// Ports of the loopback, by those that the configuration has.
    ports: BTreeMap<u64, u16>,
    folder: PathBuf,
    client: Client,
}

impl Running {
    /// Starts it with these variables, and waits until it says that it is well.
    pub(crate) async fn start(
        jaeger: &Path,
        folder: &TempDir,
        name: &str,
        config: &Value,
        variables: &[&str],
    ) -> Self {
        loop {
            let running = Self::spawn(jaeger, &folder.path().join(name), config, variables);
            // Jaeger says that it is well; a collector lets spans in last of all.
            let (health, well) = if running.ports.contains_key(&13_133) {
                (running.url(13_133, "/status"), StatusCode::OK)
            } else {
                (running.url(4318, "/v1/traces"), StatusCode::METHOD_NOT_ALLOWED)
            };
            let is_well = async || matches!(running.client.get(&health).send().await, Ok(answer) if answer.status() == well);
            let ends = async || running.has_lost_a_port() || is_well().await;
            running.wait_for("healthy", ends).await;
            // Ports that were free a moment ago may be somebody else's by now.
            if !running.has_lost_a_port() {
                return running;
            }
        }
    }

    fn spawn(jaeger: &Path, folder: &Path, config: &Value, variables: &[&str]) -> Self {
        fs::create_dir_all(folder).unwrap();
        let (mut config, mut ports) = (config.clone(), BTreeMap::new());
        bring_home(&mut config, folder, &mut ports);
        let file = folder.join("config.yaml");
        fs::write(&file, serde_saphyr::to_string(&config).unwrap()).unwrap();
        let option = format!("--config={}", file.display());
        let program = jaeger.display().to_string();
        let arguments = [variables, &[&program, &option]].concat();
        Self {
            process: Supervised::start(&folder.join("log"), Path::new("env"), &arguments).unwrap(),
            ports,
            folder: folder.to_owned(),
            client: Client::new(),
        }
    }

    fn log(&self) -> String {
        fs::read_to_string(self.folder.join("log")).unwrap_or_default()
    }

    fn has_lost_a_port(&self) -> bool {
        self.log().contains("address already in use")
    }

    /// Starts it where it cannot run, and waits for its last words. Files of its configuration are in its folder.
    pub(crate) async fn last_words(jaeger: &Path, folder: &TempDir, name: &str, config: &Value) -> String {
        let running = Self::spawn(jaeger, &folder.path().join(name), config, &[]);
        let said = || {
            Some(
                running
                    .log()
                    .split_once("\nError: ")?
                    .1
                    .split_once('\n')?
                    .0
                    .to_owned(),
            )
        };
        running.wait_for("at its end", async || said().is_some()).await;
        said().unwrap_or_default()
    }

    /// Where what the configuration has on this port is found.
    pub(crate) fn url(&self, port: u64, path: &str) -> String {
        format!("http://localhost:{}{path}", self.ports[&port])
    }

    /// The same port, of the loopback.
    pub(crate) fn port(&self, port: u64) -> u16 {
        self.ports[&port]
    }

    /// Waits until something is so.
    pub(crate) async fn wait_for(&self, what: &str, is_so: impl AsyncFn() -> bool) {
        let started = Instant::now();
        while !is_so().await {
            assert!(
                started.elapsed() < PATIENCE,
                "{} is not {what}:\n{}",
                self.folder.display(),
                self.log()
            );
            tokio::time::sleep(POLL).await;
        }
    }

    /// Takes spans, as services send them.
    pub(crate) async fn post(&self, spans: &Value) {
        let answer = self.client.post(self.url(4318, "/v1/traces")).json(spans);
        let answer = answer.send().await.unwrap();
        assert_eq!(answer.status(), StatusCode::OK);
    }

    /// What is stored of a trace.
    pub(crate) async fn trace(&self, trace_id: &str) -> Option<Value> {
        let url = self.url(16_686, &format!("/api/v3/traces/{trace_id}"));
        let answer = self.client.get(url).send().await.unwrap();
        if answer.status() != StatusCode::OK {
            return None;
        }
        Some(answer.json::<Value>().await.unwrap()["result"].take())
    }

    /// The trace, once it is stored.
    pub(crate) async fn wait_for_trace(&self, trace_id: &str) -> Value {
        let what = format!("the one that got trace {trace_id}");
        self.wait_for(&what, async || self.trace(trace_id).await.is_some())
            .await;
        self.trace(trace_id).await.unwrap()
    }

    /// What it says on a port of metrics.
    pub(crate) async fn metrics(&self, port: u64) -> String {
        let answer = self.client.get(self.url(port, "/metrics")).send().await.unwrap();
        answer.text().await.unwrap()
    }

    /// Ends it as a pod is ended.
    pub(crate) fn terminate(self) {
        self.process.terminate().unwrap();
    }
}

/// Changes addresses to the loopback, to a port that is free, and directories to such that can be written.
fn bring_home(config: &mut Value, folder: &Path, ports: &mut BTreeMap<u64, u16>) {
    let mut free = |port: u64| *ports.entry(port).or_insert_with(|| free_ports::<1>().unwrap()[0]);
    match config {
        Value::String(text) => {
            for everywhere in ["0.0.0.0:", "127.0.0.1:", "http://127.0.0.1:"] {
                if let Some(port) = text.strip_prefix(everywhere).and_then(|port| port.parse().ok()) {
                    *text = format!(
                        "{}:{}",
                        everywhere.replace("0.0.0.0", "127.0.0.1").trim_end_matches(':'),
                        free(port)
                    );
                    return;
                }
            }
            if text.starts_with("/etc/authorities/") || text.starts_with("/badger/") {
                *text = format!("{}{text}", folder.display());
            }
        }
        Value::Array(items) => items.iter_mut().for_each(|item| bring_home(item, folder, ports)),
        Value::Object(fields) => {
            if let (Some(port), true) = (
                fields.get("port").and_then(Value::as_u64),
                fields.contains_key("host"),
            ) {
                let port = free(port);
                fields.insert("host".to_owned(), "127.0.0.1".into());
                fields.insert("port".to_owned(), port.into());
            }
            fields
                .values_mut()
                .for_each(|field| bring_home(field, folder, ports));
        }
        _ => {}
    }
}

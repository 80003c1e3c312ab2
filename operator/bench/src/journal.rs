//! Every write to etcd, by whomever.

use std::{
    collections::BTreeMap,
    sync::{Arc, Mutex, PoisonError},
};

use anyhow::{Context as _, Result};
use base64::{Engine as _, engine::general_purpose::STANDARD};
use futures::StreamExt as _;
use serde_json::{Value, json};
use tokio::task::JoinHandle;

/// Keys under which somebody says that he is still there.
const LEASES: [&str; 3] = [
    "/registry/leases/",
    "/registry/masterleases/",
    "/registry/peerserverleases/",
];

/// Writes down the keys that are written from now on, leases left out.
pub(crate) struct Journal {
    keys: Arc<Mutex<BTreeMap<String, usize>>>,
    reader: JoinHandle<Result<()>>,
}

impl Journal {
    /// Begins to read etcd's own watch, which tells every revision.
    pub(crate) async fn open(etcd: &str) -> Result<Self> {
        let everything = json!({"create_request": {
            "key": STANDARD.encode("/registry/"), "range_end": STANDARD.encode("/registry0"),
        }});
        let answer = reqwest::Client::new()
            .post(format!("{etcd}/v3/watch"))
            .body(everything.to_string())
            .send()
            .await?
            .error_for_status()?;
        let keys = Arc::new(Mutex::new(BTreeMap::new()));
        let reader = tokio::spawn(read(answer, keys.clone()));
        Ok(Self { keys, reader })
    }

    /// How often which key was written.
    pub(crate) fn close(self) -> BTreeMap<String, usize> {
        self.reader.abort();
        std::mem::take(&mut *self.keys.lock().unwrap_or_else(PoisonError::into_inner))
    }
}

/// Reads one JSON object a line.
async fn read(answer: reqwest::Response, keys: Arc<Mutex<BTreeMap<String, usize>>>) -> Result<()> {
    let (mut chunks, mut buffer) = (answer.bytes_stream(), Vec::new());
    while let Some(chunk) = chunks.next().await {
        buffer.extend_from_slice(&chunk?);
        while let Some(end) = buffer.iter().position(|byte| *byte == b'\n') {
            let line: Vec<u8> = buffer.drain(..=end).collect();
            for key in written(&serde_json::from_slice(&line)?)? {
                let mut keys = keys.lock().unwrap_or_else(PoisonError::into_inner);
                *keys.entry(key).or_default() += 1;
            }
        }
    }
    Ok(())
}

fn written(message: &Value) -> Result<Vec<String>> {
    let mut keys = Vec::new();
    for event in message["result"]["events"].as_array().into_iter().flatten() {
        let key = event["kv"]["key"].as_str().context("an event without a key")?;
        let key = String::from_utf8(STANDARD.decode(key)?)?;
        if !LEASES.iter().any(|lease| key.starts_with(lease)) {
            keys.push(key);
        }
    }
    Ok(keys)
}

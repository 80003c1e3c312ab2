//! What the operator asked the API server for, as the API server's audit log has it.

use std::{
    collections::BTreeMap,
    fmt,
    fs::{self, File},
    io::{BufRead as _, BufReader, Seek as _, SeekFrom},
    path::{Path, PathBuf},
};

use anyhow::Result;
use serde::Deserialize;
use serde_json::json;

/// The audit log.
pub(crate) struct Audit {
    policy: PathBuf,
    log: PathBuf,
}

/// A place in the log.
#[derive(Clone, Copy)]
pub(crate) struct Mark(u64);

/// Requests, counted by verb and resource.
#[derive(Default)]
pub(crate) struct Requests(BTreeMap<(String, String), usize>);

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Event {
    verb: String,
    #[serde(default)]
    object_ref: Option<ObjectRef>,
}

#[derive(Deserialize, Default)]
struct ObjectRef {
    #[serde(default)]
    resource: String,
    #[serde(default)]
    subresource: String,
}

impl Audit {
    /// Writes down what is to be logged: the operator's lists and writes. Leases are left out, and so are questions about
    /// permissions, which are created and kept nowhere.
    pub(crate) fn prepare(folder: &Path) -> Result<Self> {
        let policy = json!({
            "apiVersion": "audit.k8s.io/v1",
            "kind": "Policy",
            "omitStages": ["RequestReceived", "ResponseStarted"],
            "rules": [
                {"level": "None", "resources": [{"group": "coordination.k8s.io"}, {"group": "authorization.k8s.io"}]},
                {"level": "Metadata", "users": ["operator"], "verbs": ["list", "create", "update", "patch", "delete"]},
                {"level": "None"},
            ],
        });
        let audit = Self {
            policy: folder.join("audit-policy.json"),
            log: folder.join("audit.log"),
        };
        fs::write(&audit.policy, policy.to_string())?;
        Ok(audit)
    }

    /// What tells kube-apiserver.
    pub(crate) fn arguments(&self) -> [String; 3] {
        [
            format!("--audit-policy-file={}", self.policy.display()),
            format!("--audit-log-path={}", self.log.display()),
            // In megabytes: at 100, its default, a new file would be begun, and a mark be lost.
            "--audit-log-maxsize=10000".to_owned(),
        ]
    }

    /// The end of the log.
    pub(crate) fn mark(&self) -> Mark {
        Mark(fs::metadata(&self.log).map_or(0, |log| log.len()))
    }

    /// What was asked for since.
    pub(crate) fn since(&self, mark: Mark) -> Result<Requests> {
        let mut requests = Requests::default();
        let Ok(mut log) = File::open(&self.log) else {
            return Ok(requests); // it is made with the first request
        };
        log.seek(SeekFrom::Start(mark.0))?;
        for line in BufReader::new(log).lines() {
            let event: Event = serde_json::from_str(&line?)?;
            let object = event.object_ref.unwrap_or_default();
            let resource = [object.resource, object.subresource].join("/");
            *requests.0.entry((event.verb, resource)).or_default() += 1;
        }
        Ok(requests)
    }
}

impl Requests {
    /// How many were lists.
    pub(crate) fn lists(&self) -> usize {
        self.count(|verb, _| verb == "list")
    }

    /// How many were writes.
    pub(crate) fn writes(&self) -> usize {
        self.count(|verb, _| verb != "list")
    }

    /// How many were writes of the Platforms' objects.
    pub(crate) fn writes_of_objects(&self) -> usize {
        self.writes() - self.writes_of_statuses() - self.writes_of_events()
    }

    fn writes_of_statuses(&self) -> usize {
        self.count(|_, resource| resource == "platforms/status")
    }

    fn writes_of_events(&self) -> usize {
        self.count(|_, resource| resource == "events/")
    }

    /// The writes as a table has them.
    pub(crate) fn written(&self) -> String {
        let (objects, statuses) = (self.writes_of_objects(), self.writes_of_statuses());
        format!("{objects} + {statuses} + {}", self.writes_of_events())
    }

    fn count(&self, wanted: impl Fn(&str, &str) -> bool) -> usize {
        let wanted = self
            .0
            .iter()
            .filter(|((verb, resource), _)| wanted(verb, resource));
        wanted.map(|(_, count)| count).sum()
    }
}

impl fmt::Display for Requests {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let texts = self
            .0
            .iter()
            .map(|((verb, resource), count)| format!("{count} {verb} {}", resource.trim_end_matches('/')));
        f.write_str(&texts.collect::<Vec<_>>().join(", "))
    }
}

//! A real etcd and kube-apiserver as plain processes on loopback.

use std::{
    net::TcpListener,
    path::{Path, PathBuf},
    process::{Child, Command, Stdio},
    time::{Duration, Instant},
};

use anyhow::{Result, anyhow, bail};
use base64::{Engine as _, engine::general_purpose::STANDARD};
use kube::{
    Client, Config,
    config::{KubeConfigOptions, Kubeconfig},
};
use ring::{
    rand::SystemRandom,
    signature::{ECDSA_P256_SHA256_ASN1_SIGNING, EcdsaKeyPair, KeyPair as _},
};
use serde_json::json;

/// The directory that holds `etcd` and `kube-apiserver`.
const ASSETS: &str = "TRACEWELL_ASSETS";

/// What service accounts do is written down, without the content.
const AUDIT_POLICY: &str = r#"
apiVersion: audit.k8s.io/v1
kind: Policy
omitStages: [RequestReceived]
rules:
  - {level: Metadata, userGroups: ["system:serviceaccounts"]}
  - {level: None}
"#;

const START_DEADLINE: Duration = Duration::from_secs(90);

/// Starts both, waits for the shell's standard input to end, stops both and removes the data. The input is a pipe that
/// this test process holds, so nothing stays behind even when the tests are killed.
const SUPERVISOR: &str = r#"
cd "$1"
"$2"/etcd --data-dir "$1/etcd" --unsafe-no-fsync --log-level error \
  --listen-client-urls "http://127.0.0.1:$3" --advertise-client-urls "http://127.0.0.1:$3" \
  --listen-peer-urls "http://127.0.0.1:$4" --initial-advertise-peer-urls "http://127.0.0.1:$4" \
  --initial-cluster "default=http://127.0.0.1:$4" >etcd.log 2>&1 &
etcd=$!
"$2"/kube-apiserver --etcd-servers "http://127.0.0.1:$3" --bind-address 127.0.0.1 --secure-port "$5" \
  --cert-dir "$1/certs" --token-auth-file "$1/tokens.csv" --authorization-mode RBAC --allow-privileged=true \
  --service-account-issuer https://kubernetes.default.svc --service-account-key-file "$1/sa.pub" \
  --service-account-signing-key-file "$1/sa.pem" --service-cluster-ip-range 10.0.0.0/24 \
  --disable-admission-plugins ServiceAccount \
  --audit-policy-file "$1/audit-policy.yaml" --audit-log-path "$1/audit.log" >apiserver.log 2>&1 &
apiserver=$!
read -r _
kill -9 $apiserver $etcd
wait
rm -rf "$1"
"#;

/// A running control plane.
#[derive(Debug)]
pub struct ControlPlane {
    kubeconfig: Kubeconfig,
    etcd: u16,
    data: PathBuf,
    /// Its pipe keeps the supervisor going.
    _supervisor: Child,
}

/// Where a test binary of the control plane or the chart is: `None` is a loud skip.
///
/// # Panics
///
/// Where `CI` is set and they are missing: there, nothing may be skipped.
pub fn assets() -> Option<PathBuf> {
    let directory = std::env::var_os(ASSETS).map(PathBuf::from);
    let complete = directory
        .as_deref()
        .is_some_and(|d| ["etcd", "kube-apiserver"].iter().all(|b| d.join(b).is_file()));
    if complete {
        return directory;
    }
    let reason = format!("{ASSETS} must name a directory with etcd and kube-apiserver; it is {directory:?}");
    assert!(std::env::var_os("CI").is_none(), "{reason}");
    eprintln!("SKIPPED, NOTHING WAS TESTED: {reason}");
    None
}

impl ControlPlane {
    /// Starts one in a directory of its own and waits until it is ready.
    pub async fn start(assets: &Path) -> Result<Self> {
        let data = tempfile::Builder::new()
            .prefix("tracewell-apiserver-")
            .tempdir()?
            .keep();
        let [etcd, peer, port] = free_ports()?;
        std::fs::write(
            data.join("tokens.csv"),
            "admin-token,admin,admin,\"system:masters\"\n",
        )?;
        std::fs::write(data.join("audit-policy.yaml"), AUDIT_POLICY)?;
        write_service_account_keys(&data)?;
        let supervisor = Command::new("sh")
            .args(["-c", SUPERVISOR, "supervisor"])
            .args([&data, &assets.canonicalize()?])
            .args([etcd, peer, port].map(|p| p.to_string()))
            .stdin(Stdio::piped())
            .spawn()?;
        let authority = data.join("certs/apiserver.crt");
        let plane = Self {
            kubeconfig: kubeconfig(port, &authority)?,
            etcd,
            data,
            _supervisor: supervisor,
        };
        plane.wait_until_ready(&authority).await?;
        Ok(plane)
    }

    /// A client of its own, since a client lives no longer than the runtime that it was made in.
    pub async fn client(&self) -> Result<Client> {
        Ok(Client::try_from(self.config().await?)?)
    }

    /// A client that acts as somebody else: `system:serviceaccount:{namespace}:{name}`.
    pub async fn client_as_service_account(&self, namespace: &str, name: &str) -> Result<Client> {
        let mut config = self.config().await?;
        config.auth_info.impersonate = Some(format!("system:serviceaccount:{namespace}:{name}"));
        config.auth_info.impersonate_groups = Some(vec![
            "system:serviceaccounts".into(),
            "system:authenticated".into(),
        ]);
        Ok(Client::try_from(config)?)
    }

    /// The administrator's kubeconfig, for programs that read one.
    pub fn kubeconfig(&self) -> &Kubeconfig {
        &self.kubeconfig
    }

    /// Where etcd listens.
    pub fn etcd(&self) -> String {
        format!("http://127.0.0.1:{}", self.etcd)
    }

    /// The requests of service accounts so far: a JSON object a line, the last one perhaps half written.
    pub fn audit_log(&self) -> Result<String> {
        Ok(std::fs::read_to_string(self.data.join("audit.log"))?)
    }

    /// The folder of its data and logs, removed when it ends.
    pub fn folder(&self) -> &Path {
        &self.data
    }

    async fn config(&self) -> Result<Config> {
        let mut config =
            Config::from_custom_kubeconfig(self.kubeconfig.clone(), &KubeConfigOptions::default()).await?;
        config.default_retry = false;
        Ok(config)
    }

    async fn wait_until_ready(&self, authority: &Path) -> Result<()> {
        let started = Instant::now();
        while !(authority.is_file() && self.is_ready().await) {
            if started.elapsed() > START_DEADLINE {
                let log = tail(&self.data.join("apiserver.log"));
                bail!("kube-apiserver is not ready after {START_DEADLINE:?}; its log ends:\n{log}");
            }
            tokio::time::sleep(Duration::from_millis(100)).await;
        }
        Ok(())
    }

    async fn is_ready(&self) -> bool {
        let Ok(client) = self.client().await else {
            return false;
        };
        let mut request = http::Request::new(Vec::new());
        *request.uri_mut() = http::Uri::from_static("/readyz");
        client.request_text(request).await.is_ok()
    }
}

fn kubeconfig(port: u16, authority: &Path) -> Result<Kubeconfig> {
    let cluster = json!({"server": format!("https://127.0.0.1:{port}"), "certificate-authority": authority});
    let kubeconfig = json!({
        "clusters": [{"name": "test", "cluster": cluster}],
        "users": [{"name": "admin", "user": {"token": "admin-token"}}],
        "contexts": [{"name": "test", "context": {"cluster": "test", "user": "admin"}}],
        "current-context": "test",
    });
    Ok(serde_json::from_value(kubeconfig)?)
}

/// All are bound at once, so that they differ.
pub fn free_ports<const N: usize>() -> Result<[u16; N]> {
    let mut listeners = Vec::with_capacity(N);
    for _ in 0..N {
        listeners.push(TcpListener::bind("127.0.0.1:0")?);
    }
    let mut ports = [0; N];
    for (port, listener) in ports.iter_mut().zip(&listeners) {
        *port = listener.local_addr()?.port();
    }
    Ok(ports)
}

/// Writes the pair of keys that sign and check service account tokens. kube-apiserver takes the public half from a
/// PKCS#8 private key only when that is RSA, hence the second file.
fn write_service_account_keys(directory: &Path) -> Result<()> {
    /// DER of a `SubjectPublicKeyInfo` for P-256 up to the point itself (RFC 5480).
    const P256_PUBLIC_KEY_PREFIX: [u8; 26] = [
        0x30, 0x59, 0x30, 0x13, 0x06, 0x07, 0x2a, 0x86, 0x48, 0xce, 0x3d, 0x02, 0x01, 0x06, 0x08, 0x2a, 0x86,
        0x48, 0xce, 0x3d, 0x03, 0x01, 0x07, 0x03, 0x42, 0x00,
    ];
    let no_key = || anyhow!("no pair of keys can be made");
    let (algorithm, random) = (&ECDSA_P256_SHA256_ASN1_SIGNING, SystemRandom::new());
    let private = EcdsaKeyPair::generate_pkcs8(algorithm, &random).map_err(|_| no_key())?;
    let pair = EcdsaKeyPair::from_pkcs8(algorithm, private.as_ref(), &random).map_err(|_| no_key())?;
    let public = [&P256_PUBLIC_KEY_PREFIX, pair.public_key().as_ref()].concat();
    std::fs::write(directory.join("sa.pem"), pem("PRIVATE KEY", private.as_ref()))?;
    std::fs::write(directory.join("sa.pub"), pem("PUBLIC KEY", &public))?;
    Ok(())
}

fn pem(label: &str, der: &[u8]) -> String {
    format!(
        "-----BEGIN {label}-----\n{}\n-----END {label}-----\n",
        STANDARD.encode(der)
    )
}

fn tail(log: &Path) -> String {
    let text = std::fs::read_to_string(log).unwrap_or_default();
    let lines: Vec<_> = text.lines().collect();
    lines[lines.len().saturating_sub(20)..].join("\n")
}

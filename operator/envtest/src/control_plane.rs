//! A real etcd and kube-apiserver as plain processes on loopback.

use std::{
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
use tracewell_e2e::ports::free_ports;

/// The directory that holds `etcd` and `kube-apiserver`.
const ASSETS: &str = "TRACEWELL_ASSETS";

const START_DEADLINE: Duration = Duration::from_secs(90);

/// Starts both, waits for the shell's standard input to end, stops both and removes the data. The input is a pipe that
/// the starting process holds, so nothing stays behind even when that is killed.
const SUPERVISOR: &str = r#"
data=$1 assets=$2 client=$3 peer=$4 port=$5
shift 5
cd "$data"
"$assets"/etcd --data-dir "$data/etcd" --unsafe-no-fsync --log-level error \
  --listen-client-urls "http://127.0.0.1:$client" --advertise-client-urls "http://127.0.0.1:$client" \
  --listen-peer-urls "http://127.0.0.1:$peer" --initial-advertise-peer-urls "http://127.0.0.1:$peer" \
  --initial-cluster "default=http://127.0.0.1:$peer" >etcd.log 2>&1 &
etcd=$!
"$assets"/kube-apiserver --etcd-servers "http://127.0.0.1:$client" --bind-address 127.0.0.1 --secure-port "$port" \
  --cert-dir "$data/certs" --token-auth-file "$data/tokens.csv" --authorization-mode RBAC --allow-privileged=true \
  --service-account-issuer https://kubernetes.default.svc --service-account-key-file "$data/sa.pub" \
  --service-account-signing-key-file "$data/sa.pem" --service-cluster-ip-range 10.0.0.0/16 \
  --disable-admission-plugins ServiceAccount "$@" >apiserver.log 2>&1 &
apiserver=$!
read -r _
kill -9 $apiserver $etcd
wait
rm -rf "$data"
"#;

/// Both may do everything; the API server can tell their requests apart.
const TOKENS: &str =
    "admin-token,admin,admin,\"system:masters\"\noperator-token,operator,operator,\"system:masters\"\n";

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
        Self::start_with(assets, &[]).await
    }

    /// The same, with more arguments for kube-apiserver.
    pub async fn start_with(assets: &Path, arguments: &[String]) -> Result<Self> {
        let data = tempfile::Builder::new()
            .prefix("tracewell-apiserver-")
            .tempdir()?
            .keep();
        let [etcd, peer, port] = free_ports()?;
        std::fs::write(data.join("tokens.csv"), TOKENS)?;
        write_service_account_keys(&data)?;
        let supervisor = Command::new("sh")
            .args(["-c", SUPERVISOR, "supervisor"])
            .args([&data, &assets.canonicalize()?])
            .args([etcd, peer, port].map(|p| p.to_string()))
            .args(arguments)
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

    /// The kubeconfig of the user `operator`, who may do as much.
    pub fn operators_kubeconfig(&self) -> Kubeconfig {
        Kubeconfig {
            current_context: Some("operator".to_owned()),
            ..self.kubeconfig.clone()
        }
    }

    /// Where etcd listens.
    pub fn etcd(&self) -> String {
        format!("http://127.0.0.1:{}", self.etcd)
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
    let user = |name| json!({"name": name, "user": {"token": format!("{name}-token")}});
    let context = |name| json!({"name": name, "context": {"cluster": "test", "user": name}});
    let kubeconfig = json!({
        "clusters": [{"name": "test", "cluster": cluster}],
        "users": [user("admin"), user("operator")],
        "contexts": [context("admin"), context("operator")],
        "current-context": "admin",
    });
    Ok(serde_json::from_value(kubeconfig)?)
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

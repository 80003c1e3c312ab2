//! What this machine offers, and what is missing, each said in one sentence before anything is built.

use std::fs;
use std::net::TcpListener;
use std::os::unix::fs::MetadataExt;
use std::path::Path;
use std::process::{Command, Stdio};

use anyhow::{Result, bail};

use crate::steps::Steps;

/// The oldest Go that the pinned modules accept.
const GO_MINIMUM: (u32, u32) = (1, 26);
/// What building the node image and running podman take; gcc builds `pause`.
pub(crate) const NODE_PACKAGES: &[Package] = &[
    package(
        "aardvark-dns",
        "test -x /usr/lib/podman/aardvark-dns || test -x /usr/libexec/podman/aardvark-dns",
    ),
    package("busybox-static", "/bin/busybox true && ! ldd /bin/busybox"),
    package("ca-certificates", "test -e /etc/ssl/certs/ca-certificates.crt"),
    package("conntrack", "conntrack --version"),
    package("debootstrap", "debootstrap --version"),
    package("gcc", "gcc --version"),
    package("iptables", "iptables --version"),
    package("jq", "jq --version"),
    package("libc6-dev", "test -e $(gcc -print-file-name=libc.a)"), // a path only if there is one
    package(
        "netavark",
        "test -x /usr/lib/podman/netavark || test -x /usr/libexec/podman/netavark",
    ),
    package("nftables", "nft --version"),
    package("podman", "podman --version"),
    package("runc", "runc --version"),
];
/// What the lints and the tests take.
pub(crate) const TEST_PACKAGES: &[Package] = &[
    // A browser, for the API documents and, with a virtual authenticator, for passkeys.
    package("chromium", "chromium --version"),
    package("chromium-driver", "chromedriver --version"),
    // The server, which the services' tests start themselves; it is not on PATH.
    package(
        "postgresql",
        "test -x \"$(ls -d /usr/lib/postgresql/*/bin | tail -1)/initdb\" || initdb --version",
    ),
    // `python3 -m venv --help` also works where the package is missing.
    package("python3-venv", "python3 -c 'import venv, ensurepip'"),
    package("shellcheck", "shellcheck --version"),
];

/// A Debian package, and how to tell that this machine has what is in it, from there or from elsewhere.
pub(crate) struct Package {
    name: &'static str,
    /// A line of shell that succeeds where it is there.
    proof: &'static str,
}

const fn package(name: &'static str, proof: &'static str) -> Package {
    Package { name, proof }
}

impl Package {
    fn is_there(&self) -> bool {
        succeeds(Command::new("sh").args(["-c", self.proof]))
    }
}

/// Linux, Go and Cargo are there.
pub(crate) fn check_toolchains() -> Result<()> {
    if std::env::consts::OS != "linux" {
        bail!(
            "the local cluster runs static Linux binaries that are built on this machine: use a Linux machine"
        );
    }
    let (major, minor) = GO_MINIMUM;
    let wanted = format!("Go {major}.{minor} or newer builds the cluster's tools");
    let Ok(printed) = Command::new("go")
        .args(["env", "GOVERSION"])
        .env("GOTOOLCHAIN", "local")
        .output()
    else {
        bail!("{wanted}, and there is no `go` on PATH: install it from https://go.dev/dl");
    };
    let printed = String::from_utf8_lossy(&printed.stdout);
    if go_version(&printed).is_none_or(|version| version < GO_MINIMUM) {
        bail!(
            "{wanted}, and `go` on PATH is {}: install a newer one from https://go.dev/dl",
            printed.trim()
        );
    }
    if Command::new("cargo").arg("--version").output().is_err() {
        bail!(
            "Cargo builds the services, and there is no `cargo` on PATH: install it from https://rustup.rs"
        );
    }
    Ok(())
}

/// `go1.26.8` → (1, 26).
fn go_version(printed: &str) -> Option<(u32, u32)> {
    let mut numbers = printed.trim().strip_prefix("go")?.split(['.', 'r', 'b']);
    Some((numbers.next()?.parse().ok()?, numbers.next()?.parse().ok()?))
}

/// Building a node image makes devices and mounts: only root may.
pub(crate) fn is_root() -> bool {
    fs::metadata("/proc/self").is_ok_and(|process| process.uid() == 0)
}

/// Installs those of the Debian packages that are missing.
pub(crate) fn install_packages(steps: &mut Steps, packages: &[Package]) -> Result<()> {
    let missing: Vec<_> = packages.iter().filter(|package| !package.is_there()).collect();
    if missing.is_empty() {
        return Ok(());
    }
    let names: Vec<_> = missing.iter().map(|package| package.name).collect();
    let list = names.join(" ");
    if !has_apt() {
        bail!("this machine has no apt-get to install what is missing; install it another way: {list}");
    }
    if !is_root() {
        bail!("Debian packages are missing and only root may install them: sudo apt-get install {list}");
    }
    steps.step(&format!("Install Debian packages: {list}"), |step| {
        step.run(Command::new("apt-get").args(["update", "-qq"]))?;
        let mut install = Command::new("apt-get");
        install
            .env("DEBIAN_FRONTEND", "noninteractive")
            .args(["install", "-y", "-qq", "--no-install-recommends"]);
        step.run(install.args(&names))?;
        match missing.iter().find(|package| !package.is_there()) {
            Some(Package { name, proof }) => bail!(
                "{name} is installed now, and yet this fails, perhaps for another program of the same name earlier on PATH: {proof}"
            ),
            None => Ok(()),
        }
    })
}

pub(crate) fn has_apt() -> bool {
    succeeds(Command::new("apt-get").arg("--version"))
}

/// Whether a command ends with exit status 0; what it prints is of no interest.
pub(crate) fn succeeds(command: &mut Command) -> bool {
    command
        .stdin(Stdio::null())
        .stdout(Stdio::null())
        .stderr(Stdio::null())
        .status()
        .is_ok_and(|status| status.success())
}

/// The host ports that the cluster will publish are free. Ask this only when our own cluster holds none of them.
pub(crate) fn check_ports(ports: &[u16]) -> Result<()> {
    for port in ports {
        if TcpListener::bind(("127.0.0.1", *port)).is_err() {
            let holder = holder_of(*port)
                .map(|name| format!(" by {name}"))
                .unwrap_or_default();
            bail!(
                "port {port} on 127.0.0.1 is taken{holder}: stop that, or change hostPort in kind-config.yaml"
            );
        }
    }
    Ok(())
}

/// Name and process id of whoever listens on a port, where `ss` can tell.
fn holder_of(port: u16) -> Option<String> {
    let output = Command::new("ss")
        .args(["-Hltnp", &format!("sport = :{port}")])
        .output()
        .ok()?;
    let printed = String::from_utf8_lossy(&output.stdout).into_owned();
    let users = printed.split_once("users:((\"")?.1;
    let (name, rest) = users.split_once('"')?;
    let pid = rest.strip_prefix(",pid=")?.split(',').next()?;
    Some(format!("{name} (process {pid})"))
}

/// A right that many sandboxes withhold; without it nobody may raise a limit or lower an OOM score.
pub(crate) fn may_raise_limits() -> bool {
    const CAP_SYS_RESOURCE: u32 = 24;
    let status = fs::read_to_string("/proc/self/status").unwrap_or_default();
    let bounding = status.lines().find_map(|line| line.strip_prefix("CapBnd:"));
    let bits = bounding
        .and_then(|hex| u64::from_str_radix(hex.trim(), 16).ok())
        .unwrap_or_default();
    bits >> CAP_SYS_RESOURCE & 1 == 1
}

/// Whether the kernel offers the unified cgroup hierarchy as the main one.
pub(crate) fn has_cgroup_v2() -> bool {
    Path::new("/sys/fs/cgroup/cgroup.controllers").exists()
}

/// A hard limit of this process (a line of /proc/self/limits).
pub(crate) fn hard_limit(line: &str) -> Option<u64> {
    let limits = fs::read_to_string("/proc/self/limits").ok()?;
    let values = limits.lines().find_map(|found| found.strip_prefix(line))?;
    values.split_whitespace().nth(1)?.parse().ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn go_versions_are_compared_as_numbers() {
        assert_eq!(go_version("go1.26.8\n"), Some((1, 26)));
        assert_eq!(go_version("go1.27rc1"), Some((1, 27)));
        assert!(go_version("go1.9").unwrap() < GO_MINIMUM);
        assert_eq!(go_version("devel +abc"), None);
    }

    #[test]
    fn a_taken_port_is_named_with_what_to_do() {
        let held = TcpListener::bind("127.0.0.1:0").unwrap();
        let port = held.local_addr().unwrap().port();
        let said = check_ports(&[port]).unwrap_err().to_string();
        assert!(
            said.contains(&port.to_string()) && said.contains("kind-config.yaml"),
            "{said}"
        );
    }

    #[test]
    fn a_package_counts_as_there_by_what_it_can_do() {
        assert!(package("coreutils-of-another-name", "true").is_there());
        assert!(!package("coreutils", "no-such-program --version").is_there());
    }
}

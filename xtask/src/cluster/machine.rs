//! What this machine offers, and what is missing, each said in one sentence before anything is built.

use std::fs;
use std::net::TcpListener;
use std::os::unix::fs::MetadataExt;
use std::path::Path;
use std::process::Command;

use anyhow::{Context, Result, bail};

use super::engine::{self, Engine, Origin};
use crate::steps::Steps;

/// The oldest Go that the pinned modules accept.
const GO_MINIMUM: (u32, u32) = (1, 26);
/// Debian packages that building the node image and running podman take; gcc builds `pause`.
pub(crate) const NODE_PACKAGES: &[&str] = &[
    "aardvark-dns",
    "busybox-static",
    "ca-certificates",
    "conntrack",
    "debootstrap",
    "gcc",
    "iptables",
    "jq",
    "libc6-dev",
    "netavark",
    "nftables",
    "podman",
    "runc",
];
/// Debian packages that the checks of `make test` take.
pub(crate) const TEST_PACKAGES: &[&str] = &["python3-venv", "shellcheck"];
/// GiB that a first run takes: Go's and Cargo's build folders, images in podman's storage, the running node.
const DISK_COLD: u64 = 22;
/// GiB that a run with a full cache takes.
const DISK_WARM: u64 = 5;

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
pub(crate) fn install_packages(steps: &mut Steps, packages: &[&str]) -> Result<()> {
    let missing: Vec<_> = packages
        .iter()
        .copied()
        .filter(|package| !is_installed(package))
        .collect();
    if missing.is_empty() {
        return Ok(());
    }
    let list = missing.join(" ");
    if !engine::succeeds(Command::new("apt-get").arg("--version")) {
        bail!("this machine has no apt-get to install what is missing; install it another way: {list}");
    }
    if !is_root() {
        bail!("Debian packages are missing and only root may install them: sudo apt-get install {list}");
    }
    steps.step(&format!("Install Debian packages: {list}"), |step| {
        let mut update = Command::new("apt-get");
        step.run(update.args(["update", "-qq"]))?;
        let mut install = Command::new("apt-get");
        install.env("DEBIAN_FRONTEND", "noninteractive");
        step.run(
            install
                .args(["install", "-y", "-qq", "--no-install-recommends"])
                .args(&missing),
        )
    })
}

/// As a Debian package, or by other means under the same name.
fn is_installed(package: &str) -> bool {
    let query = Command::new("dpkg-query")
        .args(["--show", "--showformat=${db:Status-Status}", package])
        .output();
    query.is_ok_and(|output| output.stdout == b"installed")
        || engine::succeeds(Command::new(package).arg("--version"))
}

/// Free space where the cache and the images go. `cold`: nothing was built yet.
pub(crate) fn check_disk(folder: &Path, cold: bool) -> Result<()> {
    let needed = if cold { DISK_COLD } else { DISK_WARM };
    let free = free_bytes(folder)? >> 30;
    if free < needed {
        bail!(
            "{needed} GiB of disk are needed under {} and {free} GiB are free: make room first",
            folder.display()
        );
    }
    Ok(())
}

/// Bytes that are free on the file system of `folder`.
pub(crate) fn free_bytes(folder: &Path) -> Result<u64> {
    let output = Command::new("df")
        .args(["--output=avail", "--block-size=1"])
        .arg(folder)
        .output();
    let output = output.context("cannot start df")?;
    let printed = String::from_utf8_lossy(&output.stdout);
    printed
        .lines()
        .nth(1)
        .and_then(|line| line.trim().parse().ok())
        .with_context(|| format!("df knows nothing of {}", folder.display()))
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

/// Whether this machine can do what `origin` needs.
pub(crate) fn check_rights(engine: &Engine) -> Result<()> {
    if engine.origin == Origin::Packages && !is_root() {
        bail!(
            "no image registry can be reached, so the node image is built here, which only root may do: sudo make up"
        );
    }
    Ok(())
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
        drop(held);
        check_ports(&[port]).unwrap();
    }

    #[test]
    fn too_little_disk_is_said_with_both_figures() {
        assert!(free_bytes(Path::new("/")).unwrap() > 0);
        assert!(free_bytes(Path::new("/no/such/folder")).is_err());
    }
}

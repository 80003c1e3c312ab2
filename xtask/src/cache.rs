//! The folder outside the tree where everything is kept that takes long to build, each under a hash of its inputs.

use std::fs::{self, File, Permissions, TryLockError};
use std::io;
use std::os::unix::fs::{PermissionsExt, symlink};
use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::{Context, Result, bail};
use sha2::{Digest, Sha256};

/// `${XDG_CACHE_HOME:-~/.cache}/tracewell`.
pub(crate) struct Cache {
    root: PathBuf,
}

impl Cache {
    pub(crate) fn open() -> Result<Self> {
        let base = std::env::var_os("XDG_CACHE_HOME")
            .filter(|set| !set.is_empty())
            .map(PathBuf::from)
            .or_else(|| std::env::home_dir().map(|home| home.join(".cache")));
        let root = base
            .context("neither XDG_CACHE_HOME nor HOME is set")?
            .join("tracewell");
        fs::create_dir_all(&root).with_context(|| format!("cannot create {}", root.display()))?;
        Ok(Self { root })
    }

    /// Lets one task at a time work on the cluster and the cache, and clears what a killed one left half done. The
    /// lock ends with the returned file, or with the process.
    pub(crate) fn lock(&self) -> Result<File> {
        let path = self.root.join("lock");
        let file = File::create(&path).with_context(|| format!("cannot write {}", path.display()))?;
        match file.try_lock() {
            Ok(()) => {}
            Err(TryLockError::WouldBlock) => {
                println!("Another task works on the cluster; waiting for it to end.");
                file.lock()
                    .with_context(|| format!("cannot lock {}", path.display()))?;
            }
            Err(TryLockError::Error(error)) => bail!("cannot lock {}: {error}", path.display()),
        }
        self.clear_scratch()?;
        Ok(file)
    }

    pub(crate) fn root(&self) -> &Path {
        &self.root
    }

    /// Programs under their plain names.
    pub(crate) fn programs(&self) -> PathBuf {
        self.root.join("bin")
    }

    /// Where a program of these inputs is, or will be.
    pub(crate) fn tool(&self, name: &str, fingerprint: &Fingerprint) -> PathBuf {
        self.folder(name, fingerprint).join(name)
    }

    /// Where a folder of these inputs is, or will be.
    pub(crate) fn folder(&self, name: &str, fingerprint: &Fingerprint) -> PathBuf {
        self.root.join("tools").join(format!("{name}-{fingerprint}"))
    }

    /// Puts a finished file or folder in its place at once: what is there is whole.
    #[expect(
        clippy::unused_self,
        reason = "`from` must be on the cache's file system, as its scratch folders are"
    )]
    pub(crate) fn keep(&self, from: &Path, to: &Path) -> Result<()> {
        if let Some(folder) = to.parent() {
            fs::create_dir_all(folder)?;
        }
        fs::rename(from, to).with_context(|| format!("cannot move {} to {}", from.display(), to.display()))
    }

    /// Makes a program reachable under its plain name.
    pub(crate) fn link_program(&self, name: &str, program: &Path) -> Result<()> {
        self.replace_program(name, |fresh| symlink(program, fresh))
    }

    /// Makes a script reachable under a plain name.
    pub(crate) fn write_program(&self, name: &str, script: &str) -> Result<()> {
        self.replace_program(name, |fresh| {
            fs::write(fresh, script)?;
            fs::set_permissions(fresh, Permissions::from_mode(0o755))
        })
    }

    /// At once, for somebody may be starting the old one.
    fn replace_program(&self, name: &str, make: impl FnOnce(&Path) -> io::Result<()>) -> Result<()> {
        let folder = self.programs();
        fs::create_dir_all(&folder)?;
        let fresh = folder.join(format!(".{name}"));
        let _ = fs::remove_file(&fresh); // left by a killed run, or not there
        make(&fresh)
            .and_then(|()| fs::rename(&fresh, folder.join(name)))
            .with_context(|| format!("cannot write {name} in {}", folder.display()))
    }

    /// An empty folder for one piece of work, removed when it is dropped.
    pub(crate) fn scratch(&self, name: &str) -> Result<Scratch> {
        let path = self.root.join("scratch").join(name);
        remove_folder(&path)?;
        fs::create_dir_all(&path).with_context(|| format!("cannot create {}", path.display()))?;
        Ok(Scratch(path))
    }

    fn clear_scratch(&self) -> Result<()> {
        remove_folder(&self.root.join("scratch"))
    }

    /// Removes everything; the lock is the last to go.
    pub(crate) fn remove(self) -> Result<()> {
        remove_folder(&self.root)
    }
}

/// See [`Cache::scratch`].
pub(crate) struct Scratch(PathBuf);

impl Scratch {
    pub(crate) fn path(&self) -> &Path {
        &self.0
    }
}

impl Drop for Scratch {
    fn drop(&mut self) {
        let _ = remove_folder(&self.0); // what stays is cleared by the next task
    }
}

/// Removes a folder and first unmounts what is mounted in it: a killed debootstrap leaves the kernel's own /proc and
/// /sys there, which must not be walked into.
fn remove_folder(folder: &Path) -> Result<()> {
    let mounts = fs::read_to_string("/proc/mounts").unwrap_or_default();
    let inside = mounts
        .lines()
        .filter_map(|line| line.split(' ').nth(1))
        .filter(|at| Path::new(at).starts_with(folder));
    for mount in inside.collect::<Vec<_>>().into_iter().rev() {
        let status = Command::new("umount")
            .arg(mount)
            .status()
            .context("cannot start umount")?;
        if !status.success() {
            bail!("{mount} is still mounted; unmount it, then run again");
        }
    }
    match fs::remove_dir_all(folder) {
        Err(error) if error.kind() != io::ErrorKind::NotFound => {
            Err(error).with_context(|| format!("cannot remove {}", folder.display()))
        }
        _ => Ok(()),
    }
}

/// A short hash of inputs.
#[derive(Clone, PartialEq, Eq)]
pub(crate) struct Fingerprint(String);

impl Fingerprint {
    pub(crate) fn builder() -> FingerprintBuilder {
        FingerprintBuilder(Sha256::new())
    }
}

impl std::fmt::Display for Fingerprint {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(&self.0)
    }
}

/// Collects inputs; order matters.
pub(crate) struct FingerprintBuilder(Sha256);

impl FingerprintBuilder {
    pub(crate) fn text(&mut self, text: &str) -> &mut Self {
        self.bytes(text.as_bytes())
    }

    pub(crate) fn file(&mut self, path: &Path) -> Result<&mut Self> {
        let content = fs::read(path).with_context(|| format!("cannot read {}", path.display()))?;
        Ok(self.bytes(&content))
    }

    /// The length goes in too, so that no two lists of inputs look alike.
    fn bytes(&mut self, bytes: &[u8]) -> &mut Self {
        self.0.update(bytes.len().to_le_bytes());
        self.0.update(bytes);
        self
    }

    pub(crate) fn finish(self) -> Fingerprint {
        let hash = self.0.finalize();
        let short = hash
            .iter()
            .take(6)
            .fold(0_u64, |bits, byte| bits << 8 | u64::from(*byte));
        Fingerprint(format!("{short:012x}"))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn of(parts: &[&str]) -> Fingerprint {
        let mut builder = Fingerprint::builder();
        for part in parts {
            builder.text(part);
        }
        builder.finish()
    }

    #[test]
    fn a_fingerprint_tells_lists_of_inputs_apart() {
        assert!(of(&["a", "b"]) == of(&["a", "b"]));
        assert!(of(&["a", "b"]) != of(&["ab"]));
        assert!(of(&["a", "b"]) != of(&["b", "a"]));
    }
}

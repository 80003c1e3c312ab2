//! Whether there is room for a run, asked before anything is built.

use std::fs;
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::{Context, Result, bail};

/// What a run will write somewhere.
pub(crate) struct Need {
    /// May not exist yet.
    pub(crate) folder: PathBuf,
    pub(crate) gib: u64,
}

/// A mounted file system.
struct FileSystem {
    device: u64,
    free_gib: u64,
}

/// Fails in one sentence when a file system has less room than everything together that will be written to it.
pub(crate) fn check(needs: &[Need]) -> Result<()> {
    check_on(needs, |folder| {
        let folder = existing(folder);
        let metadata =
            fs::metadata(folder).with_context(|| format!("cannot look at {}", folder.display()))?;
        Ok(FileSystem {
            device: metadata.dev(),
            free_gib: free_bytes(folder)? >> 30,
        })
    })
}

fn check_on(needs: &[Need], file_system_of: impl Fn(&Path) -> Result<FileSystem>) -> Result<()> {
    let mut groups: Vec<(FileSystem, u64, Vec<String>)> = Vec::new();
    for Need { folder, gib } in needs {
        let file_system = file_system_of(folder)?;
        let name = folder.display().to_string();
        match groups
            .iter_mut()
            .find(|(known, ..)| known.device == file_system.device)
        {
            Some((_, sum, names)) => {
                *sum += gib;
                names.push(name);
            }
            None => groups.push((file_system, *gib, vec![name])),
        }
    }
    for (FileSystem { free_gib, .. }, needed, names) in groups {
        if free_gib < needed {
            bail!(
                "{needed} GiB of disk are needed on the file system of {}, and {free_gib} GiB are free: make room first",
                names.join(" and ")
            );
        }
    }
    Ok(())
}

/// The folder, or the nearest one above it that exists.
fn existing(folder: &Path) -> &Path {
    folder
        .ancestors()
        .find(|ancestor| ancestor.exists())
        .unwrap_or(Path::new("/"))
}

/// Bytes that are free on the file system of `folder`.
pub(crate) fn free_bytes(folder: &Path) -> Result<u64> {
    let output = Command::new("df")
        .args(["--output=avail", "--block-size=1"])
        .arg(folder)
        .output()
        .context("cannot start df")?;
    let printed = String::from_utf8_lossy(&output.stdout);
    printed
        .lines()
        .nth(1)
        .and_then(|line| line.trim().parse().ok())
        .with_context(|| format!("df knows nothing of {}", folder.display()))
}

#[cfg(test)]
mod tests {
    use super::*;

    /// `/big/…` has 30 GiB free, anything else 6.
    fn disk_of(folder: &Path) -> FileSystem {
        let (device, free_gib) = if folder.starts_with("/big") {
            (1, 30)
        } else {
            (2, 6)
        };
        FileSystem { device, free_gib }
    }

    fn need(folder: &str, gib: u64) -> Need {
        Need {
            folder: folder.into(),
            gib,
        }
    }

    #[test]
    fn what_goes_to_one_file_system_is_added_up() {
        check_on(&[need("/big/a", 20), need("/small/c", 6)], |folder| {
            Ok(disk_of(folder))
        })
        .unwrap();
        let said = check_on(
            &[need("/big/a", 20), need("/small/c", 6), need("/big/b", 11)],
            |folder| Ok(disk_of(folder)),
        )
        .unwrap_err()
        .to_string();
        assert_eq!(
            said,
            "31 GiB of disk are needed on the file system of /big/a and /big/b, and 30 GiB are free: make room first"
        );
    }

    #[test]
    fn a_folder_that_is_not_there_yet_is_on_the_file_system_of_the_one_above() {
        check(&[need("/proc/no/such/folder", 0)]).unwrap();
        assert!(check(&[need("/no/such/folder", u64::MAX)]).is_err());
    }
}

//! Files that hold a key: readable by their owner only.

use std::{
    fs::OpenOptions,
    io::{Result, Write as _},
    os::unix::fs::OpenOptionsExt as _,
    path::Path,
};

/// Writes `content` into a new file that only its owner may read; fails where `path` exists.
pub fn create(path: &Path, content: &[u8]) -> Result<()> {
    OpenOptions::new()
        .write(true)
        .create_new(true)
        .mode(0o600)
        .open(path)?
        .write_all(content)
}

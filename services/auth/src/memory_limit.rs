//! How much memory this process may have: the limit of its cgroup, which is a container's.

use std::fs;

/// The unified hierarchy, then the older one; each as a container sees its own.
const FILES: [&str; 2] = [
    "/sys/fs/cgroup/memory.max",
    "/sys/fs/cgroup/memory/memory.limit_in_bytes",
];

/// The limit in bytes; `None`: there is none.
pub(crate) fn memory_limit() -> Option<u64> {
    FILES
        .iter()
        .find_map(|file| fs::read_to_string(file).ok())
        .and_then(|text| read(&text))
}

/// `max`, or in the older hierarchy a number that no machine has, says that there is no limit.
fn read(text: &str) -> Option<u64> {
    const NONE: u64 = 1 << 60;
    text.trim().parse().ok().filter(|limit| *limit < NONE)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_limit_is_told_from_none() {
        assert_eq!(read("268435456\n"), Some(256 << 20));
        assert_eq!(read("max\n"), None);
        assert_eq!(read("9223372036854771712\n"), None);
    }
}

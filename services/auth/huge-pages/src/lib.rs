//! Memory in huge pages, for what reads it in no order.
//!
//! A program that jumps about in 19 MiB misses the translation of addresses (TLB) with every jump where a page has 4 KiB; with 2 MiB
//! each, ten entries are enough. Most distributions give such pages to those who ask (`madvise` in
//! `/sys/kernel/mm/transparent_hugepage/enabled`; see the kernel's admin-guide/mm/transhuge.rst), and this is how to ask.
//!
//! This is a crate of its own because of the one call that is unsafe code.

use std::{ffi::c_void, io, mem::MaybeUninit, ptr::NonNull};

use nix::{
    sys::mman::{MmapAdvise, madvise},
    unistd::{SysconfVar, sysconf},
};

/// Asks for huge pages under `memory`, which was not written to yet: only pages that the kernel gives from now on are huge, and
/// only whole ones that lie within. What is in the memory, and what may be done with it, stays as it is; where the kernel has no
/// such pages, so does the rest.
pub fn ask<T>(memory: &mut [MaybeUninit<T>]) -> io::Result<()> {
    let page = sysconf(SysconfVar::PAGE_SIZE)?.and_then(|size| usize::try_from(size).ok());
    let page = page.ok_or_else(|| io::Error::from(io::ErrorKind::Unsupported))?;
    let (start, length) = (memory.as_mut_ptr().cast::<c_void>(), size_of_val(memory));
    let lead = start.align_offset(page);
    let whole = length.saturating_sub(lead) / page * page;
    let Some(first) = NonNull::new(start.wrapping_byte_add(lead)).filter(|_| whole > 0) else {
        return Ok(());
    };
    #[expect(unsafe_code, reason = "the kernel is told of memory by its address")]
    // SAFETY: these pages are within memory that is borrowed, and this advice changes neither what is in them nor how they may
    // be used.
    unsafe { madvise(first, whole, MmapAdvise::MADV_HUGEPAGE) }?;
    Ok(())
}

#[cfg(test)]
mod tests {
    use std::fs;

    use super::*;

    /// Bytes of this process in huge pages.
    fn huge() -> u64 {
        let smaps = fs::read_to_string("/proc/self/smaps_rollup").unwrap();
        let line = smaps.lines().find_map(|line| line.strip_prefix("AnonHugePages:"));
        let kibibytes = line.unwrap().trim().trim_end_matches(" kB").parse::<u64>().unwrap();
        kibibytes << 10
    }

    #[test]
    fn what_was_asked_for_is_given_where_the_kernel_has_it() {
        const SIZE: usize = 16 << 20;
        let modes = fs::read_to_string("/sys/kernel/mm/transparent_hugepage/enabled").unwrap_or_default();
        let mut memory = Vec::<u64>::with_capacity(SIZE / size_of::<u64>());
        if modes.contains("[always]") || modes.contains("[madvise]") {
            ask(memory.spare_capacity_mut()).unwrap();
        }
        memory.resize(memory.capacity(), 7);
        assert!(memory.iter().all(|word| *word == 7));
        if modes.contains("[madvise]") {
            assert!(huge() > 0, "16 MiB have whole huge pages within");
        }
    }

    #[test]
    fn what_has_no_whole_page_is_left_alone() {
        ask::<u8>(&mut []).unwrap();
        ask(&mut [MaybeUninit::<u64>::uninit(); 8]).unwrap();
    }
}

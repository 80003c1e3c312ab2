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

/// Bytes of a huge page, on x86-64 and where arm64 has pages of 4 KiB. Elsewhere memory that begins at a multiple of it is as good as any.
pub const SIZE: usize = 2 << 20;

/// How many of the values that may be put at `start` come before the first in the next huge page, which the kernel can only have whole.
pub fn lead<T>(start: *const T) -> usize {
    let before = start.addr().next_multiple_of(SIZE) - start.addr();
    before.div_ceil(size_of::<T>().max(1))
}

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

    /// Whether the kernel knows that huge pages are wanted at this address: `hg` in `proc_pid_smaps(5)`.
    fn is_asked_for(address: usize) -> bool {
        let smaps = fs::read_to_string("/proc/self/smaps").unwrap();
        let hex = |text| usize::from_str_radix(text, 16).ok();
        let mut is_within = false;
        for line in smaps.lines() {
            let range = line.split(' ').next().and_then(|range| range.split_once('-'));
            if let Some((Some(start), Some(end))) = range.map(|(start, end)| (hex(start), hex(end))) {
                is_within = (start..end).contains(&address);
            } else if let Some(flags) = line.strip_prefix("VmFlags:").filter(|_| is_within) {
                return flags.split_whitespace().any(|flag| flag == "hg");
            }
        }
        false
    }

    #[test]
    fn the_kernel_is_asked_and_the_memory_is_as_good_as_before() {
        const SIZE: usize = 16 << 20;
        // A kernel that is built without them refuses.
        if !fs::exists("/sys/kernel/mm/transparent_hugepage").unwrap() {
            eprintln!("SKIPPED: this kernel has no transparent huge pages");
            return;
        }
        let mut memory = Vec::<u64>::with_capacity(SIZE / size_of::<u64>());
        let middle = memory.as_ptr().addr() + SIZE / 2;
        assert!(!is_asked_for(middle));
        ask(memory.spare_capacity_mut()).unwrap();
        assert!(is_asked_for(middle));
        memory.resize(memory.capacity(), 7);
        assert!(memory.iter().all(|word| *word == 7));
    }

    #[test]
    fn a_lead_ends_in_the_first_value_of_a_huge_page() {
        let at = |address: usize| lead(std::ptr::without_provenance::<[u8; 1024]>(address));
        assert_eq!(at(SIZE), 0);
        assert_eq!(at(SIZE + 64), SIZE / 1024);
        assert_eq!(at(2 * SIZE - 1024), 1);
        assert_eq!(at(2 * SIZE - 1025), 2);
    }

    #[test]
    fn what_has_no_whole_page_is_left_alone() {
        ask::<u8>(&mut []).unwrap();
        ask(&mut [MaybeUninit::<u64>::uninit(); 8]).unwrap();
    }
}

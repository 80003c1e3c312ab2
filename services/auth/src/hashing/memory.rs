//! The memory that one hash after the other is computed in.
//!
//! Fresh memory for each hash would not be bounded by the number of hashes: glibc keeps what a thread frees in
//! that thread's arena, 19 MiB in every thread that ever hashed.

use argon2::Block;
use zeroize::Zeroize as _;

/// The memory of one thread.
pub(super) struct Memory {
    blocks: Vec<Block>,
    /// How many blocks it keeps: a stored hash may take more than those made now.
    kept: usize,
}

/// Blocks to be had beyond so many, in order to begin where a huge page does: none where they are less than one.
fn slack(count: usize) -> usize {
    let page = tracewell_huge_pages::SIZE / Block::SIZE;
    if count < page { 0 } else { page }
}

impl Memory {
    /// Takes its blocks when it is first used, and keeps so many.
    pub(super) fn new(kept: usize) -> Self {
        Self {
            blocks: Vec::new(),
            kept,
        }
    }

    /// At least `count` blocks, in which is whatever was left in them: a hash writes each before it reads it.
    pub(super) fn blocks(&mut self, count: usize) -> &mut [Block] {
        if self.blocks.len() < self.lead(count) + count {
            self.erase();
            // To make it grow would copy it, into small pages.
            self.blocks = Vec::new();
            self.blocks.reserve_exact(count + slack(count));
            // A hash jumps about in it. Where there are none, it takes a tenth longer.
            let _ = tracewell_huge_pages::ask(self.blocks.spare_capacity_mut());
            self.blocks.resize(self.lead(count) + count, Block::new());
        }
        let lead = self.lead(count);
        &mut self.blocks[lead..]
    }

    /// How many blocks are left out before so many, so that these begin with a huge page: where they begin and end amid one, a tenth
    /// to a fifth of them is in small pages.
    fn lead(&self, count: usize) -> usize {
        slack(count).min(tracewell_huge_pages::lead(self.blocks.as_ptr()))
    }

    /// Leaves nothing in the blocks: from them a password can be guessed much faster than from its hash.
    pub(super) fn wipe(&mut self) {
        self.erase();
        if self.blocks.len() > self.lead(self.kept) + self.kept {
            self.blocks = Vec::new();
        }
    }

    fn erase(&mut self) {
        self.blocks.iter_mut().for_each(Block::zeroize);
    }

    #[cfg(test)]
    pub(super) fn is_wiped(&self) -> bool {
        let words = |block: &Block| block.as_ref().iter().all(|word| *word == 0);
        self.blocks.iter().all(words)
    }

    #[cfg(test)]
    pub(super) fn capacity(&self) -> usize {
        self.blocks.capacity()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn blocks_begin_with_a_huge_page_where_they_fill_one() {
        let page = tracewell_huge_pages::SIZE;
        let mut memory = Memory::new(3 * page / Block::SIZE);
        let blocks = memory.blocks(memory.kept);
        assert!(blocks.as_ptr().addr() % page < Block::SIZE);
        assert!(blocks.len() >= 3 * page / Block::SIZE);
        let kept = memory.blocks.len();
        memory.wipe();
        assert_eq!(memory.blocks.len(), kept, "it is for the next one");
    }
}

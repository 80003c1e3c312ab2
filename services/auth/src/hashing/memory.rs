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
        if self.blocks.len() < count {
            self.blocks.reserve_exact(count - self.blocks.len());
            // A hash jumps about in it. Where there are none, it takes a tenth longer.
            let _ = tracewell_huge_pages::ask(self.blocks.spare_capacity_mut());
            self.blocks.resize(count, Block::new());
        }
        &mut self.blocks
    }

    /// Leaves nothing in the blocks: from them a password can be guessed much faster than from its hash.
    pub(super) fn wipe(&mut self) {
        for block in &mut self.blocks {
            block.zeroize();
        }
        self.blocks.truncate(self.kept);
        self.blocks.shrink_to_fit();
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

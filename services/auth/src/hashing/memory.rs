//! The memory that hashes are computed in: one block vector for each hash that may run, used again and again.
//!
//! Fresh memory for each hash would not be bounded by the number of hashes: glibc keeps what a thread frees in
//! that thread's arena, 19 MiB in every thread that ever hashed.

use std::sync::{Arc, Mutex, PoisonError};

use argon2::Block;
use tokio::sync::{OwnedSemaphorePermit, Semaphore};
use zeroize::Zeroize as _;

/// The block vectors that no hash is using.
type Idle = Arc<Mutex<Vec<Vec<Block>>>>;

/// Memory for a fixed number of hashes at a time. Clones share it.
#[derive(Clone)]
pub(super) struct Memory {
    blocks: usize,
    permits: Arc<Semaphore>,
    idle: Idle,
}

impl Memory {
    /// Memory for `slots` hashes of `blocks` blocks each; a slot takes its blocks when it is first used.
    pub(super) fn new(slots: usize, blocks: usize) -> Self {
        Self {
            blocks,
            permits: Arc::new(Semaphore::new(slots)),
            idle: Arc::new(Mutex::new((0..slots).map(|_| Vec::new()).collect())),
        }
    }

    /// Waits for a free slot.
    pub(super) async fn slot(&self) -> Slot {
        let permit = Arc::clone(&self.permits).acquire_owned().await.ok();
        let blocks = lock(&self.idle).pop().unwrap_or_default();
        Slot {
            blocks,
            kept: self.blocks,
            idle: Arc::clone(&self.idle),
            _permit: permit,
        }
    }

    #[cfg(test)]
    pub(super) fn idle_blocks(&self) -> Vec<usize> {
        lock(&self.idle).iter().map(Vec::capacity).collect()
    }
}

/// Memory for one hash, given back when dropped.
pub(super) struct Slot {
    blocks: Vec<Block>,
    /// How many blocks the slot keeps: a stored hash may have taken more than those made now.
    kept: usize,
    idle: Idle,
    /// Dropped after the blocks are back, so that there is always a vector for a permit.
    _permit: Option<OwnedSemaphorePermit>,
}

impl Slot {
    /// At least `count` blocks, with what an earlier hash left in them wiped.
    pub(super) fn blocks(&mut self, count: usize) -> &mut [Block] {
        if self.blocks.len() < count {
            self.blocks.reserve_exact(count - self.blocks.len());
            self.blocks.resize(count, Block::new());
        }
        &mut self.blocks
    }
}

impl Drop for Slot {
    fn drop(&mut self) {
        // From the blocks a password can be guessed much faster than from its hash.
        for block in &mut self.blocks {
            block.zeroize();
        }
        self.blocks.truncate(self.kept);
        self.blocks.shrink_to_fit();
        lock(&self.idle).push(std::mem::take(&mut self.blocks));
    }
}

fn lock(idle: &Mutex<Vec<Vec<Block>>>) -> std::sync::MutexGuard<'_, Vec<Vec<Block>>> {
    idle.lock().unwrap_or_else(PoisonError::into_inner)
}

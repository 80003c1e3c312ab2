//! Where handlers leave their samples: slots of atomic numbers, each written by one handler and emptied by the reader.

use std::{
    sync::atomic::{AtomicU8, AtomicU64, AtomicUsize, Ordering},
    time::{Duration, SystemTime, UNIX_EPOCH},
};

use crate::{CAPACITY, MAX_DEPTH, Sample};

const FREE: u8 = 0;
const WRITING: u8 = 1;
const READY: u8 = 2;

pub(crate) struct Ring {
    slots: [Slot; CAPACITY],
    next: AtomicUsize,
    lost: AtomicU64,
}

/// All zeros, so that it costs no memory before it is used.
struct Slot {
    state: AtomicU8,
    /// Nanoseconds since 1970.
    time: AtomicU64,
    thread: AtomicU64,
    depth: AtomicUsize,
    addresses: [AtomicUsize; MAX_DEPTH],
}

impl Slot {
    const fn new() -> Self {
        Self {
            state: AtomicU8::new(FREE),
            time: AtomicU64::new(0),
            thread: AtomicU64::new(0),
            depth: AtomicUsize::new(0),
            addresses: [const { AtomicUsize::new(0) }; MAX_DEPTH],
        }
    }
}

impl Ring {
    #[expect(
        clippy::large_stack_arrays,
        reason = "evaluated by the compiler, into a static"
    )]
    pub(crate) const fn new() -> Self {
        Self {
            slots: [const { Slot::new() }; CAPACITY],
            next: AtomicUsize::new(0),
            lost: AtomicU64::new(0),
        }
    }

    /// Stores a sample, or counts it as lost. Safe in a signal handler: no lock, no memory, no waiting.
    pub(crate) fn store(&self, thread: u64, time: SystemTime, addresses: impl Iterator<Item = usize>) {
        let place = self.next.fetch_add(1, Ordering::Relaxed) % CAPACITY;
        let slot = &self.slots[place];
        let claimed = slot
            .state
            .compare_exchange(FREE, WRITING, Ordering::Acquire, Ordering::Relaxed);
        if claimed.is_err() {
            self.lost.fetch_add(1, Ordering::Relaxed);
            return;
        }
        let mut depth = 0;
        for (word, address) in slot.addresses.iter().zip(addresses) {
            word.store(address, Ordering::Relaxed);
            depth += 1;
        }
        let time = time.duration_since(UNIX_EPOCH).unwrap_or_default().as_nanos();
        slot.time
            .store(u64::try_from(time).unwrap_or(u64::MAX), Ordering::Relaxed);
        slot.thread.store(thread, Ordering::Relaxed);
        slot.depth.store(depth, Ordering::Relaxed);
        slot.state.store(READY, Ordering::Release);
    }

    /// Hands every sample that is ready to `give`, and frees its slot.
    pub(crate) fn take(&self, mut give: impl FnMut(Sample)) {
        for slot in &self.slots {
            if slot.state.load(Ordering::Acquire) != READY {
                continue;
            }
            let depth = slot.depth.load(Ordering::Relaxed);
            let addresses = slot.addresses.iter().take(depth);
            give(Sample {
                time: UNIX_EPOCH + Duration::from_nanos(slot.time.load(Ordering::Relaxed)),
                thread: slot.thread.load(Ordering::Relaxed),
                addresses: addresses.map(|word| word.load(Ordering::Relaxed)).collect(),
            });
            slot.state.store(FREE, Ordering::Release);
        }
    }

    pub(crate) fn take_lost(&self) -> u64 {
        self.lost.swap(0, Ordering::Relaxed)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_does_not_fit_is_counted_and_room_comes_back() {
        static RING: Ring = Ring::new();
        let now = UNIX_EPOCH + Duration::from_nanos(5_000_000_001);
        for number in 0..CAPACITY + 3 {
            RING.store(7, now, [number, 1].into_iter());
        }
        let mut taken = Vec::new();
        RING.take(|sample| taken.push(sample));
        assert_eq!(
            (taken.len(), RING.take_lost(), RING.take_lost()),
            (CAPACITY, 3, 0)
        );
        assert_eq!(
            taken[1],
            Sample {
                time: now,
                thread: 7,
                addresses: vec![1, 1]
            }
        );
        RING.store(7, now, std::iter::repeat(1));
        RING.take(|sample| assert_eq!(sample.addresses.len(), MAX_DEPTH));
    }
}

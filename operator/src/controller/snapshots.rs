//! What was seen of the Platforms that are under way: while one gets ready it is looked at again and again, and most of what a
//! look would list is as the last one left it.

use std::{
    collections::{BTreeSet, VecDeque},
    sync::{Mutex, MutexGuard, PoisonError},
};

use platform_core::{
    kinds::{KINDS, Kind},
    step::Live,
};

use super::Look;
use crate::cluster::PlatformKey;

/// Platforms of which something is kept, those that were looked at last: what is kept of one takes some hundred kilobytes.
const PLATFORMS: usize = 32;

/// What a look has found and written, for the next one.
#[derive(Debug, Clone, Default)]
pub struct Snapshot {
    uid: Option<String>,
    live: Live,
    /// The kinds of which it has all that there is, for all that the watches told.
    kinds: BTreeSet<Kind>,
    /// In which era of the watches the look began: each ends with a gap in what they tell.
    era: u64,
}

impl Snapshot {
    /// What a look that began in this era has found and written. Kinds of which no watch tells are left out.
    pub(super) fn new(era: u64, uid: Option<String>, live: Live, hears_of: impl Fn(Kind) -> bool) -> Self {
        let kinds = KINDS.iter().map(|info| info.kind).filter(|kind| hears_of(*kind));
        let all = Self { uid, live, kinds: kinds.collect(), era };
        all.only(hears_of)
    }

    /// In which era of the watches the look is that begins with this.
    pub(super) fn era(&self) -> u64 {
        self.era
    }

    /// What is there of the Platform with this uid, and the kinds of which it is all.
    pub(super) fn of(self, uid: Option<&str>) -> (Live, BTreeSet<Kind>) {
        if self.uid.as_deref() == uid {
            (self.live, self.kinds)
        } else {
            Default::default()
        }
    }

    /// The same with only these kinds.
    fn only(mut self, is_kept: impl Fn(Kind) -> bool) -> Self {
        self.kinds.retain(|kind| is_kept(*kind));
        self.live.objects.retain(|key, _| is_kept(key.kind));
        if !is_kept(Kind::Pod) {
            self.live.pods.clear();
        }
        self
    }
}

/// The snapshots, between two looks.
#[derive(Debug, Default)]
pub struct Snapshots {
    state: Mutex<State>,
}

#[derive(Debug, Default)]
struct State {
    era: u64,
    kept: VecDeque<(PlatformKey, Snapshot)>,
}

impl Snapshots {
    /// What a look can begin with. It is taken out: only a look that comes to its end [gives it back](Self::keep).
    pub fn take(&self, key: &PlatformKey, look: &Look) -> Snapshot {
        let mut state = self.lock();
        let kept = state.remove(key);
        match look {
            Look::After(news) => kept.map(|snapshot| snapshot.only(|kind| !news.contains(&kind))),
            Look::Anew => None,
        }
        .unwrap_or_else(|| Snapshot {
            era: state.era,
            ..Snapshot::default()
        })
    }

    /// For the next look, unless there was a gap in what the watches told since this one began.
    pub fn keep(&self, key: &PlatformKey, snapshot: Snapshot) {
        let mut state = self.lock();
        if snapshot.era != state.era {
            return;
        }
        state.remove(key);
        state.kept.push_back((key.clone(), snapshot));
        if state.kept.len() > PLATFORMS {
            state.kept.pop_front();
        }
    }

    /// There is a gap in what the watches told, or there was none to tell: what they told nothing of may have changed.
    pub fn clear(&self) {
        let mut state = self.lock();
        state.era += 1;
        state.kept.clear();
    }

    /// There is no such Platform any more.
    pub fn forget(&self, key: &PlatformKey) {
        self.lock().remove(key);
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl State {
    fn remove(&mut self, key: &PlatformKey) -> Option<Snapshot> {
        let position = self.kept.iter().position(|(kept, _)| kept == key)?;
        self.kept.remove(position).map(|(_, snapshot)| snapshot)
    }
}

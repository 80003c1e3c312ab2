//! When a Platform has to be looked at. A look costs the API server a handful of lists, so there is none for what the
//! operator has just written itself, and none for a Platform where nothing happens, but for a seldom one.

use std::{
    collections::{BTreeMap, BTreeSet},
    hash::{DefaultHasher, Hash, Hasher},
    mem,
    sync::{Mutex, MutexGuard, PoisonError},
    time::{Duration, Instant},
};

use platform_core::kinds::Kind;

use super::edits::Edits;
use crate::cluster::PlatformKey;

/// Two looks at one Platform are at least so far apart, so that one which changes all the time leaves the API server to
/// the others, and a rollout, in which much changes after the other, is not looked at for each change. The first change
/// after a while is acted on at once.
const PACE: Duration = Duration::from_millis(500);

/// They are further apart where the API server takes long: so many times as long as the look took.
const REST_PER_LOOK: u32 = 12;

/// But never further, so that an answer that did not come is no reason to miss the next change.
const LONGEST_REST: Duration = Duration::from_secs(3);

/// Progress alone waits until the last status is so old: a status is what a look costs the API server most, and a rollout has
/// many steps.
const PROGRESS_PACE: Duration = Duration::from_secs(5);

/// Or so many times as old as the look took that wrote it: where the API server is slow, as when many Platforms come at once.
const PROGRESS_PER_LOOK: u32 = 10;

/// But never longer than this and a look, so that who waits sees that something goes on.
const LONGEST_PROGRESS_PACE: Duration = Duration::from_secs(30);

/// Marks kept of one Platform, of news and of own writes each: what comes beyond is looked at.
const MARKS: usize = 128;

/// However much the watches tell meanwhile, everything is listed so long after it was last: not all that concerns a Platform
/// is told of, for instance that an object lost the label by which it would be told of.
const LONGEST_TRUST: Duration = Duration::from_mins(1);

/// A Platform, or an object of one, in one of its versions: its kind, and a hash of all three. Two that share a hash by chance
/// hide a change until the next one, once in 2^64.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Mark {
    /// None of a Platform.
    kind: Option<Kind>,
    hash: u64,
}

impl Mark {
    /// The version of an object of this kind, in the namespace of its Platform; of the Platform itself where it is none.
    pub fn new(kind: Option<Kind>, name: &str, resource_version: &str) -> Self {
        let mut hasher = DefaultHasher::new();
        (name, resource_version).hash(&mut hasher);
        Self {
            kind,
            hash: hasher.finish(),
        }
    }
}

/// What a look has to read besides the Platform itself.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Look {
    /// Everything.
    Anew,
    /// What is told to have changed since the last one: these kinds.
    After(BTreeSet<Kind>),
}

/// What a look came to.
#[derive(Debug, Default)]
pub struct Outcome {
    /// What was written, in the versions that it has now.
    pub written: Vec<Mark>,
    /// The generation of the spec that was acted on.
    pub generation: Option<i64>,
    /// Whether it is another than the one that the status told of.
    pub is_edit: bool,
    /// Whether a status was written.
    pub is_told: bool,
    /// Whether it has a status to write that can wait: the next look is due to write it, not to find anything.
    pub is_to_tell: bool,
}

/// What is known of when each Platform has to be looked at.
#[derive(Debug, Default)]
pub struct Agenda {
    platforms: Mutex<BTreeMap<PlatformKey, Entry>>,
}

#[derive(Debug, Default)]
struct Entry {
    /// What the watches told of since the last look.
    news: Vec<Mark>,
    /// What was written and not told of yet.
    own: Vec<Mark>,
    /// Whether to look, whatever the news are.
    is_asked_for: bool,
    /// When the look began that is under way.
    begun: Option<Instant>,
    /// When the last look ended.
    looked_at: Option<Instant>,
    /// How long to leave it alone after that.
    rest: Duration,
    edits: Edits,
    /// Whether that look found a status to write.
    is_to_tell: bool,
    /// When everything was listed last.
    listed_at: Option<Instant>,
    /// Until when progress alone is not told.
    fresh_until: Option<Instant>,
    /// When to look where nothing happens.
    due: Option<Instant>,
}

impl Agenda {
    /// A watch tells of this.
    pub fn told_of(&self, key: &PlatformKey, mark: Mark) {
        let mut platforms = self.lock();
        let entry = platforms.entry(key.clone()).or_default();
        if entry.news.len() < MARKS {
            entry.news.push(mark);
        } else {
            entry.is_asked_for = true;
        }
    }

    /// The watch tells of a Platform whose spec has this generation.
    pub fn told_of_spec(&self, key: &PlatformKey, generation: Option<i64>) {
        let mut platforms = self.lock();
        platforms
            .entry(key.clone())
            .or_default()
            .edits
            .told_of(generation);
    }

    /// Whether the watch has told of a spec that was not acted on yet.
    pub fn has_edit(&self, key: &PlatformKey) -> bool {
        self.lock().get(key).is_some_and(|entry| entry.edits.is_pending())
    }

    /// Something concerns the Platform that is no object of it.
    pub fn ask_for(&self, key: &PlatformKey) {
        self.lock().entry(key.clone()).or_default().is_asked_for = true;
    }

    /// Whether to look now, and at what; if not, how long to wait at most. The news are taken as read: what comes later is news
    /// again.
    pub fn begin(&self, key: &PlatformKey, now: Instant) -> Result<Look, Duration> {
        let mut platforms = self.lock();
        let entry = platforms.entry(key.clone()).or_default();
        let (Some(looked_at), Some(due)) = (entry.looked_at, entry.due) else {
            return Ok(entry.read(now));
        };
        entry.drop_echoes();
        let rested = (looked_at + entry.rest).max(entry.edits.wait().unwrap_or(looked_at));
        let is_wanted = entry.is_asked_for || !entry.news.is_empty() || due <= now;
        if !is_wanted {
            return Err(due.saturating_duration_since(now));
        }
        if now < rested {
            return Err(rested.saturating_duration_since(now));
        }
        Ok(entry.read(now))
    }

    /// How long a status that tells of progress alone is to wait.
    pub fn fresh_for(&self, key: &PlatformKey, now: Instant) -> Duration {
        let platforms = self.lock();
        let fresh_until = platforms.get(key).and_then(|entry| entry.fresh_until);
        fresh_until.map_or(Duration::ZERO, |end| end.saturating_duration_since(now))
    }

    /// A look has ended, and the next one is due then unless something happens.
    pub fn end(&self, key: &PlatformKey, outcome: Outcome, now: Instant, due: Instant) {
        let mut platforms = self.lock();
        let entry = platforms.entry(key.clone()).or_default();
        entry.own.extend(outcome.written);
        let surplus = entry.own.len().saturating_sub(MARKS);
        entry.own.drain(..surplus);
        let begun = entry.begun.take().unwrap_or(now);
        let took = now.saturating_duration_since(begun);
        if outcome.is_told {
            let pace = took.saturating_mul(PROGRESS_PER_LOOK);
            entry.fresh_until = Some(now + pace.clamp(PROGRESS_PACE, LONGEST_PROGRESS_PACE));
        }
        entry.rest = took.saturating_mul(REST_PER_LOOK).clamp(PACE, LONGEST_REST);
        match outcome.generation {
            Some(generation) if outcome.is_edit => entry.edits.acted_on(generation, begun, now, entry.rest),
            Some(generation) => entry.edits.found_acted_on(generation),
            None => {}
        }
        (entry.looked_at, entry.due) = (Some(now), Some(due));
        entry.is_to_tell = outcome.is_to_tell;
    }

    /// There is no such Platform any more.
    pub fn forget(&self, key: &PlatformKey) {
        self.lock().remove(key);
    }

    fn lock(&self) -> MutexGuard<'_, BTreeMap<PlatformKey, Entry>> {
        self.platforms.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Entry {
    /// Takes away what the watches tell of the operator's own writes. It can come before the write has been answered.
    fn drop_echoes(&mut self) {
        let Self { news, own, .. } = self;
        news.retain(|mark| match own.iter().position(|written| written == mark) {
            Some(position) => {
                own.swap_remove(position);
                false
            }
            None => true,
        });
    }

    fn read(&mut self, now: Instant) -> Look {
        self.begun = Some(now);
        let news = mem::take(&mut self.news);
        if mem::take(&mut self.is_asked_for) || self.is_due(now) || !self.trusts(now) {
            self.listed_at = Some(now);
            return Look::Anew;
        }
        Look::After(news.iter().filter_map(|mark| mark.kind).collect())
    }

    /// Whether it is time to look whatever the news are, for what they do not tell.
    fn is_due(&self, now: Instant) -> bool {
        !self.is_to_tell && self.due.is_none_or(|due| due <= now)
    }

    fn trusts(&self, now: Instant) -> bool {
        let listed_at = self.listed_at;
        listed_at.is_some_and(|listed_at| now.saturating_duration_since(listed_at) < LONGEST_TRUST)
    }
}

#[cfg(test)]
mod tests;

//! What was seen of the Platforms that are under way: while one gets ready it is looked at again and again, and most of what a
//! look would list is as the last one left it.

use std::{
    collections::{BTreeMap, BTreeSet},
    sync::{Mutex, MutexGuard, PoisonError},
};

use k8s_openapi::apimachinery::pkg::apis::meta::v1::ObjectMeta;
use kube::{
    ResourceExt as _,
    core::{DynamicObject, TypeMeta},
};
use platform_core::{
    api::Platform,
    kinds::{KINDS, Kind},
    step::Live,
};
use serde_json::Value;

use super::{Look, effects::key_of};
use crate::cluster::PlatformKey;

/// Bytes that are kept, of all Platforms together. One with twenty objects and their pods takes some fifty thousand.
const ROOM: usize = 8 << 20;

/// What a look has found and written, for the next one.
#[derive(Debug, Clone, Default)]
pub struct Snapshot {
    uid: Option<String>,
    /// Of each kind all that there is, for all that the watches told: as JSON, which takes an eighth of what it says.
    kinds: BTreeMap<Kind, Box<str>>,
    /// In which era of the watches the look began: each ends with a gap in what they tell.
    era: u64,
}

impl Snapshot {
    /// What a look that began in this era has found and written. Kinds of which no watch tells are left out.
    pub(super) fn next(era: u64, platform: &Platform, live: &Live, hears_of: impl Fn(Kind) -> bool) -> Self {
        let kinds = KINDS.iter().map(|info| info.kind).filter(|kind| hears_of(*kind));
        Self {
            uid: platform.uid(),
            // What cannot be kept is listed.
            kinds: kinds
                .filter_map(|kind| Some((kind, pack(live, kind).ok()?)))
                .collect(),
            era,
        }
    }

    /// In which era of the watches the look is that begins with this.
    pub(super) fn era(&self) -> u64 {
        self.era
    }

    /// What there is of this very Platform, and the kinds of which it is all.
    pub(super) fn of(&self, platform: &Platform) -> (Live, BTreeSet<Kind>) {
        let mut live = Live::default();
        if self.uid != platform.uid() {
            return (live, BTreeSet::new());
        }
        let kinds = self.kinds.iter();
        let unpacked = kinds.filter(|(kind, packed)| unpack(**kind, packed, &mut live).is_ok());
        let kinds = unpacked.map(|(kind, _)| *kind).collect();
        (live, kinds)
    }

    fn size(&self) -> usize {
        self.kinds.values().map(|packed| packed.len()).sum()
    }
}

/// By way of a value and of text, as the client has it: each further way to write or to read a pod is more program.
fn pack(live: &Live, kind: Kind) -> serde_json::Result<Box<str>> {
    let packed = if kind == Kind::Pod {
        serde_json::to_string(&serde_json::to_value(&live.pods)?)
    } else {
        let objects = live.objects.iter().filter(|(key, _)| key.kind == kind);
        let parts: Vec<_> = objects
            .map(|(_, object)| (&object.metadata, &object.data))
            .collect();
        serde_json::to_string(&parts)
    };
    packed.map(String::into_boxed_str)
}

fn unpack(kind: Kind, packed: &str, live: &mut Live) -> serde_json::Result<()> {
    if kind == Kind::Pod {
        live.pods = serde_json::from_str(packed)?;
        return Ok(());
    }
    let resource = kind.info().api_resource();
    let parts: Vec<(ObjectMeta, Value)> = serde_json::from_str(packed)?;
    live.objects.extend(parts.into_iter().map(|(metadata, data)| {
        let types = TypeMeta {
            api_version: resource.api_version.clone(),
            kind: resource.kind.clone(),
        };
        let object = DynamicObject {
            types: Some(types),
            metadata,
            data,
        };
        (key_of(kind, &object), object)
    }));
    Ok(())
}

/// The snapshots, between two looks.
#[derive(Debug, Default)]
pub struct Snapshots {
    state: Mutex<State>,
}

#[derive(Debug, Default)]
struct State {
    era: u64,
    kept: BTreeMap<PlatformKey, Snapshot>,
    size: usize,
}

impl Snapshots {
    /// What a look can begin with. It is taken out: only a look that comes to its end [gives](Self::keep) the next one.
    pub fn take(&self, key: &PlatformKey, look: &Look) -> Snapshot {
        let mut state = self.lock();
        let kept = state.remove(key);
        let mut snapshot = match look {
            Look::After(_) => kept.unwrap_or_default(),
            Look::Anew => Snapshot::default(),
        };
        if let Look::After(news) = look {
            snapshot.kinds.retain(|kind, _| !news.contains(kind));
        }
        snapshot.era = state.era;
        snapshot
    }

    /// For the next look, unless the watches may have left something out since this one began. Where there is no room,
    /// those stay that are there: when all come in turn, the oldest is the next to be of use.
    pub fn keep(&self, key: &PlatformKey, snapshot: Snapshot) {
        let mut state = self.lock();
        state.remove(key);
        let size = state.size + snapshot.size();
        if snapshot.era == state.era && size <= ROOM {
            state.size = size;
            state.kept.insert(key.clone(), snapshot);
        }
    }

    /// A watch begins anew, which leaves out what went meanwhile, or has got to its end with that.
    pub fn clear(&self) {
        let mut state = self.lock();
        *state = State {
            era: state.era + 1,
            ..State::default()
        };
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
        let removed = self.kept.remove(key)?;
        self.size -= removed.size();
        Some(removed)
    }
}

#[cfg(test)]
mod tests {
    use k8s_openapi::api::core::v1::Pod;
    use platform_core::{api::PlatformSpec, kinds::ObjectKey};
    use serde_json::json;

    use super::*;

    fn key(name: &str) -> PlatformKey {
        PlatformKey::new("shop", name)
    }

    fn platform(uid: &str) -> Platform {
        let mut platform = Platform::new("demo", PlatformSpec::default());
        platform.metadata.uid = Some(uid.into());
        platform
    }

    fn object(kind: Kind, name: &str) -> (ObjectKey, DynamicObject) {
        let mut object = DynamicObject::new(name, &kind.info().api_resource()).within("shop");
        object.data = json!({"spec": {"replicas": 1}});
        (key_of(kind, &object), object)
    }

    /// Two Services, a Deployment, a Secret and a pod.
    fn live() -> Live {
        Live {
            objects: [
                object(Kind::Service, "demo-auth"),
                object(Kind::Service, "demo-chat"),
                object(Kind::Deployment, "demo-auth"),
                object(Kind::Secret, "demo-auth"),
            ]
            .into(),
            pods: vec![Pod::default()],
            ..Live::default()
        }
    }

    fn seen(live: &Live, era: u64) -> Snapshot {
        Snapshot::next(era, &platform("1"), live, |kind| kind != Kind::Secret)
    }

    fn after(news: &[Kind]) -> Look {
        Look::After(news.iter().copied().collect())
    }

    #[test]
    fn what_was_seen_is_known_but_for_what_is_told_of_or_never_told_of() {
        let (snapshots, live) = (Snapshots::default(), live());
        snapshots.keep(&key("demo"), seen(&live, 0));
        let known = snapshots.take(&key("demo"), &after(&[Kind::Deployment, Kind::Pod]));
        let (found, kinds) = known.of(&platform("1"));
        let mut expected = live.objects;
        expected.retain(|key, _| key.kind == Kind::Service);
        assert_eq!(found.objects, expected);
        assert_eq!(found.pods, []);
        assert!(kinds.contains(&Kind::Service) && kinds.contains(&Kind::Ingress));
        for kind in [Kind::Deployment, Kind::Pod, Kind::Secret] {
            assert!(!kinds.contains(&kind), "{kind}");
        }
    }

    #[test]
    fn pods_are_known_too() {
        let (snapshots, live) = (Snapshots::default(), live());
        snapshots.keep(&key("demo"), seen(&live, 0));
        let (found, kinds) = snapshots.take(&key("demo"), &after(&[])).of(&platform("1"));
        assert_eq!(found.pods, live.pods);
        assert!(kinds.contains(&Kind::Pod));
    }

    #[test]
    fn nothing_is_known_twice_nor_of_another_nor_to_a_look_at_everything() {
        let snapshots = Snapshots::default();
        let knows = |look, uid| {
            let (found, kinds) = snapshots.take(&key("demo"), &look).of(&platform(uid));
            assert_eq!(found.objects.is_empty(), kinds.is_empty());
            !kinds.is_empty()
        };
        let keep = || snapshots.keep(&key("demo"), seen(&live(), 0));
        keep();
        assert!(knows(after(&[]), "1"));
        assert!(!knows(after(&[]), "1"), "the look that took it may have failed");
        keep();
        assert!(!knows(after(&[]), "2"), "a later Platform of the name");
        keep();
        assert!(!knows(Look::Anew, "1"));
        keep();
        snapshots.forget(&key("demo"));
        assert!(!knows(after(&[]), "1"));
    }

    #[test]
    fn what_was_seen_before_a_gap_is_not_kept() {
        let snapshots = Snapshots::default();
        let is_kept = || snapshots.lock().kept.contains_key(&key("demo"));
        let known = snapshots.take(&key("demo"), &Look::Anew);
        snapshots.keep(&key("demo"), seen(&live(), known.era()));
        assert!(is_kept());
        snapshots.clear();
        assert!(!is_kept());
        snapshots.keep(&key("demo"), seen(&live(), known.era()));
        assert!(!is_kept(), "the look began before the gap");
        let known = snapshots.take(&key("demo"), &Look::Anew);
        snapshots.keep(&key("demo"), seen(&live(), known.era()));
        assert!(is_kept());
    }

    #[test]
    fn only_so_much_is_kept() {
        let (snapshots, mut live) = (Snapshots::default(), live());
        for object in live.objects.values_mut() {
            object.data = json!({"data": "x".repeat(ROOM / 8)});
        }
        let names = ["one", "two", "three", "four"].map(key);
        for name in names.iter().chain(&names) {
            snapshots.keep(name, seen(&live, 0));
        }
        let state = snapshots.lock();
        assert_eq!(state.kept.keys().collect::<Vec<_>>(), [&names[0], &names[1]]);
        assert!(state.size <= ROOM);
        assert_eq!(state.size, state.kept.values().map(Snapshot::size).sum::<usize>());
    }
}

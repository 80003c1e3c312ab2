//! Which Platforms refer to what: a change of a Secret then leads to the Platforms that use it.

use std::{
    collections::{BTreeMap, BTreeSet},
    sync::{Mutex, MutexGuard, PoisonError},
};

use platform_core::references::Reference;

use crate::cluster::PlatformKey;

/// What each Platform referred to when it was last looked at. A Platform that was not looked at yet will read what it
/// refers to by itself.
#[derive(Debug, Default)]
pub struct Referrers {
    references: Mutex<BTreeMap<PlatformKey, BTreeSet<Reference>>>,
}

impl Referrers {
    /// This Platform refers to these, and to nothing else.
    pub fn set(&self, key: &PlatformKey, references: BTreeSet<Reference>) {
        if references.is_empty() {
            self.lock().remove(key);
        } else {
            self.lock().insert(key.clone(), references);
        }
    }

    /// The Platforms of this namespace that refer to it.
    pub fn of(&self, namespace: &str, reference: &Reference) -> Vec<PlatformKey> {
        self.lock()
            .iter()
            .filter(|(key, references)| key.namespace == namespace && references.contains(reference))
            .map(|(key, _)| key.clone())
            .collect()
    }

    fn lock(&self) -> MutexGuard<'_, BTreeMap<PlatformKey, BTreeSet<Reference>>> {
        self.references.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_secret_leads_to_those_that_refer_to_it_now() {
        let key = |name: &str| PlatformKey::new("shop", name);
        let sentry = Reference::secret("sentry");
        let referrers = Referrers::default();
        referrers.set(&key("one"), [sentry.clone()].into());
        referrers.set(
            &key("two"),
            [sentry.clone(), Reference::config_map("sentry")].into(),
        );
        assert_eq!(referrers.of("shop", &sentry), [key("one"), key("two")]);
        assert_eq!(
            referrers.of("shop", &Reference::config_map("sentry")),
            [key("two")]
        );
        assert!(referrers.of("elsewhere", &sentry).is_empty());
        referrers.set(&key("one"), BTreeSet::new());
        assert_eq!(referrers.of("shop", &sentry), [key("two")]);
    }
}

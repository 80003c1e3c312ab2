//! Whether the watches still hear: one whose request hangs, in a connection that is dead and not closed, would be silent for
//! ever, and look like a cluster in which nothing happens.

use std::{
    collections::BTreeMap,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    time::{Duration, Instant},
};

use ::http::Request;

/// A watch is begun anew after this many seconds: shorter than the patience of load balancers with quiet connections.
pub const WATCH_SECONDS: u32 = 200;

/// Twice the time after which each watch is begun anew, by the API server or, a few seconds later, by kube's own watcher.
const DEAF_AFTER: Duration = Duration::from_secs(2 * (WATCH_SECONDS as u64 + 5));

/// When each watch was begun last, by the path of its request.
#[derive(Debug, Default)]
pub struct Hearing {
    begun: Mutex<BTreeMap<String, Instant>>,
}

/// A watch that is to hear until this is dropped.
#[derive(Debug)]
pub struct Listener {
    hearing: Arc<Hearing>,
    path: String,
}

impl Hearing {
    /// From now on, there is to be a watch of this path.
    pub fn listen(self: &Arc<Self>, path: &str, now: Instant) -> Listener {
        self.lock().insert(path.to_owned(), now);
        Listener {
            hearing: Arc::clone(self),
            path: path.to_owned(),
        }
    }

    /// This is sent to the API server.
    pub(super) fn sent<B>(&self, request: &Request<B>, now: Instant) {
        let is_watch = |query: &str| query.split('&').any(|pair| pair == "watch=true");
        if request.uri().query().is_some_and(is_watch)
            && let Some(begun) = self.lock().get_mut(request.uri().path())
        {
            *begun = now;
        }
    }

    /// The paths of the watches that hear nothing any more.
    pub fn deaf(&self, now: Instant) -> Vec<String> {
        let is_deaf = |begun: &Instant| now.saturating_duration_since(*begun) > DEAF_AFTER;
        self.lock()
            .iter()
            .filter(|(_, begun)| is_deaf(begun))
            .map(|(path, _)| path.clone())
            .collect()
    }

    fn lock(&self) -> MutexGuard<'_, BTreeMap<String, Instant>> {
        self.begun.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Drop for Listener {
    fn drop(&mut self) {
        self.hearing.lock().remove(&self.path);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn request(uri: &str) -> Request<()> {
        Request::get(uri).body(()).unwrap()
    }

    #[test]
    fn a_watch_that_is_not_begun_anew_is_deaf_and_one_that_ended_is_not() {
        let (hearing, start) = (Arc::new(Hearing::default()), Instant::now());
        let pods = hearing.listen("/api/v1/pods", start);
        let _services = hearing.listen("/api/v1/services", start);
        let later = start + DEAF_AFTER;
        assert!(hearing.deaf(later).is_empty());
        hearing.sent(&request("/api/v1/pods?limit=50"), later);
        hearing.sent(&request("/api/v1/services?&watch=true&timeoutSeconds=200"), later);
        let later = later + Duration::from_secs(1);
        assert_eq!(hearing.deaf(later), ["/api/v1/pods"], "a list is no watch");
        drop(pods);
        assert!(hearing.deaf(later).is_empty());
        hearing.sent(&request("/api/v1/pods?watch=true"), later);
        assert!(
            hearing.deaf(later + DEAF_AFTER).len() == 1,
            "nobody listens to pods"
        );
    }
}

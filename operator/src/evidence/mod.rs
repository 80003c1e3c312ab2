//! Evidence that spans arrive: the questions that the core decided on, asked over HTTP beside the reconciles.

mod ask;
mod counters;

use std::{
    collections::BTreeMap,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
};

use futures::channel::mpsc;
use platform_core::evidence::{Evidence, Questions};
use tokio::sync::Semaphore;

pub use self::{ask::ask, counters::samples};
use crate::cluster::PlatformKey;

/// Platforms that are asked about at once: an answer that does not come takes its time.
const CONCURRENCY: usize = 4;

/// What is being asked, and what was answered last, by Platform.
#[derive(Debug)]
pub struct Inquiries {
    client: reqwest::Client,
    places: Semaphore,
    answered: mpsc::UnboundedSender<PlatformKey>,
    by_platform: Mutex<BTreeMap<PlatformKey, Inquiry>>,
}

#[derive(Debug, Default)]
struct Inquiry {
    is_under_way: bool,
    answer: Option<Evidence>,
}

impl Inquiries {
    /// Nothing is asked yet. `answered` is told of each Platform about which there is an answer.
    pub fn new(answered: mpsc::UnboundedSender<PlatformKey>) -> Self {
        Self {
            client: reqwest::Client::new(),
            places: Semaphore::new(CONCURRENCY),
            answered,
            by_platform: Mutex::default(),
        }
    }

    /// What was answered last.
    pub fn answer(&self, key: &PlatformKey) -> Option<Evidence> {
        self.lock().get(key)?.answer.clone()
    }

    /// Asks beside the reconciles, unless that is being done.
    pub fn ask(self: &Arc<Self>, key: &PlatformKey, questions: Questions) {
        let mut inquiries = self.lock();
        let inquiry = inquiries.entry(key.clone()).or_default();
        if std::mem::replace(&mut inquiry.is_under_way, true) {
            return;
        }
        drop(inquiries);
        let (this, key) = (Arc::clone(self), key.clone());
        tokio::spawn(async move {
            let answer = this.answer_now(&questions).await;
            tracing::debug!(platform = %key, ?answer, "asked for spans");
            if let Some(inquiry) = this.lock().get_mut(&key) {
                inquiry.is_under_way = false;
                inquiry.answer = answer.or(inquiry.answer.take());
            }
            // Nobody listens any more when the operator stops.
            let _ = this.answered.unbounded_send(key);
        });
    }

    /// `None` where nobody asks any more.
    async fn answer_now(&self, questions: &Questions) -> Option<Evidence> {
        let _place = self.places.acquire().await.ok()?;
        Some(ask(&self.client, questions).await)
    }

    /// There is no such Platform any more.
    pub fn forget(&self, key: &PlatformKey) {
        self.lock().remove(key);
    }

    fn lock(&self) -> MutexGuard<'_, BTreeMap<PlatformKey, Inquiry>> {
        self.by_platform.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

//! Evidence that spans arrive: the questions that the core decided on, asked over HTTP beside the reconciles.

mod ask;
mod counters;
mod jaeger;

use std::{
    collections::BTreeMap,
    sync::{Arc, Mutex, MutexGuard, PoisonError, Weak},
    time::Duration,
};

use futures::channel::mpsc;
use jiff::Timestamp;
use platform_core::evidence::{Evidence, Questions, pause_before};
use tokio::{
    sync::{Notify, Semaphore},
    time::timeout,
};

pub use self::{
    ask::{Clients, ask},
    counters::samples,
    jaeger::JaegerClient,
};
use crate::cluster::PlatformKey;

/// Platforms that are asked about at once: an answer that does not come takes its time.
const CONCURRENCY: usize = 4;

/// What is being asked, and what was answered last, by Platform. A Platform is asked about again and again, at the pace that
/// the core decides on, without a look at the cluster: only an answer that says something else leads to one.
#[derive(Debug)]
pub struct Inquiries {
    clients: Clients,
    places: Semaphore,
    answered: mpsc::UnboundedSender<PlatformKey>,
    by_platform: Mutex<BTreeMap<PlatformKey, Inquiry>>,
}

#[derive(Debug, Default)]
struct Inquiry {
    /// None while there is nobody to ask.
    questions: Option<Questions>,
    answer: Option<Evidence>,
    /// Somebody asks, and is told of other questions by this.
    asker: Option<Arc<Notify>>,
}

impl Inquiries {
    /// Nothing is asked yet. `answered` is told of each Platform about which there is another answer.
    pub fn new(answered: mpsc::UnboundedSender<PlatformKey>) -> Self {
        Self {
            clients: Clients::default(),
            places: Semaphore::new(CONCURRENCY),
            answered,
            by_platform: Mutex::default(),
        }
    }

    /// What was answered last.
    pub fn answer(&self, key: &PlatformKey) -> Option<Evidence> {
        self.lock().get(key)?.answer.clone()
    }

    /// What to ask about a Platform from now on.
    pub fn about(self: &Arc<Self>, key: &PlatformKey, questions: Option<Questions>) {
        let mut inquiries = self.lock();
        let inquiry = match (inquiries.get_mut(key), &questions) {
            (None, None) => return,
            (Some(inquiry), _) => inquiry,
            (None, Some(_)) => inquiries.entry(key.clone()).or_default(),
        };
        if inquiry.questions == questions {
            return;
        }
        inquiry.questions = questions;
        if let Some(asker) = &inquiry.asker {
            asker.notify_one();
        } else if inquiry.questions.is_some() {
            let changed = Arc::new(Notify::new());
            inquiry.asker = Some(Arc::clone(&changed));
            drop(inquiries);
            tokio::spawn(go_on_asking(Arc::downgrade(self), key.clone(), changed));
        }
    }

    /// What to ask, and how long to wait before; None when there is nothing to ask any more.
    fn next(&self, key: &PlatformKey) -> Option<(Questions, Duration)> {
        let mut inquiries = self.lock();
        let inquiry = inquiries.get_mut(key)?;
        let Some(questions) = inquiry.questions.clone() else {
            inquiry.asker = None;
            return None;
        };
        let pause = pause_before(&questions, inquiry.answer.as_ref(), Timestamp::now());
        Some((questions, pause))
    }

    /// Asks, and tells of an answer that says something else than the one before.
    async fn ask_now(&self, key: &PlatformKey, questions: &Questions) {
        let Ok(_place) = self.places.acquire().await else {
            return;
        };
        let answer = ask(&self.clients, questions).await;
        tracing::debug!(platform = %key, ?answer, "asked for spans");
        let is_news = match self.lock().get_mut(key) {
            None => false,
            Some(inquiry) => {
                let before = inquiry.answer.replace(answer.clone());
                !before.is_some_and(|before| before.says_the_same_as(&answer))
            }
        };
        if is_news {
            // Nobody listens any more when the operator stops.
            let _ = self.answered.unbounded_send(key.clone());
        }
    }

    /// There is no such Platform any more.
    pub fn forget(&self, key: &PlatformKey) {
        if let Some(asker) = self.lock().remove(key).and_then(|inquiry| inquiry.asker) {
            asker.notify_one();
        }
    }

    fn lock(&self) -> MutexGuard<'_, BTreeMap<PlatformKey, Inquiry>> {
        self.by_platform.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Asks about a Platform until there is nothing to ask any more, or nobody who would want to know.
async fn go_on_asking(inquiries: Weak<Inquiries>, key: PlatformKey, changed: Arc<Notify>) {
    while let Some((this, (questions, pause))) = inquiries
        .upgrade()
        .and_then(|this| this.next(&key).map(|next| (this, next)))
    {
        if pause.is_zero() {
            this.ask_now(&key, &questions).await;
            continue;
        }
        drop(this);
        // Whichever it is, the next turn finds out what to do.
        let _ = timeout(pause, changed.notified()).await;
    }
}

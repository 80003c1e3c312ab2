//! The bounded queue between the service and Sentry, and the thread that empties it. Nothing here ever
//! makes a request wait: what does not fit is dropped and counted.

use std::{
    io,
    sync::{
        Arc, LazyLock, OnceLock,
        atomic::{AtomicUsize, Ordering},
        mpsc::{Receiver, RecvTimeoutError, SendError, Sender, channel},
    },
    thread,
    time::{Duration, Instant},
};

use sentry::{
    Envelope, Transport, TransportFactory, TransportOptions,
    client_report::{Reason, Recorder},
    protocol::EnvelopeItem,
};

use super::{
    delivery::Delivery,
    drafts::Drafts,
    rate_limits::{Category, RateLimits},
    sessions::Sessions,
    stack,
};
use crate::{
    metrics::{Counter, counter},
    symbols::Symbols,
};

/// Envelopes of each kind that may wait. An event with a full trail of breadcrumbs has some 50 KiB, a profile of ten busy
/// seconds some 500 KiB. Each kind has room of its own: a storm of errors must not cost the profiles. Transactions wait as
/// spans, and come in bursts while all cores are busy with requests.
const ROOM: [usize; KINDS] = [48, 256, 4, 4];

/// How many [`Kind`]s there are.
const KINDS: usize = 4;

/// What an envelope mainly holds.
#[derive(Clone, Copy)]
enum Kind {
    Error,
    Transaction,
    Profile,
    Other,
}

impl From<Category> for Kind {
    fn from(category: Category) -> Self {
        match category {
            Category::Error => Self::Error,
            Category::Transaction => Self::Transaction,
            Category::ProfileChunk => Self::Profile,
            Category::Session | Category::Other => Self::Other,
        }
    }
}

/// How often sessions are sent, as Sentry asks of SDKs.
const SESSION_INTERVAL: Duration = Duration::from_mins(1);

static SENT: LazyLock<Counter> =
    LazyLock::new(|| counter("telemetry.envelopes.sent", "Envelopes that Sentry took."));

static DROPPED: LazyLock<Counter> = LazyLock::new(|| {
    counter(
        "telemetry.envelopes.dropped",
        "Envelopes lost: the queue was full, Sentry limited their rate, refused them, or could not be reached.",
    )
});

/// Where an envelope was lost.
#[derive(Clone, Copy, Debug)]
enum Loss {
    QueueFull,
    RateLimited,
    /// Limited only by the answer to it, which Sentry counts itself.
    RefusedByRateLimit,
    Refused,
    Unreachable,
}

impl Loss {
    const ALL: [Self; 4] = [
        Self::QueueFull,
        Self::RateLimited,
        Self::Refused,
        Self::Unreachable,
    ];

    fn label(self) -> &'static str {
        match self {
            Self::QueueFull => "queue_full",
            Self::RateLimited | Self::RefusedByRateLimit => "rate_limited",
            Self::Refused => "refused",
            Self::Unreachable => "network_error",
        }
    }

    fn count(self, lost: u64) {
        DROPPED.add(lost, &[("reason", self.label())]);
    }

    /// The reason in Sentry's own statistics.
    fn reason(self) -> Option<Reason> {
        match self {
            Self::QueueFull => Some(Reason::QueueOverflow),
            Self::RateLimited => Some(Reason::RatelimitBackoff),
            Self::RefusedByRateLimit => None,
            Self::Refused => Some(Reason::SendError),
            Self::Unreachable => Some(Reason::NetworkError),
        }
    }
}

/// Counts losses in `/metrics`, and in the reports that the client adds to later envelopes.
#[derive(Clone, Default)]
struct Losses(Arc<OnceLock<Recorder>>);

impl Losses {
    fn record(&self, envelope: &Envelope, loss: Loss) {
        loss.count(1);
        if let (Some(recorder), Some(reason)) = (self.0.get(), loss.reason()) {
            recorder.record_lost_data(envelope, reason);
        }
    }
}

enum Message {
    Envelope(Box<Envelope>, Ticket),
    /// Serialised elsewhere, because the protocol's crate has no such item.
    Serialised(Category, Vec<u8>, Ticket),
    /// Send what came before and the sessions so far, then answer.
    Flush(Sender<()>),
}

/// How many envelopes of each kind wait.
#[derive(Default)]
struct Waiting([AtomicUsize; KINDS]);

/// One envelope's place among those that wait, which is free again when this is dropped.
struct Ticket {
    waiting: Arc<Waiting>,
    kind: Kind,
}

impl Waiting {
    /// A place for one more of this kind, if there is one.
    fn admit(this: &Arc<Self>, kind: Kind) -> Option<Ticket> {
        let place = kind as usize;
        let ticket = Ticket {
            waiting: this.clone(),
            kind,
        };
        // The ticket gives back what was taken, also where it was too much.
        (this.0[place].fetch_add(1, Ordering::AcqRel) < ROOM[place]).then_some(ticket)
    }
}

impl Drop for Ticket {
    fn drop(&mut self) {
        self.waiting.0[self.kind as usize].fetch_sub(1, Ordering::AcqRel);
    }
}

/// The transport of the Sentry client.
pub(crate) struct Outbox {
    queue: Sender<Message>,
    waiting: Arc<Waiting>,
    /// Register here before sending the envelope of a transaction that is yet to be built.
    pub(crate) drafts: Drafts,
    losses: Losses,
}

impl Outbox {
    /// Starts the thread that hands envelopes to `delivery`, and now and then the `sessions`.
    pub(crate) fn start(delivery: impl Delivery, sessions: Arc<Sessions>) -> io::Result<Self> {
        // A loss that never happened must read 0, not be absent: alerts compare against it.
        SENT.add(0, &[]);
        for loss in Loss::ALL {
            loss.count(0);
        }

        let (queue, messages) = channel();
        let losses = Losses::default();
        let drafts = Drafts::default();
        let postman = Postman {
            delivery,
            sessions,
            drafts: drafts.clone(),
            losses: losses.clone(),
            limits: RateLimits::default(),
            symbols: Symbols::default(),
            failing: false,
        };
        thread::Builder::new()
            .name("sentry".to_owned())
            .spawn(move || postman.run(&messages))?;
        Ok(Self {
            queue,
            waiting: Arc::default(),
            drafts,
            losses,
        })
    }

    /// Queues an envelope that is serialised already.
    pub(crate) fn send_serialised(&self, category: Category, envelope: Vec<u8>) {
        let ticket = Waiting::admit(&self.waiting, category.into());
        let message = ticket.map(|ticket| Message::Serialised(category, envelope, ticket));
        if message.is_none_or(|message| self.queue.send(message).is_err()) {
            Loss::QueueFull.count(1);
        }
    }
}

impl Transport for Outbox {
    fn send_envelope(&self, envelope: Envelope) {
        let kind = envelope.items().next().map_or(Category::Other, category).into();
        let Some(ticket) = Waiting::admit(&self.waiting, kind) else {
            return self.losses.record(&self.drafts.forget(envelope), Loss::QueueFull);
        };
        if let Err(SendError(Message::Envelope(envelope, _))) =
            self.queue.send(Message::Envelope(Box::new(envelope), ticket))
        {
            self.losses
                .record(&self.drafts.forget(*envelope), Loss::QueueFull);
        }
    }

    fn flush(&self, limit: Duration) -> bool {
        let (done, sent) = channel();
        self.queue.send(Message::Flush(done)).is_ok() && sent.recv_timeout(limit).is_ok()
    }
}

/// Gives the client its transport, and the transport the client's book of losses.
pub(crate) struct OutboxFactory(pub(crate) Arc<Outbox>);

impl TransportFactory for OutboxFactory {
    fn create_transport_with_options(&self, options: TransportOptions) -> Arc<dyn Transport> {
        // There is one client per outbox.
        let _ = self.0.losses.0.set(options.client_report_recorder);
        self.0.clone()
    }
}

/// The state of the sending thread.
struct Postman<D> {
    delivery: D,
    sessions: Arc<Sessions>,
    drafts: Drafts,
    losses: Losses,
    limits: RateLimits,
    symbols: Symbols,
    failing: bool,
}

impl<D: Delivery> Postman<D> {
    fn run(mut self, messages: &Receiver<Message>) {
        let mut sessions_due = Instant::now() + SESSION_INTERVAL;
        loop {
            match messages.recv_timeout(sessions_due.saturating_duration_since(Instant::now())) {
                Ok(Message::Envelope(envelope, ticket)) => {
                    drop(ticket);
                    self.send(*envelope);
                }
                Ok(Message::Serialised(category, bytes, ticket)) => {
                    drop(ticket);
                    self.send_serialised(category, &bytes);
                }
                Ok(Message::Flush(done)) => {
                    self.send_sessions();
                    // The one who asked may have stopped waiting.
                    let _ = done.send(());
                }
                Err(RecvTimeoutError::Timeout) => {}
                Err(RecvTimeoutError::Disconnected) => return,
            }
            if sessions_due <= Instant::now() {
                self.send_sessions();
                sessions_due = Instant::now() + SESSION_INTERVAL;
            }
        }
    }

    fn send_sessions(&mut self) {
        if let Some(sessions) = self.sessions.take() {
            let mut envelope = Envelope::new();
            envelope.add_item(sessions);
            self.send(envelope);
        }
    }

    fn send(&mut self, envelope: Envelope) {
        let now = Instant::now();
        if envelope
            .items()
            .any(|item| self.limits.forbid(category(item), now))
        {
            self.losses
                .record(&self.drafts.forget(envelope), Loss::RateLimited);
            return;
        }
        let envelope = self.named(self.drafts.complete(envelope));
        let mut bytes = Vec::new();
        let loss = match envelope.to_writer(&mut bytes) {
            Ok(()) => self.deliver(&bytes),
            Err(error) => {
                tracing::error!(%error, "an event for Sentry cannot be written");
                Some(Loss::Refused)
            }
        };
        if let Some(loss) = loss {
            self.losses.record(&envelope, loss);
        }
    }

    fn send_serialised(&mut self, category: Category, bytes: &[u8]) {
        let loss = if self.limits.forbid(category, Instant::now()) {
            Some(Loss::RateLimited)
        } else {
            self.deliver(bytes)
        };
        if let Some(loss) = loss {
            loss.count(1);
        }
    }

    /// The envelope with the names of its stacks' functions.
    fn named(&mut self, envelope: Envelope) -> Envelope {
        if envelope.event().is_none() {
            return envelope;
        }
        let headers = envelope.headers().clone();
        let mut named = Envelope::new();
        for mut item in envelope.into_items() {
            if let EnvelopeItem::Event(event) = &mut item {
                let exceptions = event.exception.values.iter_mut();
                let stacks = exceptions.filter_map(|exception| exception.stacktrace.as_mut());
                stacks.for_each(|stack| stack::name(stack, &mut self.symbols));
            }
            named.add_item(item);
        }
        named.with_headers(headers)
    }

    /// Sends one envelope; what is returned says how it was lost.
    fn deliver(&mut self, bytes: &[u8]) -> Option<Loss> {
        let answer = self.delivery.deliver(bytes);
        if let Ok(answer) = &answer {
            self.limits.update(answer, Instant::now());
        }
        let (loss, problem) = match answer {
            Ok(answer) if (200..300).contains(&answer.status) => {
                SENT.add(1, &[]);
                (None, String::new())
            }
            Ok(answer) => {
                let limited = answer.status == 429;
                let loss = if limited {
                    Loss::RefusedByRateLimit
                } else {
                    Loss::Refused
                };
                (Some(loss), format!("it answered with status {}", answer.status))
            }
            Err(error) => (Some(Loss::Unreachable), error),
        };
        // Said when it changes, not for every envelope.
        if loss.is_some() && !self.failing {
            tracing::warn!(error = problem, "Sentry takes no events; requests are unaffected");
        } else if loss.is_none() && self.failing {
            tracing::info!("Sentry takes events again");
        }
        self.failing = loss.is_some();
        loss
    }
}

fn category(item: &EnvelopeItem) -> Category {
    match item {
        EnvelopeItem::Event(_) => Category::Error,
        EnvelopeItem::Transaction(_) => Category::Transaction,
        EnvelopeItem::SessionUpdate(_) | EnvelopeItem::SessionAggregates(_) => Category::Session,
        _ => Category::Other,
    }
}

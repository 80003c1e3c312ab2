//! Transactions that are yet to be built. That takes longer than many a request, so it is done on the sending thread.

use std::{
    collections::HashMap,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
};

use sentry::{
    Envelope,
    protocol::{EnvelopeItem, Span, Transaction},
    types::Uuid,
};

/// What is known of a transaction before it is built.
pub(crate) struct Draft {
    /// How many spans it has besides its root: what Sentry is told when it is lost.
    pub(crate) spans: usize,
    pub(crate) build: Box<dyn FnOnce() -> Transaction<'static> + Send>,
}

/// Drafts by the id of the transaction that stands for them in the queue. Clones share them.
#[derive(Clone, Default)]
pub(crate) struct Drafts(Arc<Mutex<HashMap<Uuid, Draft>>>);

impl Drafts {
    /// An envelope that stands for `draft` until it is [completed](Self::complete) or [forgotten](Self::forget).
    pub(crate) fn envelope(&self, draft: Draft) -> Envelope {
        let stand_in = Transaction::default();
        self.lock().insert(stand_in.event_id, draft);
        let mut envelope = Envelope::new();
        envelope.add_item(stand_in);
        envelope
    }

    /// The envelope with its transaction built.
    pub(super) fn complete(&self, envelope: Envelope) -> Envelope {
        self.replace(envelope, |draft| (draft.build)())
    }

    /// The envelope with as many empty spans as its transaction would have, to be counted.
    pub(super) fn forget(&self, envelope: Envelope) -> Envelope {
        self.replace(envelope, |draft| Transaction {
            spans: vec![Span::default(); draft.spans],
            ..Transaction::default()
        })
    }

    fn replace(&self, envelope: Envelope, replace: impl Fn(Draft) -> Transaction<'static>) -> Envelope {
        let is_drafted = |item: &EnvelopeItem| matches!(item, EnvelopeItem::Transaction(_));
        if !envelope.items().any(is_drafted) {
            return envelope;
        }
        let headers = envelope.headers().clone();
        let mut replaced = Envelope::new();
        for mut item in envelope.into_items() {
            if let EnvelopeItem::Transaction(stand_in) = &mut item {
                let draft = self.lock().remove(&stand_in.event_id);
                if let Some(draft) = draft {
                    **stand_in = Transaction {
                        event_id: stand_in.event_id,
                        ..replace(draft)
                    };
                }
            }
            replaced.add_item(item);
        }
        replaced.with_headers(headers)
    }

    fn lock(&self) -> MutexGuard<'_, HashMap<Uuid, Draft>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn draft(spans: usize) -> Draft {
        let build = move || Transaction {
            name: Some("GET /x".to_owned()),
            spans: vec![Span::default(); spans],
            ..Transaction::default()
        };
        Draft {
            spans,
            build: Box::new(build),
        }
    }

    /// Name and number of spans of the transaction, if it has the envelope's id.
    fn transaction(envelope: &Envelope) -> Option<(Option<&str>, usize)> {
        match envelope.items().next() {
            Some(EnvelopeItem::Transaction(transaction))
                if Some(&transaction.event_id) == envelope.uuid() =>
            {
                Some((transaction.name.as_deref(), transaction.spans.len()))
            }
            _ => None,
        }
    }

    #[test]
    fn a_draft_is_built_under_the_id_that_stood_for_it_and_only_once() {
        let drafts = Drafts::default();
        let (first, second) = (drafts.envelope(draft(1)), drafts.envelope(draft(2)));
        let (second, first) = (drafts.complete(second), drafts.complete(first));
        assert_eq!(transaction(&first), Some((Some("GET /x"), 1)));
        assert_eq!(transaction(&second), Some((Some("GET /x"), 2)));
        assert!(drafts.lock().is_empty());
    }

    #[test]
    fn a_lost_draft_is_not_built_and_counts_with_its_spans() {
        let drafts = Drafts::default();
        let lost = drafts.forget(drafts.envelope(draft(3)));
        assert_eq!(transaction(&lost), Some((None, 3)));
        assert!(drafts.lock().is_empty());
    }
}

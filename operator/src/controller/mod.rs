//! From a change in the cluster to the next one: watches trigger reconciles, a reconcile asks the core what to do.

mod agenda;
mod backoff;
mod edits;
mod effects;
mod error;
mod holdings;
mod measure;
mod news;
mod progress;
mod reconcile;
mod reference_watches;
mod referrers;
mod snapshots;
mod watch_backoff;
mod watches;

pub use self::{
    agenda::{Agenda, Look, Mark, Outcome},
    backoff::Backoff,
    effects::{fresh_entropy, kinds_of_objects, read_facts, read_live},
    error::{NoEntropy, ReconcileError, WriteFailure},
    holdings::Holdings,
    news::News,
    progress::Progress,
    reconcile::{Knowledge, Reconciled, reconcile},
    reference_watches::ReferenceWatches,
    referrers::Referrers,
    snapshots::{Snapshot, Snapshots},
    watches::{Operator, Watched, controller, watch},
};

//! Test doubles and builders for the operator: a cluster in memory with real merge semantics and faults, generators of
//! Platforms, and the examples of this repository.

mod examples;
mod fake;
mod merge;
mod rollout;
mod strategies;

pub use examples::{example, examples, examples_directory, settings};
pub use fake::{FakeCluster, Fault, Told, Write};
pub use rollout::Fate;
pub use strategies::platforms;

//! What a user of Tracewell does, on a live cluster in which the chart is installed and `examples/demo.yaml` applied
//! (`make up` does both).
//!
//! Tests of requests use that Platform and leave it as it is. Tests that break something have a namespace of their
//! own; it stays when they fail, to be looked at, and goes with their next run.

mod balanced;
mod database;
mod database_problems;
mod deletion;
mod drift;
mod external_database;
mod faults;
mod flow;
mod journey;
mod last_span;
mod metrics;
mod polyglot;
mod problems;
mod production;
mod rest;
mod rollout;
mod secrets;

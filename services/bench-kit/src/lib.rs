//! What the benches of the services share: servers in processes of their own, load, backends that take the servers'
//! telemetry, medians with their range, and figures with targets.

#![expect(
    clippy::cast_precision_loss,
    reason = "counts, bytes and nanoseconds of a run are far below 2^52"
)]

pub mod backends;
pub mod figures;
pub mod load;
pub mod process;
pub mod sink;
pub mod statistics;

/// Bytes of one.
pub const MEBIBYTE: f64 = 1024.0 * 1024.0;

//! The configurations of collectors and of Jaeger, as they are rendered, loaded by the program that they are for: what
//! it makes of them only it can say. Jaeger v2 is both.
//!
//! `TRACEWELL_ASSETS` names the directory with `jaeger`. Addresses are changed to ports of the loopback, and directories
//! to some that the test may write; nothing else is.
#![expect(clippy::unwrap_used, reason = "a failed step is a failed test")]

mod backends;
mod examples;
mod rendered;
mod running;
mod sampling;
mod spans;
mod storage;

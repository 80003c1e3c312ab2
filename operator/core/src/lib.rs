//! The pure core of the Tracewell operator: what a Platform means, decided without any IO.
//!
//! Read it in the order of a decision, [`step::step`]:
//!
//! | module | question |
//! |---|---|
//! | [`api`] | what people write, and what the operator answers |
//! | [`resolve`] | what does the Platform mean, and which rules does it break? |
//! | [`build`] | which objects make it so? |
//! | [`desired`] | whose are they, and in which order do they come? |
//! | [`observe`] | what does the cluster really run? |
//! | [`holds`] | what has to wait, and for what? |
//! | [`diff`] | what has to be done, and why? |
//! | [`evidence`] | what has to be asked to know whether spans arrive, and what do the answers mean? |
//! | [`trace`] | what is a trace, on its way and in Jaeger? |
//! | [`status`] | what is there to say about it? |
//!
//! Beside it stand [`leader`], which of several operators decides at all, and [`claims`], which of several Platforms has a
//! host or a port.
//!
//! Nothing here reads a clock, the environment, a file or the network: `Cargo.toml` and `clippy.toml` see to that.

pub mod api;
pub mod build;
pub mod claims;
pub mod desired;
pub mod diff;
pub mod evidence;
pub mod hash;
pub mod holds;
pub mod kinds;
pub mod known;
pub mod labels;
pub mod leader;
pub mod names;
pub mod observe;
pub mod ownership;
pub mod passwords;
pub mod quantity;
pub mod reason;
pub mod references;
pub mod resolve;
pub mod settings;
pub mod status;
pub mod step;
pub mod trace;

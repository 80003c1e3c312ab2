//! The Tracewell operator: watches Platforms and carries out what the pure core decides.
//!
//! | room | what happens there |
//! |---|---|
//! | [`cluster`] | requests to the API server, and nothing but requests |
//! | [`controller`] | watches, and one reconcile from reading to status |
//! | [`evidence`] | whether spans arrive: services, Jaeger and collectors are asked |
//! | [`leader`] | which of several operators reconciles |
//! | [`http`] | probes and metrics |
//! | [`run`], [`preflight`] | wiring of these for `tracewell-operator run` |
//! | [`manifest`], [`render`], [`lint`], [`diff`] | the same brain on a file instead of a watch |
//! | [`schema`] | what the API server checks of a manifest, checked on a file |
//! | [`permissions`] | what the operator may do, derived from the table of kinds |
//! | [`settings`] | flags and environment |

pub mod cluster;
pub mod controller;
pub mod diff;
pub mod evidence;
pub mod http;
pub mod leader;
pub mod lint;
pub mod manifest;
pub mod permissions;
pub mod preflight;
pub mod render;
pub mod run;
pub mod schema;
pub mod settings;

//! The gateway's own endpoints, one file each.

pub mod api_docs;
pub mod health;

//! The plugin as a person uses it, on a live cluster with the Platform of `examples/demo.yaml` (`make up`), which stays as
//! it is.

mod demo;

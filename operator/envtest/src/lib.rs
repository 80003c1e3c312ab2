//! A real control plane and the real operator as processes on loopback, for the operator's tests and bench. Nothing
//! stays behind, even when the process that started them is killed.

mod control_plane;
mod controllers;
mod objects;
mod operator;
mod supervised;
mod usage;

pub use control_plane::{ControlPlane, assets};
pub use controllers::start_controllers;
pub use objects::{create_namespace, install_crd};
pub use operator::Operator;
pub use supervised::Supervised;
pub use tracewell_e2e::ports::free_ports;
pub use usage::Usage;

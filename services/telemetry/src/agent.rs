//! What the HTTP clients towards both backends have in common. They work on threads of their own, outside of any runtime.

use ureq::{Agent, config::ConfigBuilder, typestate::AgentScope};

/// Of what is sent and of what is answered, this much at a time; the header of an answer must fit. ureq would take 128 KiB for
/// each direction of each connection, and write zeros to all of it.
const BUFFER: usize = 32 << 10;

/// A client's configuration so far.
pub(crate) fn config() -> ConfigBuilder<AgentScope> {
    Agent::config_builder()
        .http_status_as_error(false)
        .input_buffer_size(BUFFER)
        .output_buffer_size(BUFFER)
}

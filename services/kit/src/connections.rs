//! Connections that outlive the request that opened them, such as a WebSocket.

use std::future::Future;

use tokio_util::{sync::CancellationToken, task::TaskTracker};

/// The connections that a service keeps open. A server that stops tells them so, and waits for them as for
/// requests under way. Clones are the same connections.
#[derive(Debug, Clone, Default)]
pub struct Connections {
    stopping: CancellationToken,
    tasks: TaskTracker,
}

impl Connections {
    /// Serves a connection until `connection` ends.
    pub fn spawn(&self, connection: impl Future<Output = ()> + Send + 'static) {
        self.tasks.spawn(connection);
    }

    /// Done once the service stops: from then on a connection should end as soon as it can in good order.
    /// What is still open after the server's patience is cut off.
    pub fn stopping(&self) -> &CancellationToken {
        &self.stopping
    }

    /// Waits until every connection has ended.
    pub(crate) async fn ended(&self) {
        self.tasks.close();
        self.tasks.wait().await;
    }
}

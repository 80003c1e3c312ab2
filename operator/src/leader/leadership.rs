//! Whether this operator leads, as its reconciles need to know it.

use tokio::sync::watch;
use tokio_util::sync::CancellationToken;

/// Cheap to clone; all clones know the same.
#[derive(Debug, Clone)]
pub struct Leadership {
    leads: watch::Receiver<bool>,
    stop: CancellationToken,
}

impl Leadership {
    /// What `leads` says, until `stop`.
    pub fn new(leads: watch::Receiver<bool>, stop: CancellationToken) -> Self {
        Self { leads, stop }
    }

    /// Waits until this operator leads; false when it is told to stop before.
    pub async fn is_won(&self) -> bool {
        let mut leads = self.leads.clone();
        tokio::select! {
            won = leads.wait_for(|leads| *leads) => won.is_ok(),
            () = self.stop.cancelled() => false,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn a_follower_waits_and_goes_on_when_it_leads_or_must_stop() {
        let (leads, receiver) = watch::channel(false);
        let stop = CancellationToken::new();
        let leadership = Leadership::new(receiver, stop.clone());
        let waiting = tokio::spawn({
            let leadership = leadership.clone();
            async move { leadership.is_won().await }
        });
        tokio::task::yield_now().await;
        assert!(!waiting.is_finished());
        leads.send_replace(true);
        assert!(waiting.await.unwrap());

        leads.send_replace(false);
        let waiting = tokio::spawn(async move { leadership.is_won().await });
        stop.cancel();
        assert!(!waiting.await.unwrap());
    }
}

//! Certificates whose files change while a gateway runs: somebody renews them, and tells nobody.

use std::time::Duration;

use super::Live;
use crate::tls::Stamp;

/// How often it is looked whether to look, while nobody wants certificates to be watched.
const IDLE: Duration = Duration::from_secs(10);

impl Live {
    /// Looks at the files as often as `tls.watch` says, and uses what has changed. Ends with the process.
    pub(crate) async fn watch_certificates(self) {
        let Some(mut seen) = self.stamp().await else {
            return;
        };
        loop {
            let watch = self.inner.running.lock().await.latest.settings.tls.watch;
            tokio::select! {
                () = tokio::time::sleep(watch.unwrap_or(IDLE)) => {}
                () = self.inner.stopper.stopped() => return,
            }
            if watch.is_none() {
                continue;
            }
            let Some(stamp) = self.stamp().await else { return };
            if stamp != seen {
                seen = stamp;
                self.renew().await;
            }
        }
    }

    /// What the files look like. `None` without a secure listener.
    async fn stamp(&self) -> Option<Stamp> {
        self.inner.parts.secure.as_ref()?;
        let settings = self.inner.running.lock().await.latest.settings.tls.clone();
        tokio::task::spawn_blocking(move || Stamp::of(&settings))
            .await
            .ok()
    }

    /// Reads the files again. While only one of two files is new they do not fit, and the former ones stay.
    async fn renew(&self) {
        let Some(secure) = &self.inner.parts.secure else {
            return;
        };
        let running = self.inner.running.lock().await;
        match secure.prepare(&running.latest.settings.tls) {
            Ok(prepared) if secure.is_other(&prepared) => {
                secure.install(prepared);
                self.inner.condition.certificates_changed();
                tracing::info!("certificates have changed; connections that begin get the new ones");
            }
            Ok(prepared) => secure.install(prepared),
            Err(error) => {
                tracing::warn!("changed certificates cannot be used, the former ones stay: {error:#}");
            }
        }
    }
}

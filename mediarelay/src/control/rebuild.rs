//! Going on with the calls of an earlier relay.

use std::time::Instant;

use viaduct_session::{PortPair, Rebuilt};

use super::office::Office;
use crate::state::Saved;

impl Office {
    /// Makes the calls of an earlier relay again and opens their ports. What became of them, in a line.
    pub(super) fn rebuild(&mut self, now: Instant, saved: Saved) -> String {
        let path = saved.path.display().to_string();
        // All of them first: what they have is not for the stock.
        let mut rebuilt = Vec::new();
        let mut lost = 0;
        for (name, rows) in saved.calls {
            match self.relay.rebuild(now, saved.alive, name, &rows) {
                Ok(call) => rebuilt.push(call),
                Err(reason) => {
                    lost += 1;
                    tracing::info!("a call of an earlier relay ends: {reason}");
                }
            }
        }
        let mut going_on = 0;
        for call in rebuilt {
            if self.go_on(now, call) {
                going_on += 1;
            } else {
                lost += 1;
            }
        }
        format!("calls are kept in {path}; of an earlier relay {going_on} go on and {lost} have ended")
    }

    /// Opens the ports of a call and lets it go on. False if they cannot be opened.
    fn go_on(&mut self, now: Instant, call: Rebuilt) -> bool {
        let mut open: Vec<PortPair> = Vec::new();
        for pair in call.pairs() {
            if let Err(error) = self.open_pair(now, pair) {
                tracing::info!(
                    "a call of an earlier relay ends: its port {} cannot be opened: {error}",
                    pair.rtp()
                );
                for pair in open {
                    // Nobody knows of them yet, so they are closed at once.
                    let _ = self.sockets.close(pair.rtp(), &mut self.crew);
                    let _ = self.sockets.close(pair.rtcp(), &mut self.crew);
                }
                self.relay.abandon(now, call);
                return false;
            }
            open.push(pair);
        }
        self.favour(call.call_id());
        self.relay.go_on(now, call);
        self.carry_out(now);
        true
    }
}

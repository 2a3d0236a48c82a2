//! Calls in the text interface.

use std::time::{Duration, Instant};

use viaduct_ng::{ByteString, Delete, Reply, Request, WordSet};

use super::command::Which;
use super::{Cli, print};
use crate::control::Office;
use crate::line::Unavailable;

/// Calls that are ended in one turn of control, so that commands of proxies do not wait for all of them.
const ENDS_PER_TURN: usize = 64;

impl Cli {
    pub(super) async fn num_sessions(&self) -> Result<String, Unavailable> {
        let gauges = self.line.visit(|office| office.relay.gauges()).await?;
        Ok(print::num_sessions(&gauges))
    }

    pub(super) async fn sessions(&self, which: Which<'_>) -> Result<String, Unavailable> {
        let call_id = match which {
            Which::All => return self.list().await,
            Which::Foreign => return Ok(print::NO_SESSIONS.to_owned()),
            Which::One(call_id) => ByteString::from(call_id),
        };
        let wanted = call_id.clone();
        let look = move |office: &mut Office| {
            let summary = office.relay.calls().find(|call| call.call_id == wanted)?;
            Some((summary, office.relay.report(wanted.as_bytes())?))
        };
        Ok(match self.line.visit(look).await? {
            Some((summary, report)) => print::session(&summary, &report),
            None => print::unknown(&call_id),
        })
    }

    /// Where flows are: those of one call each, those of all calls counted.
    pub(super) async fn kernel(&self, which: Which<'_>) -> Result<String, Unavailable> {
        let call_id = match which {
            Which::All => {
                let counts = self.line.visit(|office| office.counts()).await?;
                return Ok(print::kernel(&counts));
            }
            Which::Foreign => return Ok(print::NO_SESSIONS.to_owned()),
            Which::One(call_id) => ByteString::from(call_id),
        };
        let wanted = call_id.clone();
        let look = move |office: &mut Office| {
            let is_known = office.relay.calls().any(|call| call.call_id == wanted);
            is_known.then(|| office.in_kernel(Instant::now(), wanted.as_bytes()))
        };
        Ok(match self.line.visit(look).await? {
            Some(Some(flows)) => print::flows(&flows),
            Some(None) => print::NO_KERNEL_PATH.to_owned(),
            None => print::unknown(&call_id),
        })
    }

    pub(super) async fn terminate(&self, which: Which<'_>) -> Result<String, Unavailable> {
        let call_ids: Vec<ByteString> = match which {
            Which::All => {
                let names = |office: &mut Office| office.relay.calls().map(|call| call.call_id).collect();
                self.line.visit(names).await?
            }
            Which::Foreign => Vec::new(),
            Which::One(call_id) => vec![ByteString::from(call_id)],
        };
        let mut ended = 0;
        for some in call_ids.chunks(ENDS_PER_TURN).map(<[_]>::to_vec) {
            let end = |office: &mut Office| some.into_iter().filter(|call_id| end(office, call_id)).count();
            ended += self.line.visit(end).await?;
        }
        Ok(match which {
            Which::One(call_id) if ended == 0 => print::unknown(&call_id.into()),
            Which::One(_) | Which::All | Which::Foreign => print::terminated(ended),
        })
    }

    async fn list(&self) -> Result<String, Unavailable> {
        let calls: Vec<_> = self.line.visit(|office| office.relay.calls().collect()).await?;
        let mut text = String::new();
        for call in &calls {
            print::session_line(&mut text, call);
        }
        if calls.is_empty() {
            text.push_str(print::NO_SESSIONS);
        }
        Ok(text)
    }
}

/// Ends a call at once. Returns whether there was one.
fn end(office: &mut Office, call_id: &ByteString) -> bool {
    let delete = Delete {
        call_id: call_id.clone(),
        from_tag: None,
        to_tag: None,
        via_branch: None,
        delete_delay: Some(Duration::ZERO),
        flags: WordSet::new(),
    };
    match office.ask(Instant::now(), &Request::Delete(delete)) {
        Reply::Ok(ok) => ok.warning.is_none(),
        Reply::Pong | Reply::Error { .. } | Reply::LoadLimit { .. } => false,
    }
}

//! Scripted browsers and phones.

use std::collections::VecDeque;

use viaduct_sip::Message;
use viaduct_txn::Flow;

/// Names one end of a [`World`](crate::World).
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct EndId(pub(crate) usize);

#[derive(Debug)]
pub(crate) struct End {
    pub(crate) user: String,
    pub(crate) flow: Flow,
    /// False once its connection is closed.
    pub(crate) is_connected: bool,
    pub(crate) inbox: VecDeque<Message>,
    pub(crate) counter: u32,
}

impl End {
    /// The URI that it registers and puts into Contact.
    pub(crate) fn contact(&self) -> String {
        if self.flow.transport.is_websocket() {
            format!("sip:k{}@{}.invalid;transport=ws", self.user, self.user)
        } else {
            format!("sip:{}@{}", self.user, self.flow.remote)
        }
    }

    /// The sent-by of its Vias.
    pub(crate) fn sent_by(&self) -> String {
        if self.flow.transport.is_websocket() {
            format!("{}.invalid", self.user)
        } else {
            self.flow.remote.to_string()
        }
    }
}

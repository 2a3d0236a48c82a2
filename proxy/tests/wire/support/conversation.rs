//! Two phones that talk while others misbehave, and how long they have to wait for each other.

use std::time::{Duration, Instant};

use viaduct_sip::Transport::{Tcp, Tls};
use viaduct_sip::{Method, Transport};

use super::gateway::Gateway;
use super::media::Media;
use super::phone::{Dialog, Phone, expect_status};

/// A call between two users.
pub(crate) struct Conversation {
    caller: Phone,
    callee: Phone,
    dialog: Dialog,
    /// How long setting up a call took, each time.
    setups: Vec<Duration>,
    /// How long a request within the call took, each time.
    exchanges: Vec<Duration>,
}

impl Conversation {
    pub(crate) fn of(gateway: &Gateway) -> Self {
        Self::over(gateway, [Tcp, Tls])
    }

    /// The same over other transports, the caller's first.
    pub(crate) fn over(gateway: &Gateway, [caller, callee]: [Transport; 2]) -> Self {
        let mut caller = Phone::over(caller, gateway, "201");
        let mut callee = Phone::over(callee, gateway, "202");
        caller.register();
        callee.register();
        let (dialog, took) = set_up(&mut caller, &mut callee);
        Self {
            caller,
            callee,
            dialog,
            setups: vec![took],
            exchanges: Vec::new(),
        }
    }

    /// One asks within the call, and the other answers. Then they begin a second call, and end it.
    pub(crate) fn go_on(&mut self) {
        let begun = Instant::now();
        let info = self.caller.send_within(&mut self.dialog, Method::Info);
        let asked = self.callee.request(Method::Info);
        self.callee.respond(&asked, 200);
        expect_status(&self.caller.final_answer(&info), 200);
        self.exchanges.push(begun.elapsed());
        let (second, took) = set_up(&mut self.caller, &mut self.callee);
        self.setups.push(took);
        self.end(second);
    }

    /// How many calls were set up.
    pub(crate) fn calls(&self) -> usize {
        self.setups.len()
    }

    /// How long they had to wait at most: for a call, and within one.
    pub(crate) fn longest(&self) -> (Duration, Duration) {
        let longest = |of: &[Duration]| of.iter().max().copied().unwrap_or_default();
        (longest(&self.setups), longest(&self.exchanges))
    }

    pub(crate) fn hang_up(mut self) {
        let dialog = self.dialog.clone();
        self.end(dialog);
    }

    fn end(&mut self, dialog: Dialog) {
        let bye = self.caller.leave(dialog);
        let asked = self.callee.request(Method::Bye);
        self.callee.respond(&asked, 200);
        expect_status(&self.caller.final_answer(&bye), 200);
    }
}

/// Sets up a call. Answers the caller's side of it, and how long it took.
pub(crate) fn set_up(caller: &mut Phone, callee: &mut Phone) -> (Dialog, Duration) {
    let sdp = |phone: &Phone| Media::at(phone.wire.local().ip()).sdp();
    let (offer, accepted) = (sdp(caller), sdp(callee));
    let begun = Instant::now();
    let sent = caller.begin(caller.invitation(callee.user, &offer));
    let invite = callee.request(Method::Invite);
    callee.accept(&invite, &accepted);
    let accepted = caller.final_answer(&sent);
    let took = begun.elapsed();
    let dialog = caller.acknowledge(&accepted);
    callee.acknowledged(&invite);
    (dialog, took)
}

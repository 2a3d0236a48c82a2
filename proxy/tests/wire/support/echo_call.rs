//! A call to the echo service.

use std::net::SocketAddr;

use super::gateway::Gateway;
use super::media::{Media, destination};
use super::phone::{Dialog, Phone};

/// See the module.
pub(crate) struct EchoCall {
    pub(crate) phone: Phone,
    media: Media,
    /// Where it speaks to.
    pub(crate) relay: SocketAddr,
    dialog: Dialog,
}

impl EchoCall {
    /// Of a phone over TCP, which hears the echo.
    pub(crate) fn of(gateway: &Gateway, user: &'static str) -> Self {
        let mut call = Self::begin(Phone::tcp(gateway, user));
        call.expect_echo();
        call
    }

    /// Accepted and acknowledged: the service has its chime to play first.
    pub(crate) fn begin(mut phone: Phone) -> Self {
        let media = Media::at(phone.wire.local().ip());
        let invite = phone.begin(phone.invitation("100", &media.sdp()));
        let accepted = phone.final_answer(&invite);
        let dialog = phone.acknowledge(&accepted);
        Self {
            phone,
            media,
            relay: destination(accepted.body()),
            dialog,
        }
    }

    /// The call stands, and is heard.
    pub(crate) fn expect_echo(&mut self) {
        self.media.hear_echo(self.relay);
    }

    pub(crate) fn hang_up(self) {
        let Self {
            mut phone, dialog, ..
        } = self;
        phone.hang_up(dialog);
    }
}

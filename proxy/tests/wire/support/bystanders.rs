//! Those who use a gateway while strangers mistreat it.

use std::net::SocketAddr;

use viaduct_sip::Method;

use super::echo_call::EchoCall;
use super::gateway::Gateway;
use super::phone::{Phone, expect_status};

/// A registered phone, a registered browser, and a call.
pub(crate) struct Bystanders {
    phone: Phone,
    browser: Phone,
    call: EchoCall,
}

impl Bystanders {
    pub(crate) fn of(gateway: &Gateway) -> Self {
        let (mut phone, mut browser) = (Phone::udp(gateway, "201"), Phone::ws(gateway, "300"));
        phone.register();
        browser.register();
        Self {
            phone,
            browser,
            call: EchoCall::begin(Phone::tcp(gateway, "202")),
        }
    }

    /// Nothing has changed for them: both can be reached, and the call is heard.
    pub(crate) fn expect_unharmed(&mut self) {
        let caller = &mut self.call.phone;
        for called in [&mut self.phone, &mut self.browser] {
            let draft = caller
                .draft(Method::Message, called.user)
                .body("text/plain", "Are you there?");
            let sent = caller.begin(draft);
            let asked = called.request(Method::Message);
            assert_eq!(asked.request_uri_text(), Some(&*called.contact));
            called.respond(&asked, 200);
            expect_status(&caller.final_answer(&sent), 200);
        }
        self.call.expect_echo();
    }

    /// Where the call's media is received.
    pub(crate) fn media(&self) -> SocketAddr {
        self.call.relay
    }

    /// They leave, unharmed to the end.
    pub(crate) fn leave(mut self) {
        self.expect_unharmed();
        self.call.hang_up();
    }
}

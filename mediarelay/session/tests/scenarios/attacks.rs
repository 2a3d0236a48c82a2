//! Attacks by name. Each is made on one call while another one runs beside it. In the end both are as they were, the
//! tables are as large as before, and what was refused has been counted.
//!
//! [`Town::bombard`] sees to what must hold for every datagram of an attacker: the call beside goes on, and the answer, if
//! there is one, is hardly larger than the question.

mod media;
mod signalling;
mod transports;

use std::net::SocketAddr;

use viaduct_forward::{DropReason, Verdict};
use viaduct_session::Gauges;
use viaduct_stun::lite::GROWTH_MAX;

use crate::browser::Browser;
use crate::browser_and_phone::*;
use crate::hostile::{DTLS, check};
use crate::phone::{Phone, receiver_report, rtp};
use crate::world::*;

/// How many datagrams of an attacker come between two of the call beside.
const BETWEEN: usize = 100;

/// One of many attackers, or one attacker at many addresses.
fn attacker(n: usize) -> SocketAddr {
    let [.., high, low] = (n as u32 / 50_000).to_be_bytes();
    SocketAddr::from(([198, 18, high, low], (10_000 + n % 50_000) as u16))
}

/// A browser and a phone in a call.
struct Pair {
    id: &'static str,
    browser: Browser,
    phone: Phone,
    /// What the browser was told.
    to_browser: Sdp,
}

impl Pair {
    /// Their SDPs are exchanged, and nothing else has been sent.
    fn signalled(world: &mut World, id: &'static str, n: u8, flags: &str) -> Self {
        let mut browser = Browser::new(&format!("203.0.113.{n}:50000"), 0xb000_0000 + u32::from(n));
        let mut phone = Phone::new(&format!("198.51.100.{n}:4000"), 0x0f00_0000 + u32::from(n));
        phone.read(&world.sdp(&in_call(id, offer(&browser.offer(), "b", None, flags))));
        let to_browser = world.sdp(&in_call(id, answer(&phone.sdp(), "b", "p", PHONE_ANSWERS_WEB)));
        browser.read(&to_browser);
        Self {
            id,
            browser,
            phone,
            to_browser,
        }
    }

    #[track_caller]
    fn talk(&mut self, world: &mut World) {
        hear_each_other(world, &mut self.browser, &mut self.phone);
    }

    /// What somebody who sees the browser's checks knows.
    fn username(&self) -> String {
        let ours = self.to_browser.value("ice-ufrag");
        format!("{ours}:{}", self.browser.credentials.ufrag)
    }

    /// Where the relay hears the phone's RTP.
    fn for_phone(&self) -> SocketAddr {
        self.phone.relay.unwrap()
    }
}

/// A relay with a call that is attacked and one beside it.
struct Town {
    world: World,
    victim: Pair,
    beside: Pair,
    sent: usize,
}

impl Town {
    /// The call beside runs; of the one that is attacked only the SDPs are exchanged.
    fn signalled_with(flags: &str) -> Self {
        let mut world = World::new();
        let mut beside = Pair::signalled(&mut world, "beside", 1, WEB_TO_PHONE);
        Browser::connect(&mut world, &mut [&mut beside.browser]);
        beside.talk(&mut world);
        let victim = Pair::signalled(&mut world, "victim", 2, flags);
        Self {
            world,
            victim,
            beside,
            sent: 0,
        }
    }

    fn signalled() -> Self {
        Self::signalled_with(WEB_TO_PHONE)
    }

    /// Both calls run.
    fn running() -> Self {
        let mut town = Self::signalled();
        Browser::connect(&mut town.world, &mut [&mut town.victim.browser]);
        town.victim.talk(&mut town.world);
        town
    }

    fn shared() -> SocketAddr {
        addr(&format!("{RELAY}:{SHARED}"))
    }

    /// A datagram of an attacker from an address where nobody else is. What it got for it.
    #[track_caller]
    fn bombard(&mut self, from: SocketAddr, to: SocketAddr, data: &[u8]) -> (Verdict, usize) {
        let verdict = self.forge(from, to, data);
        let answers = self.world.take(from);
        let octets = answers.iter().map(|answer| answer.data.len()).sum();
        assert!(
            octets == 0 || octets <= data.len() + GROWTH_MAX,
            "{octets} octets for {}",
            data.len()
        );
        (verdict, octets)
    }

    /// A datagram that shows a false address, perhaps that of the attacked.
    #[track_caller]
    fn forge(&mut self, from: SocketAddr, to: SocketAddr, data: &[u8]) -> Verdict {
        let verdict = self.world.receive(from, to, data);
        self.sent += 1;
        if self.sent.is_multiple_of(BETWEEN) {
            self.beside.talk(&mut self.world);
            self.world.wait_millis(20);
        }
        verdict
    }

    fn dropped(&self, reason: DropReason) -> u64 {
        self.world.worker.stats().snapshot().dropped(reason)
    }

    fn gauges(&self) -> Gauges {
        self.world.relay.gauges()
    }

    /// Both calls run as before; with them everything goes.
    #[track_caller]
    fn ends_unharmed(mut self, before: Gauges) {
        assert_eq!(self.gauges(), before, "what the relay keeps");
        for pair in [&mut self.victim, &mut self.beside] {
            pair.talk(&mut self.world);
            pair.talk(&mut self.world);
            self.world.ok(&delete_call(pair.id));
        }
        self.world.assert_empty();
    }
}

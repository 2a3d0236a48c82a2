//! Calls between browsers and phones: one port for all browsers, on which every worker has a socket.

use std::net::IpAddr;

use viaduct_ng::{IceMode, Offer, Options, Reply, Request, RtcpMux, TransportProtocol};
use viaduct_settings::{IceMode as IceSetting, MediaSettings};

use crate::support::browser::Browser;
use crate::support::call::{answer, delete, ok, sdp_of};
use crate::support::phone::{Phone, media_of};
use crate::support::{InProcess, own_address, settings};

/// A call of a browser to a phone that was answered, with keys.
pub(crate) struct Call {
    id: String,
    browser: Browser,
    phone: Phone,
    /// Where the relay takes the phone's RTP and RTCP.
    for_phone: (std::net::SocketAddr, std::net::SocketAddr),
    sequence: u16,
}

impl Call {
    fn set_up(relay: &InProcess, number: u32) -> Self {
        Self::of(relay, number, Browser::at(own_address(), 1_000 + number))
    }

    fn of(relay: &InProcess, number: u32, browser: Browser) -> Self {
        Self::at(relay, number, browser, own_address())
    }

    /// The same with a phone at this address.
    pub(crate) fn at(relay: &InProcess, number: u32, mut browser: Browser, address: IpAddr) -> Self {
        let id = format!("call {number}");
        let phone = Phone::at(address, 2_000 + number);
        let for_phone = media_of(&sdp_of(relay.ask(offer(&id, &browser))));
        let keys_before = relay.snapshot().counters.dtls_connected;
        let answer = to_browser(&id, &phone, browser.has_ice());
        browser.connect(&sdp_of(relay.ask(answer)));
        // The relay has its keys a little later, and its workers have them when it answers the next command.
        relay.wait_for("the relay's keys", |now| {
            now.counters.dtls_connected > keys_before
        });
        assert_eq!(relay.ask(Request::Ping), Reply::Pong);
        Self {
            id,
            browser,
            phone,
            for_phone,
            sequence: 0,
        }
    }

    pub(crate) fn id(&self) -> &str {
        &self.id
    }

    /// Both send media, and each hears what the other has sent.
    pub(crate) fn talk(&mut self, packets: u16) {
        for _ in 0..packets {
            self.sequence += 1;
            let (ours, theirs) = (
                self.browser.packet(self.sequence),
                self.phone.packet(self.sequence),
            );
            self.browser.send(&ours);
            assert_eq!(self.phone.hear(), (ours, self.for_phone.0));
            self.phone.rtp.send_to(&theirs, self.for_phone.0).unwrap();
            assert_eq!(self.browser.hear(), theirs);
        }
    }

    /// The same with RTCP, which the browser has on the port of RTP and the phone has not.
    pub(crate) fn report(&mut self) {
        let (ours, theirs) = (self.browser.report(), self.phone.report());
        self.browser.send(&ours);
        assert_eq!(self.phone.hear_report(), (ours, self.for_phone.1));
        self.phone.rtcp.send_to(&theirs, self.for_phone.1).unwrap();
        assert_eq!(self.browser.hear(), theirs);
    }
}

/// A browser's offer, to be read by a phone.
fn offer(call_id: &str, browser: &Browser) -> Request {
    let mut options = Options {
        transport_protocol: Some(TransportProtocol::RtpAvp),
        ..Options::default()
    };
    options.ice.mode = Some(IceMode::Remove);
    options.rtcp_mux.insert(RtcpMux::Demux);
    Request::Offer(Box::new(Offer {
        sdp: browser.sdp().into(),
        call_id: call_id.into(),
        from_tag: "alice".into(),
        to_tag: None,
        via_branch: None,
        options,
    }))
}

/// A phone's answer, to be read by the browser that offered.
fn to_browser(call_id: &str, phone: &Phone, has_ice: bool) -> Request {
    let Request::Answer(mut answer) = answer(call_id, &phone.sdp()) else {
        unreachable!("an answer")
    };
    answer.options = Options::default();
    answer.options.ice.mode = Some(if has_ice { IceMode::Force } else { IceMode::Remove });
    Request::Answer(answer)
}

/// RFC 5763 section 5: DTLS-SRTP without ICE, whoever begins the handshake.
#[test]
fn a_carrier_with_dtls_and_without_ice_and_a_phone_hear_each_other() {
    let relay = InProcess::start_with(settings(own_address()));
    for (number, setup) in ["actpass", "active", "passive"].into_iter().enumerate() {
        let carrier = Browser::carrier_at(own_address(), 1_000, setup);
        let mut call = Call::of(&relay, number as u32, carrier);
        call.talk(20);
        call.report();
        let report = ok(relay.ask(delete(&call.id))).call.unwrap();
        assert_eq!((report.totals.rtp.packets, report.totals.rtcp.packets), (40, 2));
    }
    let empty = relay.wait_until_empty();
    assert_eq!(
        (empty.counters.ice_connected, empty.counters.dtls_connected),
        (0, 3)
    );
    relay.shut_down();
}

#[test]
fn a_browser_and_a_phone_hear_each_other() {
    for ice in [IceSetting::Lite, IceSetting::Full] {
        let relay = InProcess::start_with(MediaSettings {
            ice,
            ..settings(own_address())
        });
        let mut call = Call::set_up(&relay, 0);
        assert_eq!(call.browser.relay, relay.handle.browser_ports()[0]);
        call.talk(20);
        call.report();
        call.talk(20);
        let report = ok(relay.ask(delete(&call.id))).call.unwrap();
        assert_eq!((report.totals.rtp.packets, report.totals.rtcp.packets), (80, 2));
        let empty = relay.wait_until_empty();
        assert_eq!(
            (empty.counters.ice_connected, empty.counters.dtls_connected),
            (1, 1)
        );
        relay.shut_down();
    }
}

#[test]
fn without_a_port_for_all_a_browser_has_one_of_its_own() {
    let media = MediaSettings {
        browser_port: None,
        ..settings(own_address())
    };
    let relay = InProcess::start_with(media);
    assert_eq!(relay.handle.browser_ports(), []);
    let mut call = Call::set_up(&relay, 0);
    assert!(
        (30_000..40_000).contains(&call.browser.relay.port()),
        "{}",
        call.browser.relay
    );
    call.talk(5);
    call.report();
    ok(relay.ask(delete(&call.id)));
    relay.wait_until_empty();
    relay.shut_down();
}

#[test]
fn many_browsers_share_one_port_and_do_not_mix() {
    let relay = InProcess::start(own_address());
    let mut calls: Vec<Call> = (0..10).map(|number| Call::set_up(&relay, number)).collect();
    for _ in 0..5 {
        calls.iter_mut().for_each(|call| call.talk(2));
    }
    calls.iter_mut().for_each(Call::report);
    let busy = relay.snapshot();
    assert_eq!((busy.gauges.calls, busy.gauges.dtls_associations), (10, 10));
    assert_eq!(
        (
            busy.control.orders_failed,
            busy.control.addresses_unknown,
            busy.counters.dtls_failed
        ),
        (0, 0, 0)
    );
    for call in &calls {
        ok(relay.ask(delete(&call.id)));
    }
    relay.wait_until_empty();
    relay.shut_down();
}

#[test]
fn what_is_not_authentic_is_neither_forwarded_nor_learnt_from() {
    let relay = InProcess::start(own_address());
    let mut call = Call::set_up(&relay, 0);
    call.talk(1);
    // From the browser's own address: in the clear, and with a tag that is wrong.
    let clear = call.browser.packet(77);
    let wrong = [&clear[..], &[0; 16]].concat();
    for packet in [&clear, &wrong] {
        call.browser.socket.send_to(packet, call.browser.relay).unwrap();
    }
    // The phone hears the good one next.
    call.talk(1);
    let not_authentic = viaduct_forward::DropReason::NotAuthentic;
    let dropped = |now: &viaduct_mediarelay::Snapshot| {
        now.workers
            .iter()
            .map(|worker| worker.forward.dropped(not_authentic))
            .sum::<u64>()
    };
    assert_eq!(dropped(&relay.snapshot()), 2);
    relay.shut_down();
}

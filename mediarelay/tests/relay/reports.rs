//! RTCP of the relay's own (NG `generate-RTCP`), over real sockets.

use std::net::SocketAddr;

use viaduct_ng::{Encoding, Flag, Request};
use viaduct_rtp::rtcp::{Compound, RtcpPacket};

use crate::support::call::{Call, delete, ok};
use crate::support::ng::Proxy;
use crate::support::program::Program;
use crate::support::tcp::http;
use crate::support::{free_port, own_address};

#[test]
fn both_phones_are_told_by_the_relay_what_it_has_sent_and_heard() {
    let address = own_address();
    let metrics = SocketAddr::new(address, free_port(address));
    let relay = Program::start(&["--listen-http", &metrics.to_string()]);
    let mut proxy = Proxy::of(relay.ng, Encoding::Bencode);
    let mut call = Call::set_up_at(address, "reported", |request| {
        let mut request = request.clone();
        if let Request::Offer(offer) = &mut request {
            offer.options.flags.insert(Flag::GenerateRtcp);
        }
        proxy.ask(&request)
    });
    call.talk(20);
    // Stays with the relay.
    call.alice
        .rtcp
        .send_to(&call.alice.report(), call.for_alice.1)
        .unwrap();
    for (phone, relay, hears, says) in [
        (&call.alice, call.for_alice.1, 0xb0b, 0xa11ce),
        (&call.bob, call.for_bob.1, 0xa11ce, 0xb0b),
    ] {
        let (packet, from) = phone.hear_report();
        assert_eq!(from, relay);
        let compound = Compound::parse(&packet).unwrap();
        let Some(RtcpPacket::SenderReport(report)) = compound.packets().next() else {
            panic!("{packet:?}")
        };
        assert_eq!((report.ssrc, report.info.packets), (hears, 20));
        let blocks: Vec<_> = report
            .blocks()
            .map(|block| (block.ssrc, block.highest_sequence))
            .collect();
        assert_eq!(blocks, [(says, 19)]);
    }
    let page = String::from_utf8(http(metrics, "GET", "/metrics", "", b"").1).unwrap();
    for line in [
        "viaduct_relay_reports_sent_total 2",
        "viaduct_relay_drops_total{reason=\"RTCP reports are replaced by the relay's own\"} 1",
    ] {
        assert!(page.lines().any(|have| have == line), "{line} in {page}");
    }
    call.talk(3);
    ok(proxy.ask(&delete("reported")));
}

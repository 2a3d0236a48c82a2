//! The four-row table of the OpenSIPS WebSocket tutorial, exactly as written there, works when put into the
//! configuration: what each row lacks for its reader is added.

use viaduct_ng::{Flag, IceMode, Options, RtcpMux, TransportProtocol, flags};
use viaduct_routing::media::{Policy, Row, Table};
use viaduct_sim::{BROWSER_ANSWER, BROWSER_OFFER, EndId, PHONE_ANSWER, PHONE_OFFER, World};

fn parse(text: &str) -> Options {
    let parsed = flags::parse_opensips(text);
    assert!(!parsed.has_errors(), "{:?}", parsed.diagnostics);
    parsed.flags.options
}

fn row(offer: &str, answer: &str) -> Row {
    Row {
        offer: parse(offer),
        answer: parse(answer),
    }
}

fn world() -> (World, [EndId; 4]) {
    const PHONE: &str = "RTP/AVP replace-session-connection replace-origin ICE=remove";
    const WEB: &str = "UDP/TLS/RTP/SAVPF ICE=force";
    const WEB_TO_WEB: &str = "ICE=force-relay DTLS=passive";
    let table = Table {
        ws_to_ws: row(WEB_TO_WEB, WEB_TO_WEB),
        ws_to_phone: row(PHONE, WEB),
        phone_to_ws: row(WEB, PHONE),
        phone_to_phone: row(PHONE, PHONE),
    };
    let mut world = World::with(|config, _| config.media.policy = Policy::Table(Box::new(table)));
    let ends = [
        world.browser("300"),
        world.browser("301"),
        world.phone("201"),
        world.phone("202"),
    ];
    for end in ends {
        world.register(end);
    }
    (world, ends)
}

/// The options of offer and answer of one call.
fn asked(caller: usize, callee: usize) -> (Options, Options) {
    let (mut world, ends) = world();
    let offer = if caller < 2 { BROWSER_OFFER } else { PHONE_OFFER };
    let answer = if callee < 2 { BROWSER_ANSWER } else { PHONE_ANSWER };
    world.answered(ends[caller], ends[callee], offer, answer);
    (
        world.relay.asked[0].options().clone(),
        world.relay.asked[1].options().clone(),
    )
}

fn is_for_browser(options: &Options) -> bool {
    options.transport_protocol == Some(TransportProtocol::UdpTlsRtpSavpf)
        && options.ice.mode == Some(IceMode::Force)
        && options.rtcp_mux.contains(RtcpMux::Require)
        && options.sdes.is_off()
        && options.has(Flag::GenerateMid)
}

fn is_for_phone(options: &Options) -> bool {
    options.transport_protocol == Some(TransportProtocol::RtpAvp)
        && options.ice.mode == Some(IceMode::Remove)
        && options.rtcp_mux.contains(RtcpMux::Demux)
}

#[test]
fn every_row_serves_both_of_its_readers() {
    for (caller, callee) in [(0, 1), (0, 2), (2, 0), (2, 3)] {
        let (offer, answer) = asked(caller, callee);
        assert_eq!(
            is_for_browser(&offer),
            callee < 2,
            "offer {caller} to {callee}: {offer:?}"
        );
        assert_eq!(
            is_for_phone(&offer),
            callee >= 2,
            "offer {caller} to {callee}: {offer:?}"
        );
        assert_eq!(
            is_for_browser(&answer),
            caller < 2,
            "answer {callee} to {caller}: {answer:?}"
        );
        assert_eq!(
            is_for_phone(&answer),
            caller >= 2,
            "answer {callee} to {caller}: {answer:?}"
        );
    }
}

/// What the rows say beyond the need is kept: the obsolete word goes to the relay as OpenSIPS would send it.
#[test]
fn what_a_row_says_is_sent() {
    let (offer, _) = asked(0, 2);
    assert!(offer.replace.contains(viaduct_ng::Replace::SessionConnection));
}

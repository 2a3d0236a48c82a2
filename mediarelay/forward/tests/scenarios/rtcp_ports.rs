//! RTCP on the port of RTP, on a port of its own, and between the two.

use viaduct_forward::{Accept, DropReason, FlowId, FlowRule, Route};

use crate::peers::*;

const MUXED: &str = "198.51.100.20:7000";

/// Phone A has separate ports, phone B one for both.
fn separate_meets_muxed(relay: &mut Relay) {
    let to_muxed = || vec![Route::to(out(VIDEO, MUXED))];
    relay.install(FlowRule::new(FlowId(1), key(AUDIO, PHONE), PHONE_LEG, to_muxed()));
    let rtcp = FlowRule::new(FlowId(2), key(AUDIO_RTCP, PHONE_RTCP), PHONE_LEG, to_muxed());
    relay.install(FlowRule {
        accept: Accept::RTCP,
        ..rtcp
    });
    let route = Route {
        rtcp_out: Some(out(AUDIO_RTCP, PHONE_RTCP)),
        ..Route::to(out(AUDIO, PHONE))
    };
    relay.install(FlowRule::new(
        FlowId(3),
        key(VIDEO, MUXED),
        PHONE_LEG,
        vec![route],
    ));
}

#[test]
fn a_muxed_flow_is_split_and_separate_ones_are_joined() {
    let mut relay = Relay::new();
    separate_meets_muxed(&mut relay);
    let report = sender_report(5, 1, &[]);
    assert_eq!(
        relay.forwards(MUXED, VIDEO, &rtp(5, 1), out(AUDIO, PHONE)),
        rtp(5, 1)
    );
    assert_eq!(
        relay.forwards(MUXED, VIDEO, &report, out(AUDIO_RTCP, PHONE_RTCP)),
        report
    );
    assert_eq!(
        relay.forwards(PHONE, AUDIO, &rtp(6, 1), out(VIDEO, MUXED)),
        rtp(6, 1)
    );
    assert_eq!(
        relay.forwards(PHONE_RTCP, AUDIO_RTCP, &report, out(VIDEO, MUXED)),
        report
    );
}

#[test]
fn an_rtcp_port_takes_no_rtp() {
    let mut relay = Relay::new();
    separate_meets_muxed(&mut relay);
    relay.drops(PHONE_RTCP, AUDIO_RTCP, &rtp(6, 1), DropReason::NotAccepted);
    assert_eq!(relay.flow(2).drops, [(DropReason::NotAccepted, 1)]);
}

#[test]
fn a_route_without_rtcp_output_counts_what_it_drops() {
    let mut relay = Relay::new();
    let route = Route {
        rtcp_out: None,
        ..Route::to(out(VIDEO, MUXED))
    };
    relay.install(FlowRule::new(
        FlowId(1),
        key(AUDIO, PHONE),
        PHONE_LEG,
        vec![route],
    ));
    relay.forwards(PHONE, AUDIO, &rtp(6, 1), out(VIDEO, MUXED));
    relay.drops(PHONE, AUDIO, &receiver_report(6, &[]), DropReason::NoOutput);
}

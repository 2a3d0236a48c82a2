//! Every table has an end, and a command that passes it changes nothing.

use viaduct_forward::{
    ClockRate, Command, CommandError, DropReason, FlowId, FlowRule, IceAgent, IcePassword, IceRule, LegId,
    Limits, MidSelector, Route, Select, Shared, SocketId,
};

use crate::peers::*;

fn small() -> Relay {
    let limits = Limits {
        sockets: 4,
        flows: 2,
        routes_per_flow: 2,
        selectors_per_route: 3,
        ufrags: 1,
        dtls_tuples: 1,
        ..Limits::default()
    };
    Relay::with(limits, Shared::default())
}

fn rule(flow: u64, remote: &str, routes: Vec<Route>) -> Command {
    Command::InstallFlow(FlowRule::new(FlowId(flow), key(AUDIO, remote), PHONE_LEG, routes))
}

fn route() -> Route {
    Route::to(out(VIDEO, PHONE_VIDEO))
}

fn select(payload_types: &[u8], ssrcs: &[u32]) -> Route {
    let select = Select {
        payload_types: payload_types.to_vec(),
        ssrcs: ssrcs.to_vec(),
        mid: None,
    };
    Route { select, ..route() }
}

#[test]
fn flows_are_bounded() {
    let mut relay = small();
    relay.command(rule(1, PHONE, vec![route()]));
    relay.command(rule(2, STRANGER, vec![route()]));
    assert_eq!(
        relay.refused(rule(3, BROWSER, vec![route()])),
        CommandError::Limit("flows")
    );
    relay.command(rule(2, BROWSER, vec![route()]));
    relay.command(Command::RemoveFlow { flow: FlowId(1) });
    relay.command(rule(3, PHONE, vec![route()]));
    assert_eq!(relay.worker.stats().snapshot().flows, 2);
}

#[test]
fn routes_and_selectors_are_bounded() {
    let mut relay = small();
    let three = vec![route(), route(), route()];
    assert_eq!(
        relay.refused(rule(1, PHONE, three)),
        CommandError::Limit("routes_per_flow")
    );
    let four = vec![select(&[0, 8], &[1, 2])];
    assert_eq!(
        relay.refused(rule(1, PHONE, four)),
        CommandError::Limit("selectors_per_route")
    );
    let clocks = FlowRule {
        clock_rates: vec![
            ClockRate {
                payload_type: 96,
                hertz: 90_000
            };
            4
        ],
        ..FlowRule::new(FlowId(1), key(AUDIO, PHONE), PHONE_LEG, vec![route()])
    };
    assert_eq!(
        relay.refused(Command::InstallFlow(clocks)),
        CommandError::Limit("selectors_per_route")
    );
    assert_eq!(
        relay.refused(rule(1, PHONE, vec![select(&[128], &[])])),
        CommandError::Selector
    );
    for (extension_id, mid) in [(0, "a"), (1, "")] {
        let mid = Some(MidSelector {
            extension_id,
            mid: mid.into(),
        });
        let route = Route {
            select: Select {
                mid,
                ..Select::default()
            },
            ..route()
        };
        assert_eq!(relay.refused(rule(1, PHONE, vec![route])), CommandError::Selector);
    }
    relay.drops(PHONE, AUDIO, &rtp(1, 1), DropReason::NoLeg);
}

#[test]
fn a_flow_without_routes_drops_by_name() {
    let mut relay = small();
    relay.command(rule(1, PHONE, Vec::new()));
    relay.drops(PHONE, AUDIO, &rtp(1, 1), DropReason::NoRoute);
    relay.drops(PHONE, AUDIO, &receiver_report(1, &[]), DropReason::NoRoute);
}

#[test]
fn sockets_are_bounded_and_have_one_owner() {
    let mut relay = small();
    let bind = |socket, local| Command::BindSocket {
        socket: SocketId(socket),
        local: addr(local),
    };
    let beyond = CommandError::SocketNumber(SocketId(4));
    assert_eq!(relay.refused(bind(4, "192.0.2.1:9")), beyond);
    let local = addr("192.0.2.1:9");
    let in_use = CommandError::SocketInUse {
        socket: SocketId(1),
        local,
    };
    assert_eq!(relay.refused(bind(1, "192.0.2.1:9")), in_use);
    let socket = relay.socket(VIDEO);
    relay.command(Command::UnbindSocket { socket });
    let in_use = CommandError::SocketInUse {
        socket,
        local: addr(AUDIO),
    };
    assert_eq!(relay.refused(bind(socket.0, AUDIO)), in_use);
    relay.command(bind(socket.0, "192.0.2.1:9"));
    let unknown = CommandError::UnknownSocket(addr(VIDEO));
    assert_eq!(relay.refused(rule(1, PHONE, vec![route()])), unknown);
}

#[test]
fn ice_and_dtls_tables_are_bounded() {
    let mut relay = small();
    let ice = |ufrag: &str| {
        let agent = IceAgent::Lite {
            password: IcePassword("secret".into()),
        };
        Command::SetIce(IceRule {
            ufrag: ufrag.into(),
            leg: LegId(1),
            remote_ufrag: None,
            agent,
        })
    };
    relay.command(ice("a"));
    relay.command(ice("a"));
    assert_eq!(relay.refused(ice("b")), CommandError::Limit("ufrags"));
    let allow = |remote| Command::AllowDtls {
        tuple: key(SHARED, remote),
        leg: LegId(1),
    };
    relay.command(allow(BROWSER));
    relay.command(allow(BROWSER));
    assert_eq!(relay.refused(allow(STRANGER)), CommandError::Limit("dtls_tuples"));
    relay.command(Command::RevokeDtls {
        tuple: key(SHARED, BROWSER),
    });
    relay.command(allow(STRANGER));
}

#[test]
fn secrets_do_not_show() {
    let password = IcePassword("hunter2".into());
    assert_eq!(format!("{password:?}"), "IcePassword(..)");
}

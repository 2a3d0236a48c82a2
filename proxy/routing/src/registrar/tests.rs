use viaduct_sip::Transport;

use super::*;
use crate::test::{base, parse};

const SECOND: Duration = Duration::from_secs(1);

struct Desk {
    location: Location,
    limits: Limits,
    now: Instant,
    cseq: u32,
}

impl Desk {
    fn new() -> Self {
        Self {
            location: Location::default(),
            limits: Limits::default(),
            now: base(),
            cseq: 0,
        }
    }

    fn register(&mut self, headers: &str) -> Result<Registered, RegisterRefusal> {
        self.cseq += 1;
        self.register_as("call-1", self.cseq, headers)
    }

    fn register_as(
        &mut self,
        call_id: &str,
        cseq: u32,
        headers: &str,
    ) -> Result<Registered, RegisterRefusal> {
        let request = parse(
            format!(
                "REGISTER sip:example.com SIP/2.0\r\nVia: SIP/2.0/UDP h;branch=z9hG4bK1\r\n\
                 From: <sip:alice@example.com>;tag=1\r\nTo: <sip:alice@example.com>\r\nCall-ID: {call_id}\r\n\
                 CSeq: {cseq} REGISTER\r\nUser-Agent: Desk\r\n{headers}\r\n"
            )
            .as_bytes(),
        );
        let times = RegistrarTimes::default();
        let registrar = Registrar {
            times: &times,
            limits: &self.limits,
            contacts_max: None,
        };
        let extensions = Extensions::read(&request, false, &self.limits)?;
        let essentials = request.essentials().unwrap();
        registrar.register(
            &self.location,
            &aor(),
            (&request, &essentials),
            &extensions,
            (flow(), self.now),
        )
    }

    fn uris(&self) -> Vec<String> {
        let found = self.location.lookup(&aor(), self.now);
        let mut uris: Vec<String> = found.iter().map(|binding| binding.uri.to_string()).collect();
        uris.sort();
        uris
    }
}

fn aor() -> Aor {
    Aor::from_uri(&Uri::parse("sip:alice@example.com").unwrap()).unwrap()
}

fn flow() -> Flow {
    Flow {
        transport: Transport::Udp,
        local: "192.0.2.1:5060".parse().unwrap(),
        remote: "192.0.2.2:61000".parse().unwrap(),
        conn: None,
    }
}

/// RFC 3261 10.3 step 8; the flow is where the request came from, the URI stays as registered.
#[test]
fn a_contact_is_bound_to_the_flow_it_was_registered_over() {
    let mut desk = Desk::new();
    let done = desk
        .register("Contact: <sip:alice@10.0.0.5:5062;ob>;q=0.5\r\nExpires: 120\r\n")
        .unwrap();
    let binding = &done.bindings[0];
    assert_eq!(&*binding.uri, "sip:alice@10.0.0.5:5062;ob");
    assert_eq!(
        (binding.q, binding.flow, binding.flags),
        (500, flow(), Flags::NONE)
    );
    assert_eq!(binding.time_left(desk.now), Some(120 * SECOND));
    assert_eq!(binding.user_agent.as_deref(), Some("Desk"));
    assert_eq!(
        contact_value(binding, desk.now),
        b"<sip:alice@10.0.0.5:5062;ob>;expires=120;q=0.500"
    );
}

/// RFC 3261 10.3 step 7: expires of the contact, else the header, else ours; cut, never raised.
#[test]
fn the_expiry_is_the_contacts_own_or_the_headers_or_the_default() {
    let mut desk = Desk::new();
    let mut left = |headers: &str| {
        let done = desk.register(headers).unwrap();
        done.kept[0].time_left(desk.now).unwrap().as_secs()
    };
    assert_eq!(left("Contact: <sip:a@h>;expires=90\r\nExpires: 300\r\n"), 90);
    assert_eq!(left("Contact: <sip:a@h>\r\nExpires: 300\r\n"), 300);
    assert_eq!(left("Contact: <sip:a@h>\r\n"), 600);
    assert_eq!(left("Contact: <sip:a@h>;expires=4294967295\r\n"), 7_200);
    assert_eq!(left("Contact: <sip:a@h>;expires=99999999999999\r\n"), 7_200);
    assert_eq!(
        desk.register("Contact: <sip:a@h>;expires=59\r\n"),
        Err(RegisterRefusal::TooBrief)
    );
}

/// RFC 3261 10.2.3 and 10.3: no Contact changes nothing, whatever Expires says.
#[test]
fn a_register_without_contact_asks_only() {
    let mut desk = Desk::new();
    desk.register("Contact: <sip:a@h>, <sip:b@h>\r\n").unwrap();
    let told = desk.register("Expires: 0\r\n").unwrap();
    assert_eq!(
        (told.bindings.len(), told.kept.len(), told.removed.len()),
        (2, 0, 0)
    );
}

/// RFC 3261 10.2.2 and 10.3 step 6.
#[test]
fn a_wildcard_removes_everything_and_only_alone_with_expires_0() {
    let mut desk = Desk::new();
    desk.register("Contact: <sip:a@h>, <sip:b@h>\r\n").unwrap();
    for bad in [
        "Contact: *\r\n",
        "Contact: *\r\nExpires: 60\r\n",
        "Contact: *, <sip:a@h>\r\nExpires: 0\r\n",
    ] {
        assert_eq!(desk.register(bad), Err(RegisterRefusal::BadWildcard), "{bad}");
    }
    assert_eq!(desk.uris(), ["sip:a@h", "sip:b@h"]);
    let done = desk.register("Contact: *\r\nExpires: 0\r\n").unwrap();
    assert_eq!((done.bindings.len(), done.removed.len()), (0, 2));
    assert!(desk.location.is_empty());
}

#[test]
fn one_contact_of_several_can_be_removed() {
    let mut desk = Desk::new();
    desk.register("Contact: <sip:a@h>\r\nContact: <sip:b@h>\r\n")
        .unwrap();
    let done = desk.register("Contact: <sip:a@h>;expires=0\r\n").unwrap();
    assert_eq!((done.bindings.len(), done.removed.len()), (1, 1));
    assert_eq!(desk.uris(), ["sip:b@h"]);
    let unknown = desk.register("Contact: <sip:nobody@h>;expires=0\r\n").unwrap();
    assert_eq!((unknown.bindings.len(), unknown.removed.len()), (1, 0));
}

/// RFC 3261 10.3 step 7: requests of one Call-ID take effect in the order of their CSeq.
#[test]
fn a_late_request_of_the_same_call_changes_nothing() {
    let mut desk = Desk::new();
    desk.register_as("x", 5, "Contact: <sip:a@h>\r\n").unwrap();
    for (cseq, headers) in [
        (5, "Contact: <sip:a@h>\r\n"),
        (4, "Contact: <sip:a@h>;expires=0\r\n"),
        (4, "Contact: *\r\nExpires: 0\r\n"),
    ] {
        assert_eq!(
            desk.register_as("x", cseq, headers),
            Err(RegisterRefusal::OutOfOrder),
            "{headers}"
        );
    }
    assert_eq!(desk.uris(), ["sip:a@h"]);
    desk.register_as("another", 1, "Contact: <sip:a@h>;expires=0\r\n")
        .unwrap();
    assert!(desk.location.is_empty());
}

/// RFC 3261 10.3 step 7: all or nothing.
#[test]
fn one_bad_contact_leaves_every_binding_as_it_was() {
    let mut desk = Desk::new();
    desk.register("Contact: <sip:a@h>\r\n").unwrap();
    for (headers, refusal) in [
        (
            "Contact: <sip:b@h>, <sip:c@h>;expires=5\r\n",
            RegisterRefusal::TooBrief,
        ),
        ("Contact: <sip:b@h>, <tel:+1>\r\n", RegisterRefusal::BadContact),
        (
            "Contact: <sip:b@h>, \"x <sip:c@h>\r\n",
            RegisterRefusal::BadContact,
        ),
    ] {
        assert_eq!(desk.register(headers), Err(refusal), "{headers}");
    }
    assert_eq!(desk.uris(), ["sip:a@h"]);
}

/// RFC 5626 5.2: the same device on the same flow replaces, whatever its URI has become.
#[test]
fn a_page_loaded_again_replaces_its_contact() {
    let mut desk = Desk::new();
    let device = |user: &str| {
        format!(
            "Supported: outbound\r\n\
             Contact: <sip:{user}@x.invalid;transport=ws>;+sip.instance=\"<urn:uuid:1>\";reg-id=1\r\n"
        )
    };
    desk.register(&device("one")).unwrap();
    let done = desk.register(&device("two")).unwrap();
    assert_eq!(desk.uris(), ["sip:two@x.invalid;transport=ws"]);
    assert_eq!(
        done.replaced.iter().map(|old| &*old.uri).collect::<Vec<_>>(),
        ["sip:one@x.invalid;transport=ws"]
    );
    let value = contact_value(&done.bindings[0], desk.now);
    assert_eq!(
        value,
        b"<sip:two@x.invalid;transport=ws>;expires=600;+sip.instance=\"<urn:uuid:1>\";reg-id=1"
    );
}

#[test]
fn the_contact_refreshed_longest_ago_is_pushed_out() {
    let mut desk = Desk::new();
    desk.limits.contacts_per_aor_max = 2;
    desk.register("Contact: <sip:a@h>, <sip:b@h>\r\n").unwrap();
    desk.register("Contact: <sip:a@h>\r\n").unwrap();
    let done = desk.register("Contact: <sip:c@h>\r\n").unwrap();
    assert_eq!(
        done.removed
            .iter()
            .map(|binding| &*binding.uri)
            .collect::<Vec<_>>(),
        ["sip:b@h"]
    );
    assert_eq!(desk.uris(), ["sip:a@h", "sip:c@h"]);
    let done = desk
        .register("Contact: <sip:1@h>, <sip:2@h>, <sip:3@h>\r\n")
        .unwrap();
    assert_eq!(
        (done.kept.len(), done.removed.len(), desk.uris().len()),
        (2, 3, 2)
    );
}

#[test]
fn a_full_registrar_refuses_new_contacts_and_refreshes_old_ones() {
    let mut desk = Desk::new();
    desk.limits.contacts_max = 1;
    desk.register("Contact: <sip:a@h>\r\n").unwrap();
    assert_eq!(
        desk.register("Contact: <sip:b@h>\r\n"),
        Err(RegisterRefusal::Full)
    );
    desk.register("Contact: <sip:a@h>\r\n").unwrap();
    desk.limits.contacts_per_register_max = 1;
    assert_eq!(
        desk.register("Contact: <sip:a@h>, <sip:b@h>\r\n"),
        Err(RegisterRefusal::TooLarge)
    );
}

#[test]
fn a_websocket_contact_carries_its_branch_flag() {
    let desk = Desk::new();
    let request = parse(
        b"REGISTER sip:example.com SIP/2.0\r\nVia: SIP/2.0/WSS x.invalid;branch=z9hG4bK1\r\n\
          From: <sip:alice@example.com>;tag=1\r\nTo: <sip:alice@example.com>\r\nCall-ID: c\r\nCSeq: 1 REGISTER\r\n\
          Contact: <sip:k3@x.invalid;transport=ws>\r\n\r\n",
    );
    let times = RegistrarTimes::default();
    let registrar = Registrar {
        times: &times,
        limits: &desk.limits,
        contacts_max: None,
    };
    let flow = Flow {
        transport: Transport::Wss,
        conn: viaduct_txn::ConnId::new(3),
        ..flow()
    };
    let done = registrar
        .register(
            &desk.location,
            &aor(),
            (&request, &request.essentials().unwrap()),
            &Extensions::default(),
            (flow, desk.now),
        )
        .unwrap();
    assert!(done.bindings[0].flags.has(Flag::DstWs));
}

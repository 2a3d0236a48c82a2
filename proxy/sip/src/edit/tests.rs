use proptest::prelude::*;

use super::*;
use crate::{Limits, NameAddr};

fn message(text: &str) -> Message {
    Message::parse_datagram(Bytes::from(text.to_owned()), &Limits::default()).unwrap()
}

fn edited<'m>(message: &'m Message, change: impl FnOnce(&mut Edit<'m>)) -> String {
    let mut edit = Edit::new(message);
    change(&mut edit);
    String::from_utf8(edit.finish().unwrap().to_vec()).unwrap()
}

fn fault<'m>(message: &'m Message, change: impl FnOnce(&mut Edit<'m>)) -> EditError {
    let mut edit = Edit::new(message);
    change(&mut edit);
    edit.finish().unwrap_err()
}

const REQUEST: &str = "INVITE sip:bob@example.com SIP/2.0\r\n\
    v:  SIP/2.0/UDP a;rport;branch=z9hG4bKa ,\r\n\tSIP/2.0/TCP b\r\n\
    rOuTe: <sip:one;lr>\r\nRoute: <sip:two;lr>, <sip:three;lr>,\r\n <sip:four;lr>\r\n\
    Max-Forwards :  70 \r\nX-Odd:\tUnt0uched  \r\nm: <sip:a@b>\r\n\r\nbody";

#[test]
fn no_change_is_the_same_memory() {
    let message = message(REQUEST);
    let out = Edit::new(&message).finish().unwrap();
    assert_eq!(out.as_ptr(), message.octets().as_ptr());
    assert_eq!(out, REQUEST);
}

#[test]
fn a_forwarded_request_keeps_what_was_not_touched() {
    let message = message(REQUEST);
    let out = edited(&message, |edit| {
        edit.mark_source("192.0.2.1:5062".parse().unwrap())
            .set_request_uri("sip:bob@[2001:db8::1];transport=ws")
            .set(HeaderName::MaxForwards, "69")
            .prepend(HeaderName::RecordRoute, "<sip:p1;lr>")
            .prepend(HeaderName::RecordRoute, "<sip:p2;lr>")
            .prepend(HeaderName::Via, "SIP/2.0/WSS p;branch=z9hG4bKp")
            .ensure_content_length();
        assert_eq!(edit.remove_first(HeaderName::Route), Some(&b"<sip:one;lr>"[..]));
        assert_eq!(edit.remove_first("Route"), Some(&b"<sip:two;lr>"[..]));
    });
    assert_eq!(
        out,
        "INVITE sip:bob@[2001:db8::1];transport=ws SIP/2.0\r\n\
         Via: SIP/2.0/WSS p;branch=z9hG4bKp\r\n\
         v:  SIP/2.0/UDP a;rport=5062;branch=z9hG4bKa;received=192.0.2.1 ,\r\n\tSIP/2.0/TCP b\r\n\
         Record-Route: <sip:p2;lr>\r\nRecord-Route: <sip:p1;lr>\r\n\
         Route: <sip:three;lr>,\r\n <sip:four;lr>\r\n\
         Max-Forwards :  69 \r\nX-Odd:\tUnt0uched  \r\nm: <sip:a@b>\r\nContent-Length: 4\r\n\r\nbody"
    );
}

#[test]
fn the_top_value_goes_wherever_it_stands() {
    let original = message("SIP/2.0 200 OK\r\nVia: SIP/2.0/UDP a\r\nVia: SIP/2.0/UDP b\r\n\r\n");
    let out = edited(&original, |edit| {
        edit.remove_first(HeaderName::Via);
    });
    assert_eq!(out, "SIP/2.0 200 OK\r\nVia: SIP/2.0/UDP b\r\n\r\n");
    let joined = message("SIP/2.0 200 OK\r\nv: SIP/2.0/UDP a\r\n ,\r\n\tSIP/2.0/UDP b;x=\",\"\r\n\r\n");
    let out = edited(&joined, |edit| {
        edit.remove_first(HeaderName::Via);
    });
    assert_eq!(out, "SIP/2.0 200 OK\r\nv: SIP/2.0/UDP b;x=\",\"\r\n\r\n");
}

#[test]
fn a_strict_route_is_undone() {
    let original = message(REQUEST);
    let out = edited(&original, |edit| {
        let last = edit.remove_last(HeaderName::Route).unwrap();
        let target = NameAddr::parse(last).unwrap().uri().unwrap().as_str();
        edit.set_request_uri(target);
        edit.remove_first(HeaderName::Route);
    });
    assert!(out.starts_with("INVITE sip:four;lr SIP/2.0\r\n"));
    assert!(out.contains("b\r\nRoute: <sip:two;lr>, <sip:three;lr>\r\nMax"));
    let mut edit = Edit::new(&original);
    let removed: Vec<_> = std::iter::from_fn(|| edit.remove_last(HeaderName::Route)).collect();
    assert_eq!(removed.len(), 4);
    assert_eq!(edit.remove_first(HeaderName::Route), None);
    assert!(
        !String::from_utf8(edit.finish().unwrap().to_vec())
            .unwrap()
            .contains("oute")
    );
}

#[test]
fn set_leaves_one_line() {
    let original = message("OPTIONS sip:a SIP/2.0\r\nSupported: a\r\nX-A: 1\r\nk: b, c\r\n\r\n");
    let out = edited(&original, |edit| {
        edit.set(HeaderName::Supported, "d")
            .set("X-New", "1")
            .set("x-new", "2");
        edit.set(HeaderName::Supported, "e");
    });
    assert_eq!(
        out,
        "OPTIONS sip:a SIP/2.0\r\nSupported: e\r\nX-A: 1\r\nx-new: 2\r\n\r\n"
    );
    let out = edited(&original, |edit| {
        edit.set("X-New", "1").set("X-A", "2");
        assert_eq!(edit.remove_all("x-new"), 0);
        assert_eq!(edit.remove_all("K"), 2);
        edit.append("Supported", "z");
    });
    assert_eq!(out, "OPTIONS sip:a SIP/2.0\r\nX-A: 2\r\nSupported: z\r\n\r\n");
}

#[test]
fn one_line_can_be_removed_by_its_place() {
    let original = message("OPTIONS sip:a SIP/2.0\r\nX-A: 1\r\nX-A: 2\r\n\r\n");
    let second = original.headers("X-A").nth(1).unwrap();
    let out = edited(&original, |edit| {
        edit.remove_line(second.index());
    });
    assert_eq!(out, "OPTIONS sip:a SIP/2.0\r\nX-A: 1\r\n\r\n");
    assert_eq!(
        fault(&original, |edit| {
            edit.remove_line(2);
        }),
        EditError::ForeignPiece
    );
}

#[test]
fn bodies_bring_their_length_and_type() {
    let original = message("OPTIONS sip:a SIP/2.0\r\nl: 3\r\nc: text/plain\r\n\r\nold");
    let out = edited(&original, |edit| {
        edit.set_body(Some("application/sdp"), b"v=0\r\n");
    });
    assert_eq!(
        out,
        "OPTIONS sip:a SIP/2.0\r\nl: 5\r\nc: application/sdp\r\n\r\nv=0\r\n"
    );
    let out = edited(&original, |edit| {
        edit.remove_body();
    });
    assert_eq!(out, "OPTIONS sip:a SIP/2.0\r\nl: 0\r\n\r\n");
    let bare = message("OPTIONS sip:a SIP/2.0\r\n\r\n");
    let out = edited(&bare, |edit| {
        edit.ensure_content_length()
            .set_body(Some("text/plain"), b"x")
            .ensure_content_length();
    });
    assert_eq!(
        out,
        "OPTIONS sip:a SIP/2.0\r\nContent-Type: text/plain\r\nContent-Length: 1\r\n\r\nx"
    );
}

#[test]
fn what_a_client_wrote_about_its_source_is_overwritten() {
    for (via, source, expected) in [
        ("SIP/2.0/UDP 192.0.2.1", "192.0.2.1:5060", "SIP/2.0/UDP 192.0.2.1"),
        (
            "SIP/2.0/UDP h",
            "192.0.2.1:5060",
            "SIP/2.0/UDP h;received=192.0.2.1",
        ),
        (
            "SIP/2.0/UDP 192.0.2.1;rport",
            "192.0.2.1:5061",
            "SIP/2.0/UDP 192.0.2.1;rport=5061;received=192.0.2.1",
        ),
        (
            "SIP/2.0/UDP h;received=1.1.1.1;x;received = 2.2.2.2 ; rport = 9",
            "[::ffff:192.0.2.1]:7",
            "SIP/2.0/UDP h;received=192.0.2.1;x ; rport=7",
        ),
        (
            "SIP/2.0/UDP 192.0.2.1;received=9.9.9.9",
            "192.0.2.1:5060",
            "SIP/2.0/UDP 192.0.2.1;received=192.0.2.1",
        ),
        (
            "SIP/2.0/TCP [2001:db8::1];rport",
            "[2001:db8::2]:1",
            "SIP/2.0/TCP [2001:db8::1];rport=1;received=2001:db8::2",
        ),
    ] {
        let original = message(&format!("OPTIONS sip:a SIP/2.0\r\nVia: {via}\r\n\r\n"));
        let out = edited(&original, |edit| {
            edit.mark_source(source.parse().unwrap());
        });
        assert_eq!(out, format!("OPTIONS sip:a SIP/2.0\r\nVia: {expected}\r\n\r\n"));
    }
}

#[test]
fn pieces_are_replaced_in_place_and_never_twice() {
    let original = message(REQUEST);
    let contact = original.contacts().next().unwrap().unwrap();
    let crate::Contact::Addr(addr) = contact else {
        panic!("an address")
    };
    let out = edited(&original, |edit| {
        edit.replace(addr.uri_octets(), "sip:x@y");
    });
    assert_eq!(out, REQUEST.replace("<sip:a@b>", "<sip:x@y>"));
    assert_eq!(
        fault(&original, |edit| {
            edit.replace(addr.uri_octets(), "sip:x@y")
                .replace(addr.uri_octets(), "sip:z");
        }),
        EditError::Overlap
    );
    assert_eq!(
        fault(&original, |edit| {
            edit.replace(addr.uri_octets(), "sip:x@y")
                .set(HeaderName::Contact, "<sip:z>");
        }),
        EditError::Overlap
    );
    assert_eq!(
        fault(&original, |edit| {
            edit.replace(b"elsewhere", "x");
        }),
        EditError::ForeignPiece
    );
    let across = &original.octets()[30..80];
    assert_eq!(
        fault(&original, |edit| {
            edit.replace(across, "x");
        }),
        EditError::ForeignPiece
    );
}

#[test]
fn responses_can_be_renumbered() {
    let original = message("SIP/2.0 503 Service Unavailable\r\nX-A: y\r\n\r\n");
    let out = edited(&original, |edit| {
        edit.set_status(StatusCode::SERVER_INTERNAL_ERROR, "Server Internal Error");
    });
    assert_eq!(out, "SIP/2.0 500 Server Internal Error\r\nX-A: y\r\n\r\n");
    assert_eq!(
        fault(&original, |edit| {
            edit.set_request_uri("sip:a");
        }),
        EditError::NotARequest
    );
    assert_eq!(
        fault(&message(REQUEST), |edit| {
            edit.set_status(StatusCode::OK, "OK");
        }),
        EditError::NotAResponse
    );
}

#[test]
fn nothing_can_be_smuggled_in() {
    let original = message(REQUEST);
    let faults = [
        fault(&original, |edit| {
            edit.prepend("X-A", "a\r\nY: b");
        }),
        fault(&original, |edit| {
            edit.set(HeaderName::MaxForwards, "1\n");
        }),
        fault(&original, |edit| {
            edit.set_via_param("x", Some("\r"));
        }),
        fault(&original, |edit| {
            edit.replace(original.header("X-Odd").unwrap(), "\r\n");
        }),
    ];
    assert!(faults.iter().all(|fault| *fault == EditError::LineBreak));
    for uri in ["", "sip:a b", "sip:a SIP/2.0\r\nX-A: y", "<sip:a>"] {
        let fault = fault(&original, |edit| {
            edit.set_request_uri(uri);
        });
        assert_eq!(fault, EditError::BadRequestUri);
    }
    for name in ["", "X Y", "X:"] {
        let fault = fault(&original, |edit| {
            edit.append(name, "z");
        });
        assert_eq!(fault, EditError::BadName);
    }
    let no_via = message("OPTIONS sip:a SIP/2.0\r\n\r\n");
    assert_eq!(
        fault(&no_via, |edit| {
            edit.set_via_param("rport", None);
        }),
        EditError::NoVia
    );
}

#[test]
fn a_missing_header_goes_to_a_sensible_place() {
    let original = message("OPTIONS sip:a SIP/2.0\r\nFrom: x\r\nVia: SIP/2.0/UDP a\r\nTo: y\r\n\r\n");
    let out = edited(&original, |edit| {
        edit.prepend(HeaderName::Route, "<sip:r>")
            .prepend("X-A", "1")
            .set(HeaderName::MaxForwards, "70");
    });
    let names: Vec<_> = out
        .lines()
        .filter_map(|line| line.split_once(": "))
        .map(|(name, _)| name)
        .collect();
    assert_eq!(names, ["From", "Via", "Route", "Max-Forwards", "To", "X-A"]);
    let bare = message("OPTIONS sip:a SIP/2.0\r\n\r\n");
    let out = edited(&bare, |edit| {
        edit.append("X-B", "2").prepend(HeaderName::Via, "v");
    });
    assert_eq!(out, "OPTIONS sip:a SIP/2.0\r\nVia: v\r\nX-B: 2\r\n\r\n");
}

/// A message as a list of (name, values) lines: the obvious thing that an edit must be equal to.
#[derive(Debug, Clone)]
struct Model(Vec<(String, Vec<String>)>);

impl Model {
    fn print(&self, glue: &str) -> String {
        let mut out = String::from("OPTIONS sip:a SIP/2.0\r\n");
        for (name, values) in &self.0 {
            out.push_str(&format!("{name}: {}\r\n", values.join(glue)));
        }
        out + "\r\n"
    }

    /// All values of one header, in order.
    fn values(&self, name: &str) -> Vec<String> {
        let lines = self.0.iter().filter(|line| line.0 == name);
        lines.flat_map(|line| line.1.clone()).collect()
    }

    fn remove(&mut self, name: &str, first: bool) -> Option<String> {
        let mut lines = self
            .0
            .iter_mut()
            .filter(|line| line.0 == name && !line.1.is_empty());
        let line = if first { lines.next() } else { lines.last() }?;
        let value = if first { line.1.remove(0) } else { line.1.pop()? };
        self.0.retain(|line| !line.1.is_empty());
        Some(value)
    }
}

#[derive(Debug, Clone)]
enum Operation {
    RemoveFirst(&'static str),
    RemoveLast(&'static str),
    Prepend(&'static str, String),
    Append(&'static str, String),
}

fn list_value() -> impl Strategy<Value = String> {
    prop_oneof![
        "[a-z]{1,5}",
        "<sip:[a-z,;]{1,6}>",
        "\"[a-z,<> ]{0,5}\" <sip:[a-z]{1,3}>;p=\"[,a-z]{0,3}\"",
    ]
}

fn operation() -> impl Strategy<Value = Operation> {
    let name = || proptest::sample::select(vec!["Route", "Path"]);
    prop_oneof![
        3 => name().prop_map(Operation::RemoveFirst),
        3 => name().prop_map(Operation::RemoveLast),
        1 => (name(), list_value()).prop_map(|(name, value)| Operation::Prepend(name, value)),
        1 => (name(), list_value()).prop_map(|(name, value)| Operation::Append(name, value)),
    ]
}

proptest! {
    #[test]
    fn editing_lists_equals_the_naive_model(
        lines in proptest::collection::vec(
            (proptest::sample::select(vec!["Route", "Path", "X-A"]), proptest::collection::vec(list_value(), 1..4)), 0..6),
        operations in proptest::collection::vec(operation(), 0..8),
        glue in proptest::sample::select(vec![",", ", ", " ,\r\n ", "\r\n\t, ,"]),
    ) {
        let received = Model(lines.into_iter().map(|(name, values)| (name.to_owned(), values)).collect());
        let original = message(&received.print(glue));
        let mut edit = Edit::new(&original);
        // Removal speaks of what was received, insertion goes around it: so the model removes first.
        let mut left = received.clone();
        let mut on_top: Vec<(&str, String)> = Vec::new();
        let mut below: Vec<(&str, String)> = Vec::new();
        for operation in operations {
            match operation {
                Operation::RemoveFirst(name) => {
                    let removed = edit.remove_first(name).map(|value| String::from_utf8(value.to_vec()).unwrap());
                    prop_assert_eq!(removed, left.remove(name, true));
                }
                Operation::RemoveLast(name) => {
                    let removed = edit.remove_last(name).map(|value| String::from_utf8(value.to_vec()).unwrap());
                    prop_assert_eq!(removed, left.remove(name, false));
                }
                Operation::Prepend(name, value) => {
                    edit.prepend(name, &value);
                    on_top.insert(0, (name, value));
                }
                Operation::Append(name, value) => {
                    edit.append(name, &value);
                    below.push((name, value));
                }
            }
        }
        let out = Message::parse_datagram(edit.finish().unwrap(), &Limits::default()).unwrap();
        let named = |pairs: &[(&str, String)], name: &str| -> Vec<String> {
            pairs.iter().filter(|pair| pair.0 == name).map(|pair| pair.1.clone()).collect()
        };
        for name in ["Route", "Path", "X-A"] {
            let expected = [named(&on_top, name), left.values(name), named(&below, name)].concat();
            let values: Vec<String> = match name {
                "X-A" => out.headers("X-A").map(|h| String::from_utf8(h.value().to_vec()).unwrap()).collect(),
                _ => out.values(name).map(|value| String::from_utf8(value.to_vec()).unwrap()).collect(),
            };
            let expected = if name == "X-A" {
                left.0.iter().filter(|line| line.0 == "X-A").map(|line| line.1.join(glue)).collect()
            } else {
                expected
            };
            prop_assert_eq!(values, expected, "{}", name);
        }
    }
}

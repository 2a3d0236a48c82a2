//! Where connections come from, as proxies before the gateway say: the PROXY protocol, X-Forwarded-For, Forwarded.

use std::future::Future;
use std::net::{IpAddr, SocketAddr};
use std::pin::pin;
use std::task::{Context, Poll, Waker};

use http::{HeaderMap, HeaderValue};
use viaduct_proxy::proxies::{Proxies, read_header};
use viaduct_routing::Network;
use viaduct_settings::TellBy;

/// The longest header: the signature, the fixed part, and what may follow.
const HEADER_OCTETS_MAX: usize = 16 + 4_096;

/// A proxy whose word is taken, and a stranger.
const TRUSTED: &str = "10.0.0.1:4000";
const STRANGER: &str = "203.0.113.9:4000";

/// Reads octets as the beginning of a connection, and their lines as header values.
///
/// Laws: what stands behind a header of the PROXY protocol is left for whoever reads on, and changes nothing; a header that
/// is cut off anywhere is none; a stranger's word is worth nothing, and no header leads past the first stranger in it.
pub fn proxies(data: &[u8]) {
    let (told, left) = begin(data);
    if let Ok(told) = told {
        let header = &data[..data.len() - left];
        assert!(header.len() <= HEADER_OCTETS_MAX);
        let (again, behind) = begin(&[header, b"INVITE sip:bob@example.com SIP/2.0"].concat());
        assert_eq!((again.ok(), behind), (Some(told), 34));
        for len in [0, 1, header.len() / 2, header.len() - 1] {
            assert!(begin(&header[..len]).0.is_err(), "{len} octets are enough");
        }
    }
    let lines: Vec<HeaderValue> = data
        .split(|octet| *octet == b'\n')
        .take(8)
        .filter_map(|line| HeaderValue::from_bytes(line.trim_ascii()).ok())
        .collect();
    for (tell_by, name) in [
        (TellBy::XForwardedFor, "x-forwarded-for"),
        (TellBy::Forwarded, "forwarded"),
    ] {
        is_believed_as_far_as_it_is_ours(tell_by, name, &lines);
    }
}

/// What a beginning says, and how many octets are left behind it.
fn begin(data: &[u8]) -> (std::io::Result<Option<SocketAddr>>, usize) {
    let mut left = data;
    let told = {
        let mut reading = pin!(read_header(&mut left));
        match reading.as_mut().poll(&mut Context::from_waker(Waker::noop())) {
            Poll::Ready(told) => told,
            Poll::Pending => panic!("octets that are there are waited for"),
        }
    };
    (told, left.len())
}

fn is_believed_as_far_as_it_is_ours(tell_by: TellBy, name: &'static str, lines: &[HeaderValue]) {
    let proxies = Proxies {
        from: vec![Network {
            address: IpAddr::from([10, 0, 0, 0]),
            prefix: 8,
        }],
        tell_by,
    };
    let client = |lines: &[HeaderValue], remote: &str| {
        let mut headers = HeaderMap::new();
        for line in lines {
            headers.append(name, line.clone());
        }
        proxies.client_of(&headers, remote.parse().unwrap())
    };
    assert_eq!(client(lines, STRANGER).to_string(), STRANGER);
    let found = client(lines, TRUSTED);
    // Whoever came through a stranger is that stranger, whatever stands before.
    let stranger = HeaderValue::from_static(if tell_by == TellBy::Forwarded {
        "for=203.0.113.77"
    } else {
        "203.0.113.77"
    });
    let through = client(&[lines, &[stranger]].concat(), TRUSTED);
    assert_eq!(through.ip().to_string(), "203.0.113.77");
    if !proxies.trusts(found.ip()) {
        assert!(!lines.is_empty());
    }
}

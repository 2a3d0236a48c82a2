//! Tells whoever wants to know which digits were dialled: a datagram of JSON each (NG `DTMF-log-dest`).

use std::io;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr, UdpSocket};
use std::time::{SystemTime, UNIX_EPOCH};

use serde_json::json;
use viaduct_ng::ByteString;
use viaduct_session::Digit;

/// A socket for each family, opened when it is first needed.
#[derive(Debug, Default)]
pub(super) struct DigitLog {
    v4: Option<UdpSocket>,
    v6: Option<UdpSocket>,
}

impl DigitLog {
    /// Sends a digit to an address. Never waits.
    ///
    /// # Errors
    /// It was not sent; nothing is tried again.
    pub(super) fn tell(&mut self, to: SocketAddr, call_id: &ByteString, digit: &Digit) -> io::Result<()> {
        let since = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
        let line = line(call_id, digit, since.as_secs());
        let (socket, any) = match to {
            SocketAddr::V4(_) => (&mut self.v4, IpAddr::from(Ipv4Addr::UNSPECIFIED)),
            SocketAddr::V6(_) => (&mut self.v6, IpAddr::from(Ipv6Addr::UNSPECIFIED)),
        };
        let socket = match socket {
            Some(socket) => socket,
            None => {
                let opened = UdpSocket::bind((any, 0))?;
                opened.set_nonblocking(true)?;
                socket.insert(opened)
            }
        };
        socket.send_to(line.as_bytes(), to).map(|_| ())
    }
}

fn line(call_id: &ByteString, digit: &Digit, timestamp: u64) -> String {
    let tags: Vec<_> = digit.tags.iter().map(ByteString::to_text).collect();
    json!({
        "callid": call_id.to_text(),
        "source_tag": digit.source_tag.to_text(),
        "tags": tags,
        "type": "DTMF",
        "timestamp": timestamp,
        "source_ip": digit.source.to_string(),
        "event": digit.event,
        "duration": digit.duration.as_millis() as u64,
        "volume": digit.volume,
    })
    .to_string()
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;

    #[test]
    fn a_digit_is_told_in_one_datagram_of_json() {
        let listener = UdpSocket::bind("127.0.0.1:0").unwrap();
        let digit = Digit {
            to: listener.local_addr().ok(),
            source_tag: "alice".into(),
            tags: vec!["alice".into(), "bob".into()],
            source: "198.51.100.7".parse().unwrap(),
            event: 11,
            duration: Duration::from_millis(160),
            volume: 10,
        };
        let to = digit.to.unwrap();
        DigitLog::default()
            .tell(to, &"call \"1\"".into(), &digit)
            .unwrap();
        let mut octets = [0; 2048];
        let len = listener.recv(&mut octets).unwrap();
        let mut told: serde_json::Value = serde_json::from_slice(&octets[..len]).unwrap();
        assert!(
            told["timestamp"]
                .take()
                .as_u64()
                .is_some_and(|at| at > 1_700_000_000)
        );
        let expected = json!({
            "callid": "call \"1\"", "source_tag": "alice", "tags": ["alice", "bob"], "type": "DTMF", "timestamp": null,
            "source_ip": "198.51.100.7", "event": 11, "duration": 160, "volume": 10,
        });
        assert_eq!(told, expected);
    }
}

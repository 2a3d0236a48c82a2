//! Rows as octets: bencode, as NG has it, so that a command is written as it is sent.

use std::net::{IpAddr, SocketAddr};
use std::time::Duration;

use sha2::{Digest, Sha256};
use viaduct_forward::{CryptoDirection, SrtpKeyMaterial, SsrcIndices};
use viaduct_ng::{ByteString, Dict, Limits, Request, Value, bencode};

use super::half;
use crate::ports::PortPair;

/// What these rows are read by. To be raised when the same commands and seeds make other calls.
const VERSION: i64 = 1;

/// A command that has changed a call.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct CommandRow<'r> {
    /// Since 1970.
    pub(crate) at: Duration,
    pub(crate) client: Option<IpAddr>,
    pub(crate) seed: [u8; 32],
    /// Pairs of ports that were taken, in their order.
    pub(crate) ports: Vec<PortPair>,
    /// SHA-256 of the SDP that was given back, but for what differs between relays.
    pub(crate) reply: [u8; 32],
    pub(crate) request: std::borrow::Cow<'r, Request>,
}

impl CommandRow<'_> {
    pub(crate) fn encode(&self) -> Vec<u8> {
        let mut dict = versioned();
        dict.insert("at", millis(self.at));
        if let Some(client) = self.client {
            dict.insert("client", Value::text(client.to_string()));
        }
        dict.insert("seed", Value::text(&self.seed[..]));
        let ports = self.ports.iter().map(|pair| pair.rtp().to_string());
        dict.insert("ports", Value::texts(ports));
        dict.insert("reply", Value::text(&self.reply[..]));
        dict.insert("request", self.request.to_value());
        bencode::encode(&Value::Dict(dict))
    }

    pub(crate) fn decode(octets: &[u8]) -> Option<CommandRow<'static>> {
        let dict = read(octets)?;
        let text = |key: &str| dict.get(key).and_then(Value::as_bytes);
        let client = match text("client") {
            Some(client) => Some(client.as_text()?.parse().ok()?),
            None => None,
        };
        let ports = dict.get("ports")?.as_list()?.iter().map(|pair| {
            let rtp: SocketAddr = address(pair)?;
            Some(PortPair {
                address: rtp.ip(),
                rtp_port: rtp.port(),
            })
        });
        let request = Request::from_value(dict.get("request")?).ok()?.request;
        Some(CommandRow {
            at: Duration::from_millis(number(dict.get("at")?)?),
            client,
            seed: text("seed")?.as_bytes().try_into().ok()?,
            ports: ports.collect::<Option<_>>()?,
            reply: text("reply")?.as_bytes().try_into().ok()?,
            request: std::borrow::Cow::Owned(request),
        })
    }
}

/// Where a peer without ICE was found.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Endpoint {
    /// Our socket.
    pub(crate) local: SocketAddr,
    pub(crate) remote: SocketAddr,
}

/// What media has taught about a call.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(crate) struct MediaRow {
    /// Which relay has written it.
    pub(crate) run: u32,
    pub(crate) endpoints: Vec<Endpoint>,
    /// By the names of the keys.
    pub(crate) indices: Vec<([u8; 16], Vec<SsrcIndices>)>,
}

impl MediaRow {
    pub(crate) fn encode(&self) -> Vec<u8> {
        let mut dict = versioned();
        dict.insert("run", i64::from(self.run));
        let endpoints = self
            .endpoints
            .iter()
            .flat_map(|of| [of.local.to_string(), of.remote.to_string()]);
        dict.insert("endpoints", Value::texts(endpoints));
        let indices = self.indices.iter().map(|(key, of)| {
            let numbers = of.iter().flat_map(|of| {
                // RTP indices have 48 bits.
                [
                    i64::from(of.ssrc),
                    of.rtp_next.cast_signed(),
                    i64::from(of.rtcp_next),
                ]
            });
            let numbers = Value::List(numbers.map(Value::Integer).collect());
            Value::List(vec![Value::text(&key[..]), numbers])
        });
        dict.insert("indices", Value::List(indices.collect()));
        bencode::encode(&Value::Dict(dict))
    }

    pub(crate) fn decode(octets: &[u8]) -> Option<Self> {
        let dict = read(octets)?;
        let addresses: Option<Vec<SocketAddr>> =
            dict.get("endpoints")?.as_list()?.iter().map(address).collect();
        let addresses = addresses?;
        let (endpoints, []) = addresses.as_chunks() else {
            return None;
        };
        let endpoints = endpoints.iter().map(|[local, remote]| Endpoint {
            local: *local,
            remote: *remote,
        });
        let indices = dict.get("indices")?.as_list()?.iter().map(|of| {
            let [key, numbers] = of.as_list()? else {
                return None;
            };
            let numbers: Option<Vec<u64>> = numbers.as_list()?.iter().map(number).collect();
            let numbers = numbers?;
            let (numbers, []) = numbers.as_chunks() else {
                return None;
            };
            let indices = numbers.iter().map(|[ssrc, rtp, rtcp]| {
                Some(SsrcIndices {
                    ssrc: u32::try_from(*ssrc).ok()?,
                    rtp_next: Some(*rtp).filter(|index| *index <= 1 << 48)?,
                    rtcp_next: u32::try_from(*rtcp).ok()?,
                })
            });
            let indices: Option<Vec<_>> = indices.collect();
            Some((key.as_bytes()?.as_bytes().try_into().ok()?, indices?))
        });
        Some(Self {
            run: u32::try_from(number(dict.get("run")?)?).ok()?,
            endpoints: endpoints.collect(),
            indices: indices.collect::<Option<_>>()?,
        })
    }
}

/// Names a key without telling it.
pub(crate) fn key_name(direction: CryptoDirection, keys: &SrtpKeyMaterial) -> [u8; 16] {
    let mut hash = Sha256::new();
    hash.update([match direction {
        CryptoDirection::Send => 0,
        CryptoDirection::Receive => 1,
    }]);
    hash.update(keys.profile().sdes_name());
    hash.update(keys.master_key());
    hash.update(keys.master_salt());
    half(&hash.finalize().into())
}

/// What an SDP of ours says that a relay with other keys for DTLS, or another name, would say as well.
pub(crate) fn reply_hash(sdp: &ByteString) -> [u8; 32] {
    let own = |line: &&[u8]| line.starts_with(b"a=fingerprint:") || line.starts_with(b"a=rtpengine:");
    let mut hash = Sha256::new();
    for line in sdp.split(|octet| *octet == b'\n').filter(|line| !own(line)) {
        // Foundations of candidates are made with the relay's name.
        let foundation = if line.starts_with(b"a=candidate:") {
            line.iter().position(|octet| *octet == b' ').unwrap_or_default()
        } else {
            0
        };
        hash.update(&line[foundation..]);
        hash.update(b"\n");
    }
    hash.finalize().into()
}

fn versioned() -> Dict {
    let mut dict = Dict::new();
    dict.insert("version", VERSION);
    dict
}

fn read(octets: &[u8]) -> Option<Dict> {
    // A row holds a message within these limits, and some more.
    let limits = Limits::default();
    let limits = Limits {
        octets_max: 2 * limits.octets_max,
        depth_max: limits.depth_max + 1,
        elements_max: 2 * limits.elements_max,
        ..limits
    };
    let Value::Dict(dict) = bencode::decode(octets, &limits).ok()? else {
        return None;
    };
    (dict.get("version") == Some(&Value::Integer(VERSION))).then_some(dict)
}

fn number(value: &Value) -> Option<u64> {
    u64::try_from(value.to_integer()?).ok()
}

fn address(value: &Value) -> Option<SocketAddr> {
    value.as_bytes()?.as_text()?.parse().ok()
}

fn millis(time: Duration) -> i64 {
    i64::try_from(time.as_millis()).unwrap_or(i64::MAX)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;
    use viaduct_ng::Delete;

    use super::*;

    fn command() -> CommandRow<'static> {
        let delete = Delete {
            call_id: "c".into(),
            from_tag: Some("f".into()),
            to_tag: None,
            via_branch: None,
            delete_delay: Some(Duration::ZERO),
            flags: viaduct_ng::WordSet::new(),
        };
        CommandRow {
            at: Duration::from_millis(1_700_000_000_123),
            client: Some([192, 0, 2, 9].into()),
            seed: [0xff; 32],
            ports: vec![PortPair {
                address: "2001:db8::1".parse().unwrap(),
                rtp_port: 30_000,
            }],
            reply: [7; 32],
            request: std::borrow::Cow::Owned(Request::Delete(delete)),
        }
    }

    #[test]
    fn a_command_comes_back() {
        let row = command();
        assert_eq!(CommandRow::decode(&row.encode()), Some(row.clone()));
        let row = CommandRow { client: None, ..row };
        assert_eq!(CommandRow::decode(&row.encode()), Some(row));
    }

    #[test]
    fn another_version_is_not_read() {
        let mut octets = command().encode();
        let at = octets.windows(3).position(|part| part == b"i1e").unwrap();
        octets[at + 1] = b'2';
        assert_eq!(CommandRow::decode(&octets), None);
    }

    #[test]
    fn what_differs_between_relays_is_no_part_of_the_hash() {
        let hash = |sdp: &str| reply_hash(&sdp.into());
        let candidate = "a=candidate:x 1 UDP 2130706431 192.0.2.1 3478 typ host\r\n";
        let other_foundation = candidate.replace(":x ", ":yyy ");
        assert_eq!(hash(candidate), hash(&other_foundation));
        assert_ne!(hash(candidate), hash(&candidate.replace("3478", "3479")));
        let one = "v=0\r\nm=audio 1 RTP/AVP 8\r\na=fingerprint:sha-256 00\r\na=rtpengine:x\r\n";
        let other = "v=0\r\nm=audio 1 RTP/AVP 8\r\na=rtpengine:yy\r\na=fingerprint:sha-256 01\r\n";
        assert_eq!(hash(one), hash(other));
        assert_ne!(hash(one), hash(&one.replace("audio 1 ", "audio 2 ")));
    }

    proptest! {
        #[test]
        fn what_media_has_taught_comes_back(
            run: u32,
            ports in proptest::collection::vec(any::<(u16, u16)>(), 0..4),
            keys in proptest::collection::vec(
                (any::<[u8; 16]>(), proptest::collection::vec((any::<u32>(), 0_u64..=1 << 48, any::<u32>()), 0..4)),
                0..4,
            ),
        ) {
            let endpoints = ports.into_iter().map(|(local, remote)| Endpoint {
                local: ([192, 0, 2, 1], local).into(),
                remote: ([0x2001_u16, 0xdb8, 0, 0, 0, 0, 0, 1], remote).into(),
            });
            let indices = keys.into_iter().map(|(key, of)| {
                let of = of.into_iter().map(|(ssrc, rtp_next, rtcp_next)| SsrcIndices { ssrc, rtp_next, rtcp_next });
                (key, of.collect())
            });
            let row = MediaRow { run, endpoints: endpoints.collect(), indices: indices.collect() };
            prop_assert_eq!(MediaRow::decode(&row.encode()), Some(row));
        }

        #[test]
        fn what_is_no_row_is_no_row(mut octets in Just(command().encode()), at: proptest::sample::Index, octet: u8, cut: proptest::sample::Index) {
            let at = at.index(octets.len());
            octets[at] = octet;
            // Whatever comes of it, nothing panics.
            let _ = (CommandRow::decode(&octets), MediaRow::decode(&octets));
            octets.truncate(cut.index(octets.len()));
            prop_assert_eq!(CommandRow::decode(&octets), None);
        }
    }
}

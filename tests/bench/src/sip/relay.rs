//! The media relay behind the proxy: answers every NG command at once, and with the same SDP.

use viaduct_ng::{Limits, Packet, Reply, Request};

/// A relay that keeps no call. Both proxies ask it the same things, so what it costs them to ask is measured, and what a
/// relay does is not.
#[derive(Debug, Clone, Default)]
pub struct RelayStub {
    limits: Limits,
    /// Commands that were answered, pings aside.
    pub commands: u64,
}

/// What it writes for either side.
const SDP: &str = "v=0\r\no=- 1 1 IN IP4 127.0.0.1\r\ns=-\r\nc=IN IP4 127.0.0.1\r\nt=0 0\r\n\
     m=audio 30000 RTP/AVP 8 0 101\r\na=rtpmap:8 PCMA/8000\r\na=rtpmap:0 PCMU/8000\r\n\
     a=rtpmap:101 telephone-event/8000\r\na=fmtp:101 0-15\r\na=sendrecv\r\na=rtcp:30001\r\n";

impl RelayStub {
    /// The datagram that answers this one. `None` when it is no NG command.
    pub fn answer(&mut self, datagram: &[u8]) -> Option<Vec<u8>> {
        let packet = Packet::split(datagram, &self.limits).ok()?;
        let received = packet.request(&self.limits).ok()?;
        self.commands += u64::from(received.request != Request::Ping);
        let reply = match received.request {
            Request::Ping => Reply::Pong,
            Request::Offer(_) | Request::Answer(_) => Reply::sdp(SDP),
            Request::Delete(_)
            | Request::Query(_)
            | Request::List(_)
            | Request::Statistics
            | Request::Other(_) => Reply::ok(),
        };
        Some(packet.reply(&reply))
    }
}

#[cfg(test)]
mod tests {
    use viaduct_sdp::Session;

    use super::*;

    #[test]
    fn commands_are_answered_with_their_cookie() {
        let mut stub = RelayStub::default();
        let offer = b"1_2 d7:command5:offer7:call-id1:c8:from-tag1:f3:sdp4:v=0\ne";
        let reply = stub.answer(offer).unwrap();
        assert!(
            reply.starts_with(b"1_2 d"),
            "{:?}",
            String::from_utf8_lossy(&reply)
        );
        assert!(reply.windows(4).any(|window| window == b"2:ok"));
        assert_eq!(
            stub.answer(b"3_4 d7:command4:pinge").unwrap(),
            b"3_4 d6:result4:ponge"
        );
        let delete = b"5 d7:command6:delete7:call-id1:c8:from-tag1:fe";
        assert_eq!(stub.answer(delete).unwrap(), b"5 d6:result2:oke");
        assert_eq!(stub.commands, 2);
        assert_eq!(stub.answer(b"rubbish"), None);
    }

    #[test]
    fn its_sdp_is_one() {
        let session = Session::parse(SDP.as_bytes()).unwrap();
        let audio = session.media(0).unwrap();
        assert_eq!((audio.port(), audio.codecs().iter().count()), (30_000, 3));
    }
}

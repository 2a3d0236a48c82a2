//! A phone with keys in its SDP (SDES).

use viaduct_forward::Tick;
use viaduct_rtp::srtp::{ReceiveContext, SendContext, SrtpKeyMaterial, SrtpLimits, SrtpProfile};
use viaduct_sdp::{Crypto, TypedAttribute};

const SUITE: SrtpProfile = SrtpProfile::AeadAes128Gcm;
const KEY: &str = "MTIzNDU2Nzg5MDEyMzQ1Njc4OTAxMjM0NTY3OA==";

/// An SDP of a phone, with the key that all phones have here.
pub(crate) fn secure(sdp: &str) -> String {
    let line = format!("a=crypto:1 {} inline:{KEY}\r\na=sendrecv", SUITE.sdes_name());
    sdp.replace("RTP/AVP", "RTP/SAVP").replace("a=sendrecv", &line)
}

/// Both directions of a phone.
pub(crate) struct Secrets {
    send: SendContext,
    receive: ReceiveContext,
}

impl Secrets {
    /// Of a phone that reads this SDP of the relay.
    pub(crate) fn of(sdp: &[u8]) -> Self {
        let sdp = str::from_utf8(sdp).unwrap();
        let line = sdp.lines().find(|line| line.contains(SUITE.sdes_name())).unwrap();
        let theirs = line.split("inline:").nth(1).unwrap().split('|').next().unwrap();
        let context = |text: &str| {
            let key = Crypto::parse_value(&format!("1 {} inline:{text}", SUITE.sdes_name()));
            SrtpKeyMaterial::from_sdes(SUITE, &key.unwrap().keys[0].key.0).unwrap()
        };
        Self {
            send: SendContext::new(&context(KEY), SrtpLimits::default()),
            receive: ReceiveContext::new(&context(theirs), SrtpLimits::default()),
        }
    }

    pub(crate) fn protect(&mut self, packet: &[u8]) -> Vec<u8> {
        let mut buffer = packet.to_vec();
        buffer.resize(packet.len() + 32, 0);
        let len = self
            .send
            .protect_rtp(Tick::ZERO, &mut buffer, packet.len())
            .unwrap();
        buffer.truncate(len);
        buffer
    }

    pub(crate) fn open(&mut self, mut packet: Vec<u8>) -> Vec<u8> {
        let len = self.receive.unprotect_rtp(Tick::ZERO, &mut packet).unwrap();
        packet.truncate(len);
        packet
    }
}

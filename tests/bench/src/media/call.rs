//! The commands that set up one call at a relay, as a SIP proxy gives them.

use std::net::SocketAddr;
use std::time::Duration;

use anyhow::{Context, bail, ensure};
use viaduct_ng::{
    Answer, ByteString, Delete, IceMode, Offer, Options, Replace, Request, RtcpMux, SubscribeAnswer,
    SubscribeRequest, TransportProtocol, Unsubscribe, WordSet,
};
use viaduct_rtp::srtp::{SrtpKeyMaterial, SrtpProfile};
use viaduct_sdp::{Crypto, CryptoSuite, Host, MasterKey, Session};

use super::certificate::fingerprint;

/// What the caller's phone speaks; the other one speaks RTP.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum MediaMode {
    /// RTP: the relay forwards.
    Plain,
    /// SRTP with keys in the SDP, AES-128 in counter mode with 80-bit tags: the relay decrypts one way and encrypts the
    /// other.
    Sdes,
    /// SRTP with keys of a DTLS handshake, as browsers have it, over a path that ICE has found.
    Dtls,
}

/// The name of a browser in checks of its path, and the password.
pub const BROWSER_UFRAG: &str = "brwsr";
/// See [`BROWSER_UFRAG`].
pub const BROWSER_PASSWORD: &str = "password-of-the-browser";

/// The suite of [`MediaMode::Sdes`].
const PROFILE: SrtpProfile = SrtpProfile::Aes128CmSha1_80;

/// One call: who takes part, and what its commands are. Both relays are given the same.
#[derive(Debug, Clone)]
pub struct CallPlan {
    number: u32,
    mode: MediaMode,
    caller: SocketAddr,
    callee: SocketAddr,
}

impl CallPlan {
    /// Call number `number` between phones that send and receive at these addresses.
    #[must_use]
    pub fn new(number: u32, mode: MediaMode, caller: SocketAddr, callee: SocketAddr) -> Self {
        Self {
            number,
            mode,
            caller,
            callee,
        }
    }

    /// The caller's key. Random enough for a test of speed.
    ///
    /// # Errors
    /// Never: the lengths are those of the profile.
    pub fn caller_key(&self) -> anyhow::Result<SrtpKeyMaterial> {
        let octet = |at: usize| (self.number as usize * 31 + at * 7 + 1) as u8;
        let octets: Vec<u8> = (0..PROFILE.key_len() + PROFILE.salt_len()).map(octet).collect();
        Ok(SrtpKeyMaterial::from_sdes(PROFILE, &octets)?)
    }

    /// `offer`, with the caller's SDP.
    ///
    /// # Errors
    /// As [`caller_key`](Self::caller_key).
    pub fn offer(&self) -> anyhow::Result<Request> {
        let sdp = match self.mode {
            MediaMode::Plain => sdp(self.caller, "RTP/AVP", None),
            MediaMode::Sdes => sdp(self.caller, "RTP/SAVP", Some(&self.caller_key()?)),
            MediaMode::Dtls => browser_sdp(self.caller, &fingerprint()?),
        };
        Ok(Request::Offer(Box::new(Offer {
            sdp: sdp.into(),
            call_id: self.call_id().into(),
            from_tag: "caller".into(),
            to_tag: None,
            via_branch: None,
            options: options(TransportProtocol::RtpAvp, IceMode::Remove),
        })))
    }

    /// `answer`, with the callee's SDP.
    #[must_use]
    pub fn answer(&self) -> Request {
        let toward_caller = match self.mode {
            MediaMode::Plain => options(TransportProtocol::RtpAvp, IceMode::Remove),
            MediaMode::Sdes => options(TransportProtocol::RtpSavp, IceMode::Remove),
            MediaMode::Dtls => options(TransportProtocol::UdpTlsRtpSavpf, IceMode::Force),
        };
        Request::Answer(Box::new(Answer {
            sdp: sdp(self.callee, "RTP/AVP", None).into(),
            call_id: self.call_id().into(),
            from_tag: "caller".into(),
            to_tag: "callee".into(),
            via_branch: None,
            options: toward_caller,
        }))
    }

    /// `offer` again, within the dialog: nothing has changed.
    ///
    /// # Errors
    /// As [`caller_key`](Self::caller_key).
    pub fn offer_again(&self) -> anyhow::Result<Request> {
        let mut request = self.offer()?;
        if let Request::Offer(offer) = &mut request {
            offer.to_tag = Some("callee".into());
        }
        Ok(request)
    }

    /// `delete`, at once.
    #[must_use]
    pub fn delete(&self) -> Request {
        Request::Delete(Delete {
            call_id: self.call_id().into(),
            from_tag: None,
            to_tag: None,
            via_branch: None,
            delete_delay: Some(Duration::ZERO),
            flags: WordSet::default(),
        })
    }

    /// `subscribe request`, for somebody who is to hear the caller.
    #[must_use]
    pub fn subscribe(&self) -> Request {
        Request::SubscribeRequest(Box::new(SubscribeRequest {
            call_id: self.call_id().into(),
            from_tags: vec!["caller".into()],
            to_tag: None,
            options: Options::default(),
        }))
    }

    /// `subscribe answer`, for a listener at this address that was given this name.
    #[must_use]
    pub fn listen(&self, at: SocketAddr, to_tag: &ByteString) -> Request {
        Request::SubscribeAnswer(Box::new(SubscribeAnswer {
            sdp: sdp(at, "RTP/AVP", None).replace("sendrecv", "recvonly").into(),
            call_id: self.call_id().into(),
            to_tag: to_tag.clone(),
            options: Options::default(),
        }))
    }

    /// `unsubscribe`.
    #[must_use]
    pub fn unsubscribe(&self, to_tag: &ByteString) -> Request {
        Request::Unsubscribe(Unsubscribe {
            call_id: self.call_id().into(),
            to_tag: to_tag.clone(),
        })
    }

    fn call_id(&self) -> String {
        format!("{}@media", self.number)
    }
}

fn options(transport_protocol: TransportProtocol, ice: IceMode) -> Options {
    let mut options = Options {
        transport_protocol: Some(transport_protocol),
        ..Options::default()
    };
    options.ice.mode = Some(ice);
    // A browser has RTCP on the port of RTP, and the phone that it calls may not.
    options.rtcp_mux.extend([RtcpMux::Demux]);
    options
        .replace
        .extend([Replace::Origin, Replace::SessionConnection]);
    options
}

fn suite() -> CryptoSuite {
    CryptoSuite::from_name(PROFILE.sdes_name())
}

fn sdp(address: SocketAddr, protocol: &str, key: Option<&SrtpKeyMaterial>) -> String {
    let (ip, port) = (address.ip(), address.port());
    let crypto = key.map_or(String::new(), |key| {
        let key = MasterKey([key.master_key(), key.master_salt()].concat());
        format!("a=crypto:{}\r\n", Crypto::new(1, suite(), key))
    });
    format!(
        "v=0\r\no=- 4711 1 IN IP4 {ip}\r\ns=call\r\nc=IN IP4 {ip}\r\nt=0 0\r\nm=audio {port} {protocol} 8 0 101\r\n\
         a=rtpmap:8 PCMA/8000\r\na=rtpmap:0 PCMU/8000\r\na=rtpmap:101 telephone-event/8000\r\na=fmtp:101 0-15\r\n\
         a=ptime:20\r\n{crypto}a=sendrecv\r\n"
    )
}

fn browser_sdp(address: SocketAddr, fingerprint: &str) -> String {
    let (ip, port) = (address.ip(), address.port());
    let plain = sdp(address, "UDP/TLS/RTP/SAVPF", None);
    format!(
        "{plain}a=mid:0\r\na=rtcp-mux\r\na=candidate:1 1 udp 2122260223 {ip} {port} typ host\r\n\
         a=ice-ufrag:{BROWSER_UFRAG}\r\na=ice-pwd:{BROWSER_PASSWORD}\r\na=fingerprint:{fingerprint}\r\n\
         a=setup:actpass\r\n"
    )
}

/// Where the relay that wrote this SDP receives the audio.
///
/// # Errors
/// The SDP says no such thing.
pub fn relay_address(sdp: &[u8]) -> anyhow::Result<SocketAddr> {
    let session = Session::parse(sdp)?;
    let audio = session.media(0).context("an SDP without media")?;
    let connection = audio
        .effective_connection()?
        .context("an SDP without an address")?;
    ensure!(audio.port() != 0, "the audio was refused");
    match connection.address {
        Host::Ip(ip) => Ok(SocketAddr::new(ip, audio.port())),
        Host::Name(name, _) => bail!("a name for an address: {name}"),
    }
}

/// The key with which the relay that wrote this answer protects what it sends.
///
/// # Errors
/// There is none for the suite that was offered.
pub fn relay_keys(sdp: &[u8]) -> anyhow::Result<SrtpKeyMaterial> {
    let session = Session::parse(sdp)?;
    let audio = session.media(0).context("an SDP without media")?;
    let mut cryptos = audio.cryptos().filter_map(Result::ok);
    let crypto = cryptos
        .find(|crypto| crypto.suite == suite())
        .context("an answer without the key that was asked for")?;
    let param = crypto.keys.first().context("a=crypto without a key")?;
    Ok(SrtpKeyMaterial::from_sdes(PROFILE, &param.key.0)?)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn plan(mode: MediaMode) -> CallPlan {
        let address = |port: u16| ([127, 0, 0, 1], port).into();
        CallPlan::new(5, mode, address(4_000), address(4_002))
    }

    fn offered(mode: MediaMode) -> Offer {
        match plan(mode).offer().unwrap() {
            Request::Offer(offer) => *offer,
            other => panic!("{other:?}"),
        }
    }

    #[test]
    fn a_plain_offer_says_where_and_names_no_key() {
        let offer = offered(MediaMode::Plain);
        let address = relay_address(offer.sdp.as_bytes()).unwrap();
        assert_eq!(address, "127.0.0.1:4000".parse().unwrap());
        assert!(relay_keys(offer.sdp.as_bytes()).is_err());
        assert!(offer.sdp.to_text().contains("RTP/AVP 8"));
    }

    #[test]
    fn an_encrypted_offer_carries_the_callers_key() {
        let offer = offered(MediaMode::Sdes);
        let key = plan(MediaMode::Sdes).caller_key().unwrap();
        assert_eq!(relay_keys(offer.sdp.as_bytes()).unwrap(), key);
        assert!(offer.sdp.to_text().contains("RTP/SAVP 8"));
        assert_eq!(offer.options.transport_protocol, Some(TransportProtocol::RtpAvp));
        let other = CallPlan {
            number: 6,
            ..plan(MediaMode::Sdes)
        };
        assert_ne!(other.caller_key().unwrap(), key);
    }

    #[test]
    fn an_answer_asks_for_what_the_caller_speaks() {
        for (mode, protocol) in [
            (MediaMode::Plain, TransportProtocol::RtpAvp),
            (MediaMode::Sdes, TransportProtocol::RtpSavp),
        ] {
            let Request::Answer(answer) = plan(mode).answer() else {
                panic!("an answer");
            };
            assert_eq!(answer.options.transport_protocol, Some(protocol));
            assert_eq!(answer.call_id.to_text(), "5@media");
        }
    }

    #[test]
    fn a_refused_media_is_no_address() {
        let refused = b"v=0\r\no=- 1 1 IN IP4 127.0.0.1\r\ns=-\r\nc=IN IP4 127.0.0.1\r\nt=0 0\r\nm=audio 0 RTP/AVP 8\r\n";
        assert!(relay_address(refused).is_err());
        assert!(relay_address(b"rubbish").is_err());
    }
}

//! Leg profiles: what an endpoint speaks, and what the relay must be asked so that it can read an SDP.

use serde::{Deserialize, Serialize};
use viaduct_ng::{
    Bundle, CodecOptions, DtlsRequest, Flag, Ice, IceLite, IceMode, MediaType, Options, Replace, RtcpMux,
    SdesWord, SdpAttr, SdpSection, TransportProtocol,
};
use viaduct_sdp::Session;

use super::IceRole;

/// What one endpoint of a call speaks.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Profile {
    /// A browser: DTLS-SRTP with ICE, RTCP on the port of RTP.
    Web,
    /// A desk phone or softphone: plain RTP.
    Phone,
    /// A phone that encrypts with keys from its SDP (RFC 4568).
    PhoneSdes,
    /// A phone or carrier that encrypts with keys from a DTLS handshake (RFC 5763, RFC 5764), without ICE.
    PhoneDtls,
}

impl Profile {
    /// Every profile.
    pub const ALL: [Self; 4] = [Self::Web, Self::Phone, Self::PhoneSdes, Self::PhoneDtls];

    /// The name in configurations and lists.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Web => "web",
            Self::Phone => "phone",
            Self::PhoneSdes => "phone-sdes",
            Self::PhoneDtls => "phone-dtls",
        }
    }

    /// The profile with this name.
    pub fn from_name(name: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|profile| profile.as_str() == name)
    }

    /// What the sender of this offer speaks. `None` when it offers no media.
    pub fn of_offer(offer: &Session) -> Option<Self> {
        let media = offer.medias().find(|media| !media.is_rejected())?;
        let protocol = media.protocol();
        Some(
            if protocol.names_dtls() || !media.effective_fingerprints().is_empty() {
                Self::Web
            } else if protocol.is_secure() && media.cryptos().next().is_some() {
                Self::PhoneSdes
            } else {
                Self::Phone
            },
        )
    }

    /// The codecs of audio that such an endpoint is offered when it has no list of its own.
    pub fn audio_codecs(self) -> &'static [&'static str] {
        match self {
            Self::Web => &["opus", "G722", "PCMU", "PCMA"],
            Self::Phone | Self::PhoneSdes | Self::PhoneDtls => &["PCMA", "PCMU", "G722"],
        }
    }
}

/// One endpoint of a call as media policy sees it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Endpoint {
    /// What it speaks.
    pub profile: Profile,
    /// Audio codecs that it takes, if its user has a list.
    pub codecs: Option<Vec<String>>,
}

impl Endpoint {
    /// An endpoint with the codecs of its profile.
    pub fn new(profile: Profile) -> Self {
        Self {
            profile,
            codecs: None,
        }
    }

    /// The audio codecs that it takes.
    pub fn audio_codecs(&self) -> Vec<&str> {
        match &self.codecs {
            Some(own) => own.iter().map(String::as_str).collect(),
            None => self.profile.audio_codecs().to_vec(),
        }
    }
}

/// Attributes that only browsers understand. Phones have dropped calls over longer SDPs than they expected.
const WEB_ATTRIBUTES: [&str; 8] = [
    "msid",
    "ssrc",
    "ssrc-group",
    "rtcp-rsize",
    "extmap-allow-mixed",
    "rid",
    "simulcast",
    "rtcp-fb",
];

/// The same at session level.
const WEB_SESSION_ATTRIBUTES: [&str; 2] = ["msid-semantic", "extmap-allow-mixed"];

/// Video that passes between browsers and phones: codecs, without their repair formats, which need feedback.
const VIDEO_CODECS: [&str; 7] = ["VP8", "VP9", "H264", "H265", "AV1", "H263", "H263-1998"];

/// What must be asked with an offer from `sender` so that `reader` can read it.
pub(super) fn offer(sender: &Endpoint, reader: &Endpoint, ice: IceRole) -> Options {
    let mut options = common(sender, reader);
    if reader.profile == Profile::Web {
        // Firefox throws a whole SDP away over one m-line of T.38.
        options.sdp_media_remove.insert(MediaType::Image);
    }
    if reader.profile == Profile::PhoneDtls {
        // An answer repeats what was offered: some offer SAVPF without ICE.
        options.transport_protocol = Some(TransportProtocol::UdpTlsRtpSavp);
        // One handshake is enough for RTP and RTCP; who refuses this has two.
        options.rtcp_mux = [RtcpMux::Offer].into();
    }
    if sender.profile == Profile::Web {
        // The browser begins the handshake: its packets open the way through its NAT.
        options.dtls_reverse = Some(DtlsRequest::Passive);
    }
    if ice == IceRole::Lite {
        options.ice.lite = match (sender.profile, reader.profile) {
            (Profile::Web, Profile::Web) => Some(IceLite::Both),
            (Profile::Web, _) => Some(IceLite::Backward),
            (_, Profile::Web) => Some(IceLite::Forward),
            (_, _) => None,
        };
    }
    if sender.profile == Profile::Web && reader.profile != Profile::Web || reader.codecs.is_some() {
        options.codec = codecs_for(reader);
    }
    options
}

/// What must be asked with an answer from `sender` so that `reader`, who made the offer, can read it.
pub(super) fn answer(sender: &Endpoint, reader: &Endpoint) -> Options {
    let mut options = common(sender, reader);
    if reader.profile == Profile::Web {
        // Releases of rtpengine before the middle of 2026 read the role here.
        options.dtls = Some(DtlsRequest::Passive);
    }
    options
}

fn common(sender: &Endpoint, reader: &Endpoint) -> Options {
    let mut options = Options {
        replace: [Replace::Origin, Replace::SdpVersion].into(),
        ..Options::default()
    };
    match reader.profile {
        Profile::Web => {
            options.transport_protocol = Some(TransportProtocol::UdpTlsRtpSavpf);
            options.ice = Ice {
                mode: Some(IceMode::Force),
                ..Ice::default()
            };
            options.rtcp_mux = [RtcpMux::Offer, RtcpMux::Require].into();
            options.sdes.words.insert(SdesWord::Off);
            options.flags.extend([Flag::GenerateMid, Flag::NoRtcpAttribute]);
        }
        Profile::Phone => {
            options.transport_protocol = Some(TransportProtocol::RtpAvp);
            options.ice.mode = Some(IceMode::Remove);
            options.rtcp_mux = [RtcpMux::Demux].into();
        }
        Profile::PhoneSdes => {
            options.transport_protocol = Some(TransportProtocol::RtpSavp);
            options.ice.mode = Some(IceMode::Remove);
            options.rtcp_mux = [RtcpMux::Demux].into();
            options.dtls = Some(DtlsRequest::Off);
        }
        Profile::PhoneDtls => {
            options.ice.mode = Some(IceMode::Remove);
            options.sdes.words.insert(SdesWord::Off);
        }
    }
    if sender.profile == Profile::Web {
        options.bundle.insert(Bundle::Accept);
        if reader.profile != Profile::Web {
            options.flags.insert(Flag::StripExtmap);
            options.sdp_attr = without_web_attributes();
        }
    }
    options
}

fn without_web_attributes() -> Vec<SdpAttr> {
    let remove = |section, names: &[&str]| SdpAttr {
        remove: names.iter().map(|&name| name.to_owned()).collect(),
        ..SdpAttr::new(section)
    };
    vec![
        remove(SdpSection::Global, &WEB_SESSION_ATTRIBUTES),
        remove(SdpSection::Media(MediaType::Audio), &WEB_ATTRIBUTES),
        remove(SdpSection::Media(MediaType::Video), &WEB_ATTRIBUTES),
    ]
}

/// Everything out but what the reader takes; the offerer's order stays.
fn codecs_for(reader: &Endpoint) -> CodecOptions {
    let mut except: Vec<String> = reader.audio_codecs().into_iter().map(str::to_owned).collect();
    except.push("telephone-event/8000".to_owned());
    if reader.profile == Profile::Web {
        except.push("telephone-event/48000".to_owned());
    }
    except.extend(VIDEO_CODECS.map(str::to_owned));
    CodecOptions {
        strip: vec!["all".to_owned()],
        except,
        ..CodecOptions::default()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn of(offer: &str) -> Option<Profile> {
        Profile::of_offer(&Session::parse(offer.as_bytes()).unwrap())
    }

    const HEAD: &str = "v=0\r\no=- 1 1 IN IP4 192.0.2.1\r\ns=-\r\nc=IN IP4 192.0.2.1\r\nt=0 0\r\n";

    #[test]
    fn an_offer_tells_what_its_sender_speaks() {
        let key = "a=crypto:1 AES_CM_128_HMAC_SHA1_80 inline:WVNfX19zZW1jdGwgKCkgewkyMjA7fQp9CnVubGVz\r\n";
        let fingerprint = format!("a=fingerprint:sha-256 {}\r\n", vec!["AA"; 32].join(":"));
        for (media, profile) in [
            ("m=audio 9 UDP/TLS/RTP/SAVPF 0\r\n".to_owned(), Profile::Web),
            (format!("m=audio 9 RTP/SAVPF 0\r\n{fingerprint}"), Profile::Web),
            (format!("m=audio 4000 RTP/SAVP 0\r\n{key}"), Profile::PhoneSdes),
            ("m=audio 4000 RTP/AVP 0\r\n".to_owned(), Profile::Phone),
            (format!("m=audio 4000 RTP/AVP 0\r\n{key}"), Profile::Phone),
            (
                "m=audio 0 RTP/AVP 0\r\nm=video 9 UDP/TLS/RTP/SAVPF 96\r\n".to_owned(),
                Profile::Web,
            ),
        ] {
            assert_eq!(of(&format!("{HEAD}{media}")), Some(profile), "{media}");
        }
        assert_eq!(of(HEAD), None);
    }

    #[test]
    fn a_browser_reads_what_browsers_demand() {
        let options = offer(
            &Endpoint::new(Profile::Phone),
            &Endpoint::new(Profile::Web),
            IceRole::Lite,
        );
        assert_eq!(
            options.transport_protocol,
            Some(TransportProtocol::UdpTlsRtpSavpf)
        );
        assert_eq!(
            (options.ice.mode, options.ice.lite),
            (Some(IceMode::Force), Some(IceLite::Forward))
        );
        assert!(options.rtcp_mux.contains(RtcpMux::Require) && options.sdes.is_off());
        assert!(options.has(Flag::GenerateMid) && options.has(Flag::NoRtcpAttribute));
        assert!(options.sdp_media_remove.contains(MediaType::Image));
        assert!(
            options.codec.is_empty(),
            "a browser skips codecs that it does not know"
        );
    }

    #[test]
    fn a_phone_reads_plain_rtp_without_web_attributes() {
        let web = Endpoint::new(Profile::Web);
        let options = offer(&web, &Endpoint::new(Profile::Phone), IceRole::Lite);
        assert_eq!(options.transport_protocol, Some(TransportProtocol::RtpAvp));
        assert_eq!(
            (options.ice.mode, options.ice.lite),
            (Some(IceMode::Remove), Some(IceLite::Backward))
        );
        assert_eq!(options.dtls_reverse, Some(DtlsRequest::Passive));
        assert!(options.has(Flag::StripExtmap));
        assert_eq!(options.codec.strip, ["all"]);
        assert_eq!(
            options.codec.except[..4],
            ["PCMA", "PCMU", "G722", "telephone-event/8000"]
        );
        assert!(options.sdp_attr.iter().all(|attr| !attr.remove.is_empty()));
    }

    #[test]
    fn phones_among_themselves_keep_all_their_codecs() {
        let phone = Endpoint::new(Profile::Phone);
        assert!(offer(&phone, &phone, IceRole::Lite).codec.is_empty());
        let picky = Endpoint {
            codecs: Some(vec!["PCMA".to_owned()]),
            ..phone.clone()
        };
        assert_eq!(offer(&phone, &picky, IceRole::Lite).codec.except[0], "PCMA");
    }

    #[test]
    fn an_answer_to_a_browser_makes_the_relay_wait_for_the_handshake() {
        let options = answer(&Endpoint::new(Profile::Phone), &Endpoint::new(Profile::Web));
        assert_eq!(options.dtls, Some(DtlsRequest::Passive));
        assert_eq!(options.ice.mode, Some(IceMode::Force));
        let full = offer(
            &Endpoint::new(Profile::Web),
            &Endpoint::new(Profile::Web),
            IceRole::Full,
        );
        assert_eq!(full.ice.lite, None);
    }
}

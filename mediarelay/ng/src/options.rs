//! What an offer or answer asks for beside its SDP: NG keys and flags.

mod codec;
mod flag;
mod media;
mod sdes;
mod sdp_attr;
mod transport;
mod write;

pub use codec::CodecOptions;
pub(crate) use codec::{escape, unescape};
pub use flag::Flag;
pub use media::{AddressFamily, AliasKey, MediaEcho, MediaType, SipMessageType, Tos};
pub use sdes::{Sdes, SdesWord};
pub use sdp_attr::{SdpAttr, SdpSection};
pub use transport::{
    Bundle, DtlsRequest, EndpointLearning, FingerprintHash, Ice, IceLite, IceMode, Osrtp, Replace, RtcpMux,
    T38, TransportProtocol,
};
pub(crate) use write::put;

use std::net::{IpAddr, SocketAddr};
use std::time::Duration;

use crate::byte_string::ByteString;
use crate::words::WordSet;

/// The options of a request. All absent by default, which asks for rtpengine's defaults.
///
/// The same thing said in two ways reads as one: `ICE=[force trickle]` and `ICE=force` with flag
/// `trickle-ICE`; `SDES=[off]` and flag `SDES-off`.
#[derive(Debug, Clone, PartialEq, Eq, Hash, Default)]
pub struct Options {
    /// Interface of the sender's ports: the first of `direction`, or `from-interface`.
    pub from_interface: Option<String>,
    /// Interface of the receiver's ports: the second of `direction`, or `to-interface`.
    pub to_interface: Option<String>,
    /// `address-family`: the family used toward the receiver.
    pub address_family: Option<AddressFamily>,
    /// `received-from`: where the SIP message came from. Counts only with
    /// [`Flag::SipSourceAddress`].
    pub received_from: Option<IpAddr>,
    /// `media-address`: printed in the place of our own address.
    pub media_address: Option<IpAddr>,
    /// `TOS`: the DSCP and ECN octet of outgoing media.
    pub tos: Option<Tos>,
    /// `alias-key`: by what an unknown from-tag is found to be another name of a known party.
    pub alias_key: Option<AliasKey>,
    /// `media-echo`: sends media back to where it came from.
    pub media_echo: Option<MediaEcho>,
    /// `label`: names the party.
    pub label: Option<ByteString>,
    /// `set-label`: names the other party.
    pub set_label: Option<ByteString>,
    /// `DTMF-log-dest`: where digits are told, one datagram of JSON each.
    pub dtmf_log_dest: Option<SocketAddr>,
    /// `metadata`: stored with a recording, shown in `query`.
    pub metadata: Option<ByteString>,
    /// `sip-message-type`
    pub sip_message_type: Option<SipMessageType>,
    /// `sip-code`: status of a SIP response.
    pub sip_code: Option<u16>,
    /// `transport-protocol`: toward the receiver.
    pub transport_protocol: Option<TransportProtocol>,
    /// `DTLS`: in an answer, in releases before mr26.2; in an offer since.
    pub dtls: Option<DtlsRequest>,
    /// `DTLS-reverse`: the same wish said in an offer to releases before mr26.2.
    /// [`dtls_wish`](Self::dtls_wish) is what a relay should read.
    pub dtls_reverse: Option<DtlsRequest>,
    /// `DTLS-fingerprint`: hash of our fingerprint.
    pub dtls_fingerprint: Option<FingerprintHash>,
    /// `SDES`
    pub sdes: Sdes,
    /// `OSRTP`
    pub osrtp: WordSet<Osrtp>,
    /// `ICE`, `ICE-lite` and flag `trickle-ICE`
    pub ice: Ice,
    /// `rtcp-mux`
    pub rtcp_mux: WordSet<RtcpMux>,
    /// `bundle`
    pub bundle: WordSet<Bundle>,
    /// `replace`
    pub replace: WordSet<Replace>,
    /// `sdp-attr`: at most one entry a section, in order of first mention.
    pub sdp_attr: Vec<SdpAttr>,
    /// `sdp-media-remove`: kinds of media taken out of the offer.
    pub sdp_media_remove: WordSet<MediaType>,
    /// `extmap` member `strip`: header extensions taken out of the SDP. The member `all` is
    /// [`Flag::StripExtmap`].
    pub extmap_strip: Vec<String>,
    /// `extmap` member `mask`: header extensions taken out of the SDP and of the packets.
    pub extmap_mask: Vec<String>,
    /// `codec`
    pub codec: CodecOptions,
    /// `ptime`: milliseconds, toward the receiver.
    pub ptime: Option<u32>,
    /// `ptime-reverse`: milliseconds, toward the sender.
    pub ptime_reverse: Option<u32>,
    /// `T.38`
    pub t38: WordSet<T38>,
    /// `T.38-version`: what we say of ours.
    pub t38_version: Option<u8>,
    /// `endpoint-learning`
    pub endpoint_learning: Option<EndpointLearning>,
    /// `delete-delay`: whole seconds.
    pub delete_delay: Option<Duration>,
    /// `supports` has `load limit`: see [`LoadLimit`](crate::LoadLimit).
    pub supports_load_limit: bool,
    /// `flags`
    pub flags: WordSet<Flag>,
}

impl Options {
    /// True when flag `flag` is set.
    pub fn has(&self, flag: Flag) -> bool {
        self.flags.contains(flag)
    }

    /// The DTLS role or refusal asked for, by either name.
    pub fn dtls_wish(&self) -> Option<DtlsRequest> {
        self.dtls.or(self.dtls_reverse)
    }

    /// Writes out the shorthand flag `WebRTC` and takes the flag away: DTLS-SRTP with
    /// feedback, our own ICE with trickle, RTCP on the same port, no `a=rtcp`, no SDES, `a=mid`, BUNDLE. What
    /// the request says itself about transport and ICE stays. rtpengine 10.5 does not know the flag.
    pub fn expand_webrtc(&mut self) {
        if !self.has(Flag::WebRtc) {
            return;
        }
        self.flags.remove(Flag::WebRtc);
        self.transport_protocol
            .get_or_insert(TransportProtocol::UdpTlsRtpSavpf);
        self.ice.mode.get_or_insert(IceMode::Force);
        self.ice.trickle = true;
        self.rtcp_mux.extend([RtcpMux::Offer, RtcpMux::Require]);
        self.bundle.extend([Bundle::Offer, Bundle::Require]);
        self.sdes.words.insert(SdesWord::Off);
        self.flags.extend([Flag::NoRtcpAttribute, Flag::GenerateMid]);
    }
}

#[cfg(test)]
mod tests;

//! Transport, encryption, ICE, multiplexing and rewriting: the words of sections 5.2 to 5.5 and 5.7.

use crate::words::words;

words! {
    /// `transport-protocol`
    TransportProtocol {
        /// Plain RTP
        RtpAvp = "RTP/AVP";
        /// Plain RTP with feedback
        RtpAvpf = "RTP/AVPF";
        /// SRTP
        RtpSavp = "RTP/SAVP";
        /// SRTP with feedback
        RtpSavpf = "RTP/SAVPF";
        /// DTLS-SRTP
        UdpTlsRtpSavp = "UDP/TLS/RTP/SAVP";
        /// DTLS-SRTP with feedback: what browsers speak
        UdpTlsRtpSavpf = "UDP/TLS/RTP/SAVPF";
        /// T.38
        Udptl = "udptl";
        /// In an answer: the protocol the callee really answered with
        Accept = "accept";
    }
}

words! {
    /// `DTLS` and `DTLS-reverse`
    DtlsRequest {
        /// Neither offer nor accept DTLS-SRTP
        Off = "off" ["no", "disable", "disabled"];
        /// Be the DTLS server
        Passive = "passive";
        /// Be the DTLS client, whatever is configured
        Active = "active";
    }
}

words! {
    /// `DTLS-fingerprint`
    FingerprintHash {
        /// SHA-1
        Sha1 = "sha-1";
        /// SHA-224
        Sha224 = "sha-224";
        /// SHA-256
        Sha256 = "sha-256";
        /// SHA-384
        Sha384 = "sha-384";
        /// SHA-512
        Sha512 = "sha-512";
    }
}

words! {
    /// `OSRTP` (RFC 8643)
    Osrtp {
        /// Turn a plain offer into an opportunistic one
        Offer = "offer" ["offer-rfc"];
        /// Offer each media twice, plain and SRTP
        OfferLegacy = "offer-legacy";
        /// Accept an opportunistic offer, in either form
        Accept = "accept";
        /// Answer an opportunistic offer with keys though the callee answered plain
        AcceptRfc = "accept-RFC";
        /// Accept the doubled form
        AcceptLegacy = "accept-legacy";
    }
}

words! {
    /// `T.38`: fax that is made sound of, and sound that is made fax of
    T38 {
        /// Offer a sender's T.38 as audio: it is decoded
        Decode = "decode";
        /// Offer a sender's audio as T.38
        Force = "force";
        /// Do neither any more
        Stop = "stop";
        /// No error correction mode (T.30 annex A)
        NoEcm = "no-ECM";
        /// Without modem V.17
        NoV17 = "no-V.17" ["no-V17"];
        /// Without modem V.27ter
        NoV27Ter = "no-V.27ter" ["no-V27ter"];
        /// Without modem V.29
        NoV29 = "no-V.29" ["no-V29"];
        /// Without modem V.34, which is never used
        NoV34 = "no-V.34" ["no-V34"];
        /// Without internet aware fax devices, which are never taken for such
        NoIaf = "no-IAF";
        /// Offer parity as error correction
        Fec = "FEC";
    }
}

words! {
    /// What `ICE` does with candidates
    IceMode {
        /// Our own ICE where the sender has ICE: what holds without the key
        Default = "default";
        /// No ICE attribute toward the receiver
        Remove = "remove";
        /// Always our own ICE, as the only candidates
        Force = "force";
        /// Our own beside the sender's, with lower priority
        Optional = "optional";
        /// As relay candidate beside the sender's host candidates; `c=` and ports stay the sender's
        ForceRelay = "force-relay";
    }
}

words! {
    /// `ICE-lite`
    IceLite {
        /// As a full agent
        Off = "off" ["none", "no"];
        /// Lite toward the receiver
        Forward = "forward" ["offer", "fwd", "fw"];
        /// Lite toward the sender
        Backward = "backward" ["backwards", "reverse", "answer", "back", "bkw", "bk"];
        /// Lite toward both
        Both = "both";
    }
}

/// `ICE`, with what its list members say.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Default)]
pub struct Ice {
    /// What to do with candidates.
    pub mode: Option<IceMode>,
    /// Member `trickle` or flag `trickle-ICE`: print `a=ice-options:trickle` and `a=end-of-candidates`.
    pub trickle: bool,
    /// Member `ice2`: print that option.
    pub ice2: bool,
    /// `ICE-lite`, or the members `lite-…`.
    pub lite: Option<IceLite>,
}

words! {
    /// `rtcp-mux`
    RtcpMux {
        /// Offer it toward the receiver in any case
        Offer = "offer";
        /// Offer it, and print no separate RTCP port. [`RtcpMux::Offer`] goes without saying
        Require = "require";
        /// Accept it toward the sender, do not offer it on
        Demux = "demux";
        /// Accept it toward the sender, and offer it on
        Accept = "accept";
        /// Refuse it toward the sender
        Reject = "reject";
    }
}

words! {
    /// `bundle`. `require`, `strict` and `offer` imply flag `generate-mid`
    Bundle {
        /// Understand a bundled offer and answer bundled
        Accept = "accept";
        /// Offer our own group
        Offer = "offer";
        /// Offer `bundle-only`, every media on the same port
        Require = "require";
        /// Offer `bundle-only` as the RFC says, with port 0 on all but the first media
        Strict = "strict";
        /// Dissolve the group
        Reject = "reject";
    }
}

words! {
    /// `replace`
    Replace {
        /// Our address in `o=`
        Origin = "origin";
        /// Obsolete: `c=` is always rewritten
        SessionConnection = "session-connection";
        /// The whole of `o=`
        OriginFull = "origin-full";
        /// Raise the version of `o=` when our SDP changed, and only then
        SdpVersion = "SDP-version";
        /// Raise the version of `o=` always
        ForceIncrementSdpVersion = "force-increment-sdp-ver";
        /// Keep our first `s=`
        SessionName = "session-name";
        /// Keep our first user name in `o=`
        Username = "username";
        /// Put a real address for a zero `c=`
        ZeroAddress = "zero-address";
    }
}

words! {
    /// `endpoint-learning`
    EndpointLearning {
        /// The address of the SDP at once, else the best source of the first 3 s
        Heuristic = "heuristic";
        /// The first packet after 3 s
        Delayed = "delayed";
        /// The first packet
        Immediate = "immediate";
        /// The SDP only
        Off = "off";
    }
}

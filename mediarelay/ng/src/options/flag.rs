//! The elements of `flags` that mean something to a relay of calls between browsers and phones.

use crate::words::words;

words! {
    /// An element of `flags`. Flags that are another way to write a key ([`Options`](super::Options) says
    /// which) have no member here.
    Flag {
        /// In other commands: every party
        All = "all";
        /// Do not insist on one codec both ways
        AllowAsymmetricCodecs = "allow-asymmetric-codecs" ["allow-asymmetric-codec"];
        /// A media left without codecs becomes rejected instead of restored
        AllowNoCodecMedia = "allow-no-codec-media"
            ["allow-no-codec-medias", "allow-empty-codec-media", "allow-empty-codec-medias"];
        /// `subscribe answer`: codecs may differ from the offer
        AllowTranscoding = "allow-transcoding";
        /// Do not learn endpoints
        Asymmetric = "asymmetric";
        /// `publish`: answer that we send as well
        Bidirectional = "bidirectional";
        /// Telephone events of whoever sends the SDP go no further
        BlockDtmf = "block-DTMF";
        /// In other commands: the from-tag selects
        Directional = "directional";
        /// Play to the caller before the answer
        EarlyMedia = "early-media";
        /// `delete`: no statistics in the reply
        Fast = "fast";
        /// `delete`: an unknown call is an error
        Fatal = "fatal";
        /// The SDP is a trickle ICE fragment (RFC 8840)
        Fragment = "fragment";
        /// Print `a=rtcp` with address
        FullRtcpAttribute = "full-rtcp-attribute";
        /// Add `a=mid` where it is missing
        GenerateMid = "generate-mid";
        /// Swallow RTCP and write our own
        GenerateRtcp = "generate-RTCP";
        /// `subscribe request`: offer inactive media
        Inactive = "inactive";
        /// Mark the SDP, and return one that is already marked untouched
        LoopProtect = "loop-protect";
        /// After learning, follow a new source
        MediaHandover = "media-handover";
        /// Send nothing before something was received
        NatWait = "NAT-wait";
        /// An answer with a new tag is a party of its own
        NewBranch = "new-branch";
        /// New ports and an ICE restart when the peer's address changes
        NoPortLatching = "no-port-latching";
        /// Do not print `a=rtcp`
        NoRtcpAttribute = "no-rtcp-attribute";
        /// Do not print `a=tls-id`
        NoTlsId = "no-tls-id";
        /// Pass direction attributes through
        OriginalSendrecv = "original-sendrecv";
        /// Send empty packets to the SDP address until something arrives
        PierceNat = "pierce-NAT";
        /// Keep ports when the peer's address changes, also without ICE
        PortLatching = "port-latching";
        /// The final response does not fix the tag
        Provisional = "provisional";
        /// `subscribe request`: name every m-line, as SIPREC wants it
        Siprec = "siprec";
        /// Decrypt, verify and encrypt even where the keys on both sides are the same
        Recrypt = "recrypt";
        /// Answer the offerer as if we had no ICE
        RejectIce = "reject-ICE" ["ice-reject"];
        /// Forget what the receiver declined before
        Reset = "reset";
        /// `answer`: keep the first codec only
        SingleCodec = "single-codec";
        /// Use `received-from` instead of the addresses of the SDP
        SipSourceAddress = "SIP-source-address";
        /// After learning, drop packets from other sources
        StrictSource = "strict-source";
        /// Take every RTP header extension out of the SDP
        StripExtmap = "strip-extmap";
        /// No meaning; modules send it
        Symmetric = "symmetric";
        /// `delete`: the to-tag counts
        ToTag = "to-tag";
        /// The addresses of the SDP count: the default
        TrustAddress = "trust-address";
        /// Forward in the fast path though media flows only one way
        Unidirectional = "unidirectional";
        /// Shorthand, see [`Options::expand_webrtc`](super::Options::expand_webrtc)
        WebRtc = "WebRTC";
    }
}

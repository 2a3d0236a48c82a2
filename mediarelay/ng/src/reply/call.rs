//! The content of `query` and `delete`.

use super::record::{Entries, FlagList, record};
use crate::byte_string::ByteString;
use crate::value::Value;
use crate::words::words;

record! {
    /// One call.
    CallReport {
        /// When it began, in seconds since 1970.
        created: u64 = "created";
        /// The rest of that moment, in microseconds.
        created_us: Option<u64> = "created_us";
        /// That moment as a decimal fraction.
        created_ts: Option<ByteString> = "created_ts";
        /// Last offer, answer or delete, in seconds since 1970.
        last_signal: u64 = "last signal";
        /// In seconds since 1970.
        last_redis_update: Option<u64> = "last redis update";
        /// As given in a request.
        metadata: Option<ByteString> = "metadata";
        /// Every source, by its number in decimal digits.
        ssrc: Entries<SsrcReport> = "SSRC";
        /// Every party, by its tag; `<untagged N>` for one without.
        tags: Entries<TagReport> = "tags";
        /// Sums over the call.
        totals: Totals = "totals";
        /// Once recording was used.
        recording: Option<Value> = "recording";
    }
}

record! {
    /// Sums over a call, by protocol.
    Totals {
        /// RTP
        rtp: Counters = "RTP";
        /// RTCP
        rtcp: Counters = "RTCP";
    }
}

record! {
    /// Packets that went one way.
    Counters {
        /// Packets.
        packets: u64 = "packets";
        /// Octets.
        bytes: u64 = "bytes";
        /// Packets that could not be forwarded.
        errors: u64 = "errors";
    }
}

record! {
    /// One party.
    TagReport {
        /// Its tag.
        tag: ByteString = "tag";
        /// The branch it was made for.
        via_branch: Option<ByteString> = "via-branch";
        /// Further tags it goes by.
        tag_aliases: Option<Vec<ByteString>> = "tag-aliases";
        /// As given in a request.
        label: Option<ByteString> = "label";
        /// When it came, in seconds since 1970.
        created: u64 = "created";
        /// As given in a request.
        metadata: Option<ByteString> = "metadata";
        /// Parties it receives media from.
        subscriptions: Vec<Subscription> = "subscriptions";
        /// Parties that receive its media.
        subscribers: Vec<Subscription> = "subscribers";
        /// Its media, in the order of the SDP.
        medias: Vec<MediaReport> = "medias";
        /// Triggers of recording.
        vsc: Vec<Value> = "VSC";
        /// Once recording was used.
        recording: Option<Value> = "recording";
    }
}

record! {
    /// One end of a flow between parties.
    Subscription {
        /// The other party.
        tag: ByteString = "tag";
        /// `offer/answer` or `pub/sub`.
        kind: ByteString = "type";
    }
}

record! {
    /// One m-line of a party.
    MediaReport {
        /// Position in the SDP, from 1.
        index: u64 = "index";
        /// `audio`, `video`, …
        kind: ByteString = "type";
        /// `RTP/AVP`, …
        protocol: Option<ByteString> = "protocol";
        /// Main codec.
        codec: Option<ByteString> = "codec";
        /// `a=label`
        label: Option<ByteString> = "label";
        /// RTP and RTCP, alternating; one stream where they are muxed.
        streams: Vec<StreamReport> = "streams";
        /// What it is and does.
        flags: FlagList<MediaFlag> = "flags";
        /// Sources received.
        ingress_ssrcs: Vec<SsrcSummary> = "ingress SSRCs";
        /// Sources sent.
        egress_ssrcs: Vec<SsrcSummary> = "egress SSRCs";
    }
}

record! {
    /// One RTP or RTCP endpoint.
    StreamReport {
        /// Our port.
        local_port: Option<u64> = "local port";
        /// Our address.
        local_address: Option<ByteString> = "local address";
        /// `IPv4` or `IPv6`.
        family: Option<ByteString> = "family";
        /// Where we send to.
        endpoint: Endpoint = "endpoint";
        /// What the peer's SDP said.
        advertised_endpoint: Endpoint = "advertised endpoint";
        /// SRTP suite.
        crypto_suite: Option<ByteString> = "crypto suite";
        /// Last packet received, in seconds since 1970.
        last_packet: u64 = "last packet";
        /// The same, of those the kernel forwarded.
        last_kernel_packet: Option<u64> = "last kernel packet";
        /// The same, of those we forwarded.
        last_user_packet: Option<u64> = "last user packet";
        /// Source received.
        ssrc: Option<u64> = "SSRC";
        /// What it is and does.
        flags: FlagList<StreamFlag> = "flags";
        /// Received.
        stats: Counters = "stats";
        /// Sent.
        stats_out: Counters = "stats_out";
    }
}

record! {
    /// An address and port. All absent where there is none.
    Endpoint {
        /// `IPv4` or `IPv6`.
        family: Option<ByteString> = "family";
        /// Address.
        address: Option<ByteString> = "address";
        /// Port.
        port: Option<u64> = "port";
    }
}

record! {
    /// A source named at a media, with its report where reporting is inline.
    SsrcSummary {
        /// The source.
        ssrc: u64 = "SSRC";
    }
}

record! {
    /// One source. Quality is absent until RTCP was seen.
    SsrcReport {
        /// Octets received.
        bytes: u64 = "bytes";
        /// Packets received.
        packets: u64 = "packets";
        /// Of the last packet.
        last_rtp_timestamp: u64 = "last RTP timestamp";
        /// Of the last packet.
        last_rtp_seq: u64 = "last RTP seq";
        /// As RTCP reports it; negative when packets were doubled.
        cumulative_loss: Option<i64> = "cumulative loss";
        /// Over the call.
        average_mos: Option<MosEntry> = "average MOS";
        /// The worst moment.
        lowest_mos: Option<MosEntry> = "lowest MOS";
        /// The best moment.
        highest_mos: Option<MosEntry> = "highest MOS";
        /// About ten moments over the call.
        mos_progression: Option<MosProgression> = "MOS progression";
    }
}

record! {
    /// Quality at one moment, or on average.
    MosEntry {
        /// Mean opinion score, times ten.
        mos: i64 = "MOS";
        /// Between the ends, microseconds.
        round_trip_time: i64 = "round-trip time";
        /// To this end only, microseconds.
        round_trip_time_leg: i64 = "round-trip time leg";
        /// Milliseconds.
        jitter: i64 = "jitter";
        /// Percent.
        packet_loss: i64 = "packet loss";
        /// Of an average: how many reports.
        samples: Option<u64> = "samples";
        /// Of a moment: in seconds since 1970.
        reported_at: Option<u64> = "reported at";
    }
}

record! {
    /// Quality over time.
    MosProgression {
        /// Between entries, seconds.
        interval: u64 = "interval";
        /// In order.
        entries: Vec<MosEntry> = "entries";
    }
}

words! {
    /// Flags of a media
    MediaFlag {
        /// Ports and endpoints are known
        Initialized = "initialized";
        /// Does not learn endpoints
        Asymmetric = "asymmetric";
        /// We send to it
        Send = "send";
        /// We receive from it
        Recv = "recv";
        /// RTCP on the RTP port
        RtcpMux = "rtcp-mux";
        /// Keys by DTLS
        DtlsSrtp = "DTLS-SRTP";
        /// We are the DTLS client
        DtlsRoleActive = "DTLS role active";
        /// We are the DTLS server
        DtlsRolePassive = "DTLS role passive";
        /// Keys by SDP
        Sdes = "SDES";
        /// Forwarded without touching
        Passthrough = "passthrough";
        /// ICE
        Ice = "ICE";
        /// Trickle ICE
        TrickleIce = "trickle ICE";
        /// We are the controlling agent
        IceControlling = "ICE controlling";
        /// The peer is a lite agent
        IceLitePeer = "ICE-lite peer";
        /// We are a lite agent
        IceLiteSelf = "ICE-lite self";
        /// Feedback profile
        RtcpFeedback = "RTCP feedback";
        /// We write RTCP
        RtcpGenerator = "RTCP generator";
        /// Forwarded fast though one-way
        Unidirectional = "unidirectional";
        /// Loop detected
        LoopCheck = "loop check";
        /// Transcoding
        Transcoding = "transcoding";
        /// Media ends or begins here
        GeneratorSink = "generator/sink";
        /// Packet time changed
        PtimeOverride = "ptime-override";
        /// Sent back
        Echo = "echo";
        /// Swallowed
        Blackhole = "blackhole";
        /// Suites put in another order
        SdesReordered = "SDES reordered";
        /// Audio player
        AudioPlayer = "audio player";
        /// Doubled m-lines
        LegacyOsrtp = "legacy OSRTP";
        /// Doubled m-lines, the other way
        ReverseLegacyOsrtp = "reverse legacy OSRTP";
        /// Nothing is sent
        BlockEgress = "block egress";
    }
}

words! {
    /// Flags of a stream
    StreamFlag {
        /// Carries RTP
        Rtp = "RTP";
        /// Carries RTCP
        Rtcp = "RTCP";
        /// RTCP on an assumed port
        FallbackRtcp = "fallback RTCP";
        /// The endpoint is known from SDP
        Filled = "filled";
        /// The endpoint is settled
        Confirmed = "confirmed";
        /// The kernel forwards
        Kernelized = "kernelized";
        /// The kernel cannot forward this
        NoKernelSupport = "no kernel support";
        /// The peer's certificate fits its fingerprint
        DtlsFingerprintVerified = "DTLS fingerprint verified";
        /// Other sources are dropped
        StrictSourceAddress = "strict source address";
        /// A new source is followed
        MediaHandover = "media handover";
        /// ICE
        Ice = "ICE";
    }
}

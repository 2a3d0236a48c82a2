//! NG, the control protocol between a SIP proxy and its media relay, as rtpengine speaks it.
//!
//! **What it is.** Both ends of the protocol: bencode and JSON to a tree of [`Value`]s within [`Limits`];
//! typed [`Request`]s and [`Reply`]s; the [`ReplyCache`] of the answering side; the [`Client`] of the asking
//! side; and the [`flags`] strings in which operators of OpenSIPS and Kamailio write options. In one process
//! the two sides exchange the typed values; over UDP, octets.
//!
//! **What it refuses to do.** It knows no SIP and reads no SDP, decides nothing about calls, opens no socket
//! and reads no clock.
//!
//! **Contract: what a client of rtpengine may send is read without error, what is written is understood by
//! rtpengine 10.5 and by the newest, and `Request::from_value(&request.to_value())` gives back `request`.**
//!
//! ```
//! use viaduct_ng::{Limits, Packet, Reply, Request};
//!
//! let limits = Limits::default();
//! let datagram = b"5_7 d7:command5:offer7:call-id1:c8:from-tag1:f3:sdp4:v=0\n3:ICE5:forcee";
//! let packet = Packet::split(datagram, &limits).unwrap();
//! let received = packet.request(&limits).unwrap();
//! let Request::Offer(offer) = received.request else { panic!("an offer") };
//! assert_eq!((offer.call_id, offer.options.ice.mode), ("c".into(), Some(viaduct_ng::IceMode::Force)));
//! assert_eq!(packet.reply(&Reply::sdp("v=0\n")), b"5_7 d6:result2:ok3:sdp4:v=0\ne");
//! ```

pub mod bencode;
mod byte_string;
mod client;
mod decode;
mod error_reason;
pub mod flags;
pub mod json;
mod limits;
mod options;
mod packet;
mod reply;
mod reply_cache;
mod request;
mod templates;
mod value;
mod words;

pub use byte_string::ByteString;
pub use client::{BadReply, Client, ClientConfig, ClientCounters, ClientEvent, Refused, Ticket};
pub use decode::{DecodeError, DecodeFault};
pub use error_reason::ErrorReason;
pub use limits::Limits;
pub use options::{
    AddressFamily, AliasKey, Bundle, CodecOptions, DtlsRequest, EndpointLearning, FingerprintHash, Flag, Ice,
    IceLite, IceMode, MediaEcho, MediaType, Options, Osrtp, Replace, RtcpMux, Sdes, SdesWord, SdpAttr,
    SdpSection, SipMessageType, T38, Tos, TransportProtocol,
};
pub use packet::{Encoding, Packet, PacketError, encode_packet};
pub use reply::{
    CallReport, ControlStatistics, Counters, CurrentStatistics, Endpoint, Entries, FlagList, LoadLimit,
    MediaFlag, MediaReport, MosEntry, MosProgression, OkReply, ProxyStatistics, Reply, ReplyError,
    SsrcReport, SsrcSummary, Statistics, StreamFlag, StreamReport, Subscription, TagReport, TotalStatistics,
    Totals,
};
pub use reply_cache::{Lookup, ReplyCache, ReplyCacheCounters, ReplyCacheLimits};
pub use request::{
    Answer, Delete, Ignored, List, Offer, OtherCommand, OtherRequest, Publish, Query, Received, Request,
    RequestError, SubscribeAnswer, SubscribeRequest, Unsubscribe, Why,
};
pub use templates::Templates;
pub use value::{Dict, Value};
pub use words::{Word, WordSet};

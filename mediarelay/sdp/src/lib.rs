//! SDP (RFC 8866) for a media relay: read what an endpoint wrote, write what the other one shall read.
//!
//! **What it is.** [`Session`] indexes a document and keeps its octets; typed readers interpret single
//! lines when asked. [`SessionOut`] writes a document in rtpengine's order of lines. Between the two stand
//! plain values: codec lists and their editing, fragments for trickle ICE, checks of an answer.
//!
//! **What it refuses to do.** It does not know what an offer means, chooses no port or key, resolves no
//! name, and does no I/O.
//!
//! **Contract: what was not asked for is not touched. `Session::parse(x)?.source() == x`, octet for octet,
//! and a line that cannot be read spoils nothing but itself.**
//!
//! ```
//! use viaduct_sdp::{Direction, MediaKind, Session};
//!
//! let text = b"v=0\r\no=- 1 1 IN IP4 192.0.2.1\r\ns=-\r\nc=IN IP4 192.0.2.1\r\nt=0 0\r\n\
//!     m=audio 4000 RTP/AVP 8 101\r\na=rtpmap:101 telephone-event/8000\r\na=sendonly\r\n";
//! let session = Session::parse(text).unwrap();
//! let audio = session.media(0).unwrap();
//! assert_eq!((audio.kind(), audio.port()), (MediaKind::Audio, 4000));
//! assert_eq!(audio.effective_connection().unwrap().unwrap().to_string(), "IN IP4 192.0.2.1");
//! assert_eq!(audio.effective_direction(), Direction::SendOnly);
//! let codecs = audio.codecs();
//! assert!(codecs.iter().map(|codec| codec.encoding()).eq(["PCMA", "telephone-event"]));
//! assert_eq!(session.source(), text);
//! ```

mod attribute;
mod check;
mod codecs;
mod connection;
mod edit;
mod error;
mod fragment;
mod limits;
mod media;
mod out;
mod session;

pub use attribute::{
    Attribute, Attributes, Candidate, CandidateAddress, CandidateType, Crypto, CryptoSuite, Direction,
    Extmap, Fingerprint, Fmtp, Group, HashFunction, IceCredentials, IceOptions, IcePwd, IceUfrag, KeyParam,
    Label, Lifetime, MasterKey, MaxPtime, Mid, Mki, Msid, Ptime, RemoteCandidate, RemoteCandidates, Rid,
    Rtcp, RtcpFb, RtpMap, SessionParam, Setup, Simulcast, Ssrc, SsrcGroup, TcpType, TlsId, Transport,
    TypedAttribute, is_consumed,
};
pub use check::{AnswerProblem, check_answer};
pub use codecs::{Codec, CodecList, CodecPattern, CodecRules, CodecSelector, Removed, static_rtpmap};
pub use connection::{AddressFamily, Bandwidth, Connection, Host, Origin};
pub use edit::Edits;
pub use error::{LineError, ParseError, ParseFault, Reason};
pub use fragment::{FragmentMedia, SdpFragment};
pub use limits::Limits;
pub use media::{Media, MediaKind, Protocol};
pub use out::{AttributeEdits, MediaOut, PlainTwin, SessionOut};
pub use session::{Line, Session};

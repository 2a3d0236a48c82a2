//! RTP, RTCP, SRTP and SRTCP: read packets, protect and unprotect them in place, measure a stream.
//!
//! Everything borrows the datagram it reads and works in the caller's buffer. A context that has met an SSRC once does
//! not allocate for its packets, and a statistic costs a few additions a packet.
//!
//! It refuses to know addresses, to schedule RTCP, to buffer or reorder packets, to mix, or to transcode (but between the
//! two laws of G.711), and to do any I/O. Time is an argument: a [`Tick`].
//!
//! **Contract: nothing a peer sends changes a context or a statistic unless it is authentic (where there is a key) and
//! well-formed; whatever fails is an error value, never a panic.**
//!
//! ```
//! use viaduct_rtp::srtp::{ReceiveContext, SendContext, SrtpKeyMaterial, SrtpLimits, SrtpProfile};
//! use viaduct_rtp::{RtpPacket, Tick};
//!
//! let keys = SrtpKeyMaterial::new(SrtpProfile::AeadAes128Gcm, &[1; 16], &[2; 12])?;
//! let mut sender = SendContext::new(&keys, SrtpLimits::default());
//! let mut receiver = ReceiveContext::new(&keys, SrtpLimits::default());
//! let mut buffer = [0; 64];
//! buffer[..16].copy_from_slice(b"\x80\x00\x00\x01\0\0\0\xa0\xca\xfe\xba\xbeecho");
//! let len = sender.protect_rtp(Tick::ZERO, &mut buffer, 16).unwrap();
//! let len = receiver.unprotect_rtp(Tick::ZERO, &mut buffer[..len]).unwrap();
//! assert_eq!(RtpPacket::parse(&buffer[..len]).unwrap().payload(), b"echo");
//! # Ok::<(), viaduct_rtp::srtp::KeyError>(())
//! ```

mod classify;
mod clock_rate;
mod extension;
pub mod g711;
mod header;
pub mod rtcp;
pub mod srtp;
pub mod stats;
pub mod telephone_event;
mod tick;

pub use classify::{Kind, classify};
pub use clock_rate::static_clock_rate;
pub use extension::{
    ELEMENT_GROWTH_MAX, Element, ElementForms, Elements, Extension, insert_element, retain_elements,
};
pub use header::{RTP_HEADER_LEN, RtpError, RtpFields, RtpHeader, RtpPacket};
pub use tick::{Epoch, Tick};

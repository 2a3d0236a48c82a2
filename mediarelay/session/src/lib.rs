//! The relay's brain: offer/answer/delete, legs, ICE, DTLS-SRTP, endpoint learning. No I/O.

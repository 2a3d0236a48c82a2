//! What a media worker does with one datagram: flow tables, SRTP, ICE-lite. No I/O.

//! SIP transactions (RFC 3261 section 17, RFC 6026) as state machines without I/O.

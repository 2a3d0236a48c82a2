//! STUN messages and the ICE-lite responder. No I/O.

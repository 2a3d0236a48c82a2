//! SIP messages: parse, edit in place, print. No I/O.

//! SDP: a model that keeps unknown lines byte for byte. No I/O.

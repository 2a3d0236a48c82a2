//! The NG relay control protocol: bencode, JSON and typed commands. No I/O.

//! The built-in echo and music services as a SIP user agent without I/O.

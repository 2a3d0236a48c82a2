//! The proxy's brain: registrar, location, proxying, media policy. No I/O.

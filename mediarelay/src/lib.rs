//! The media relay: NG listener, media workers, sockets.

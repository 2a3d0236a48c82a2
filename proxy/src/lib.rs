//! Viaduct: a SIP proxy, registrar and WebRTC gateway.

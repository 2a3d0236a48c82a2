//! HTTP listeners: the phone page, health and metrics, and the way into SIP over WebSocket, all on one port.

pub mod handshake;
mod pages;
mod server;
mod sip;

pub(crate) use self::pages::{DeskPhone, DialEntry, PhoneApi, PhoneUser};
pub(crate) use self::server::{HttpContext, Peer, Surface, router, serve};

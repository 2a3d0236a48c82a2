//! NG over the network.

mod desk;
mod dialogue;
mod media;
mod notice;
mod splitter;
pub(crate) mod tcp;
pub(crate) mod udp;

pub(crate) use self::desk::{Desk, Taken};
pub(crate) use self::dialogue::Dialogue;
pub(crate) use self::udp::NgPort;

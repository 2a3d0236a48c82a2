//! Viaduct: a SIP proxy, registrar and WebRTC gateway. This is the shell: sockets, threads, files and commands around
//! the cores, which decide everything.
//!
//! The program is [`cli::main`]. What is public besides reads octets of strangers, for the fuzz targets.

mod app;
mod built_in;
pub mod cli;
mod config_file;
mod control;
mod convert;
mod health;
mod hook;
pub mod http;
mod http_client;
mod journal;
mod live;
mod logging;
mod net;
mod private;
mod shard;
mod status;
mod store;
mod tls;
mod users;

pub use self::net::{frames, proxies};

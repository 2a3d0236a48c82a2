//! The media relay.
#![allow(dead_code)]
mod counter;
mod interfaces;
mod limits;
mod port_owner;
mod public_address;
mod socket;
mod start_error;
mod worker;

pub use limits::ShellLimits;

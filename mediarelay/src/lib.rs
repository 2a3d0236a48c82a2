//! The media relay.
#![allow(dead_code)]
mod counter;
mod limits;
mod socket;
mod worker;

pub use limits::ShellLimits;

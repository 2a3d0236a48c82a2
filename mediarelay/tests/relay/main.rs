//! The relay on real sockets: as a program with rtpengine's command line, and within a process.
//!
//! Every test has addresses of its own in 127.0.0.0/8, so that tests run beside each other and beside anything else that
//! runs on the machine. Nothing waits for time to pass: what is waited for is a datagram, a line or a figure, and only a
//! test that fails waits in vain, for [`PATIENCE`](support::PATIENCE).

#![expect(
    clippy::unwrap_used,
    clippy::panic,
    clippy::print_stderr,
    reason = "a failed expectation is a failed test"
)]

mod support;

mod browsers;
mod calls;
mod command_line;
mod fax;
mod frames;
mod garbage;
mod kernel;
mod listeners;
mod playing;
mod recorders;
mod reports;
mod restarts;
mod secure;
mod start_and_end;
mod steering;
mod watching;

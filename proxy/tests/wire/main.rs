//! The program `viaduct` on real sockets: started as a user starts it, and spoken to as phones, browsers, people and
//! strangers do.
//!
//! Every test has gateways of its own, each at an address of its own in 127.0.0.0/8, so that tests run beside each other
//! and beside anything else that runs on the machine. Nothing waits for time to pass: what is waited for is a message, a
//! line or a figure, and only a test that fails waits in vain, for [`PATIENCE`](support::PATIENCE). Every gateway ends
//! with a signal, an exit status of 0 and a status in which nothing is left of what the test did.

#![expect(
    clippy::unwrap_used,
    clippy::panic,
    clippy::print_stderr,
    reason = "a failed expectation is a failed test"
)]

mod support;

mod addresses;
mod commands;
mod demo;
mod failing_calls;
mod floods;
mod garbage;
mod hook;
mod keep_alives;
mod kills;
mod limits;
mod live;
mod lost_connections;
mod next_hops;
mod pages;
mod proxies;
mod registrations;
mod restarts;
mod samples;
mod start_and_end;
mod tls;
mod trunks;
mod user_source;

//! Calls as a worker sees them: browsers with SRTP on one side, phones on the other, strangers in between.
#![cfg(test)]

mod browser_and_phone;
mod bundle;
mod dtls_and_full_ice;
mod hostile;
mod ice_lite;
mod learning;
mod limits;
mod listeners;
mod pass;
mod peers;
mod rtcp_ports;
mod rule_updates;
mod statistics;

//! Calls through a relay on a virtual clock and a virtual network: the relay's brain, one real worker, and endpoints
//! that really check paths, shake hands and encrypt.
#![cfg(test)]

mod between_likes;
mod browser;
mod browser_and_phone;
mod deletion;
mod forks;
mod learning;
mod phone;
mod re_offers;
mod rtcp;
mod sdes;
mod timeouts;
mod world;

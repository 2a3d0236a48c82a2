//! Calls through a relay on a virtual clock and a virtual network: the relay's brain, one real worker, and endpoints
//! that really check paths, shake hands and encrypt.
#![cfg(test)]

mod addresses;
mod aliases;
mod anything;
mod attacks;
mod bad_network;
mod between_likes;
mod browser;
mod browser_and_phone;
mod connect;
mod deletion;
mod direct;
mod doubled;
mod dtls_phone;
mod echo;
mod faxes;
mod forks;
mod hostile;
mod keys;
mod latching;
mod learning;
mod like_rtpengine;
mod listeners;
mod phone;
mod playing;
mod queries;
mod re_offers;
mod refused;
mod reporting;
mod restarts;
mod rewriting;
mod rtcp;
mod sdes;
mod timeouts;
mod trickle;
mod weather;
mod world;

//! Calls to the services as their callers see them, on a clock that moves only when told.
#![cfg(test)]

mod answering;
mod caller;
mod echo;
mod ending;
mod hostile;
mod keys;
mod leg;
mod music;
mod offers;
mod reinvites;
mod reports;
mod tone;

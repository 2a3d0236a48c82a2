//! The forms that values take: numbers, durations, addresses, choices, lists, maps.

pub(crate) mod address;
pub(crate) mod choice;
pub(crate) mod collection;
pub(crate) mod network;
pub(crate) mod number;
pub(crate) mod quantity;
pub(crate) mod text;
pub(crate) mod time;
pub(crate) mod url;

pub(crate) use address::{address, host, port_range, socket};
pub(crate) use choice::{choice, choices};
pub(crate) use collection::{list, map_of, numbered, one_or_many, or_word, section_form};
pub(crate) use network::network;
pub(crate) use number::{amount, count, decimal, port, switch};
pub(crate) use quantity::{per_second, rate, size};
pub(crate) use text::{path, text, token, variable};
pub(crate) use time::duration;

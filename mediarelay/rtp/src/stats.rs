//! What a stream's packets say about its quality: loss, jitter, round trip, listening quality.

mod counters;
mod mos;
mod reception;
mod round_trip;

pub use counters::Counters;
pub use mos::{CodecQuality, Mos, estimate_mos};
pub use reception::{Arrival, Reception, ReceptionSnapshot};
pub use round_trip::RttEstimator;

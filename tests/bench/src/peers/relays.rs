//! The options of the relays. Both take the same.

use super::{MEDIA_PORTS, NG_PORT};
use crate::drive::ADDRESS;

fn common() -> Vec<String> {
    let [first, last] = MEDIA_PORTS;
    vec![
        format!("--interface={ADDRESS}"),
        format!("--listen-ng={ADDRESS}:{NG_PORT}"),
        format!("--port-min={first}"),
        format!("--port-max={last}"),
    ]
}

pub(super) fn viaduct_args() -> Vec<String> {
    common()
}

/// In the foreground, without its kernel module.
pub(super) fn rtpengine_args() -> Vec<String> {
    let own = [
        "--foreground",
        "--log-stderr",
        "--table=-1",
        "--pidfile=/dev/null",
        "--config-file=none",
    ];
    own.map(str::to_owned).into_iter().chain(common()).collect()
}

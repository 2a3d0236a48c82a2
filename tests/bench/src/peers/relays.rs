//! The options of the relays. Both take the same.

use std::path::Path;

use super::{MEDIA_PORTS, NG_PORT, RelaySetup, metrics_address, write};
use crate::drive::ADDRESS;
use crate::street::INTERFACES;

fn common(setup: RelaySetup) -> Vec<String> {
    let [first, last] = MEDIA_PORTS;
    vec![
        format!("--interface={}", setup.media),
        format!("--listen-ng={ADDRESS}:{NG_PORT}"),
        format!("--port-min={first}"),
        format!("--port-max={last}"),
    ]
}

pub(super) fn viaduct_args(
    folder: &Path,
    setup: RelaySetup,
    steering: &'static str,
) -> anyhow::Result<Vec<String>> {
    let file = folder.join("relay.yaml");
    let frames = if setup.frames {
        INTERFACES.join(", ")
    } else {
        String::new()
    };
    write(
        &file,
        &format!("version: 1\nsteering: {steering}\nframe_interfaces: [{frames}]\n"),
    )?;
    let mut args = vec![format!("--config-file={}", file.display())];
    args.extend(common(setup));
    args.push(format!("--listen-http={}", metrics_address()));
    if !setup.in_kernel {
        args.push("--table=-1".to_owned());
    }
    Ok(args)
}

/// In the foreground, without its kernel module.
pub(super) fn rtpengine_args(setup: RelaySetup) -> Vec<String> {
    let own = [
        "--foreground",
        "--log-stderr",
        "--table=-1",
        "--pidfile=/dev/null",
        "--config-file=none",
    ];
    own.map(str::to_owned).into_iter().chain(common(setup)).collect()
}

//! Prints what is made from the tables of the settings.
//!
//! ```text
//! cargo run -p viaduct-settings --example reference > docs/configuration.md
//! cargo run -p viaduct-settings --example reference gateway-schema > config/gateway.schema.json
//! cargo run -p viaduct-settings --example reference relay-schema > config/relay.schema.json
//! ```

use std::io::Write as _;

fn main() -> std::io::Result<()> {
    let text = match std::env::args().nth(1).as_deref() {
        Some("gateway-schema") => format!("{:#}\n", viaduct_settings::gateway_schema()),
        Some("relay-schema") => format!("{:#}\n", viaduct_settings::relay_schema()),
        _ => viaduct_settings::reference_markdown(),
    };
    std::io::stdout().lock().write_all(text.as_bytes())
}

//! `viaduct registrations`

use super::Outcome;
use super::ask::AskArgs;
use super::table::{duration, lay_out};
use crate::status::RegistrationView;

pub(super) fn run(args: &AskArgs) -> anyhow::Result<Outcome> {
    args.show("/registrations", |all: Vec<RegistrationView>| {
        if all.is_empty() {
            return "nobody is registered".to_owned();
        }
        let rows: Vec<Vec<String>> = all
            .into_iter()
            .map(|one| {
                let flags: Vec<&str> = one.flags.iter().map(viaduct_routing::Flag::as_str).collect();
                vec![
                    one.aor,
                    one.transport,
                    one.address,
                    flags.join(" "),
                    duration(one.expires_s),
                    one.user_agent.unwrap_or_default(),
                ]
            })
            .collect();
        lay_out(&["address", "over", "from", "flags", "expires", "device"], &rows)
    })
}

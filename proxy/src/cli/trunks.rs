//! `viaduct trunks`

use viaduct_trunk::TrunkView;

use super::Outcome;
use super::ask::AskArgs;
use super::table::{duration, lay_out};

pub(super) fn run(args: &AskArgs) -> anyhow::Result<Outcome> {
    args.show("/trunks", |all: Vec<TrunkView>| {
        if all.is_empty() {
            return "there is no trunk".to_owned();
        }
        let rows: Vec<Vec<String>> = all.iter().map(row).collect();
        lay_out(
            &[
                "trunk",
                "at",
                "state",
                "calls",
                "registered",
                "out",
                "answered",
                "failed",
                "in",
            ],
            &rows,
        )
    })
}

fn row(trunk: &TrunkView) -> Vec<String> {
    let counters = &trunk.counters;
    vec![
        trunk.name.clone(),
        trunk.host.clone(),
        trunk.state.as_str().to_owned(),
        match trunk.calls_max {
            Some(most) => format!("{} of {most}", trunk.calls),
            None => trunk.calls.to_string(),
        },
        match (trunk.registered_s, &trunk.registration_error) {
            (Some(left), _) => duration(left),
            (None, Some(error)) => format!("no: {error}"),
            (None, None) => "-".to_owned(),
        },
        counters.calls_out.to_string(),
        counters.answered.to_string(),
        counters.failed.to_string(),
        counters.calls_in.to_string(),
    ]
}

#[cfg(test)]
mod tests {
    use viaduct_trunk::{TrunkCounters, TrunkState};

    use super::*;

    #[test]
    fn a_trunk_says_how_it_is() {
        let mut trunk = TrunkView {
            name: "acme".to_owned(),
            host: "sbc.example".to_owned(),
            state: TrunkState::Up,
            calls: 3,
            calls_max: Some(30),
            registered_s: None,
            registration_error: Some("403 Forbidden".to_owned()),
            counters: TrunkCounters::default(),
        };
        assert_eq!(row(&trunk)[2..5], ["up", "3 of 30", "no: 403 Forbidden"]);
        trunk.registered_s = Some(60);
        assert_eq!(row(&trunk)[4], "60 s");
    }
}

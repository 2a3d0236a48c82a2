//! Where a number goes, for `viaduct route`.

use std::collections::BTreeMap;
use std::fmt;
use std::time::Instant;

use serde::{Deserialize, Serialize};
use viaduct_trunk::{Caller, TrunkView};

use super::Parts;

/// What becomes of a number.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub(crate) struct RouteView {
    /// In words, one line for each rule.
    pub(crate) explanation: String,
    /// The same for programs.
    pub(crate) decision: serde_json::Value,
    /// A hook is asked before, and may decide otherwise.
    #[serde(default)]
    pub(crate) asks_hook: bool,
    /// The trunks that it may go to, as they are.
    pub(crate) trunks: Vec<TrunkView>,
    /// Those of them that the call would pass over at this moment, and why.
    #[serde(default)]
    pub(crate) passed_over: BTreeMap<String, String>,
}

/// `trunk:acme` is a trunk, everything else a user.
pub(crate) fn caller(from: &str) -> Caller<'_> {
    match from.strip_prefix("trunk:") {
        Some(trunk) => Caller::Trunk(trunk),
        None => Caller::User(from),
    }
}

impl Parts {
    /// What becomes of a number that somebody dials now.
    pub(crate) fn route(&self, number: &str, from: &str) -> Result<RouteView, serde_json::Error> {
        let config = self.routing();
        let explanation = config.routes.explain(&config.numbers, number, caller(from));
        let is_target = |name: &str| {
            let trunk = viaduct_routing::Destination::Trunk(name.to_owned());
            explanation.send_to.contains(&trunk)
        };
        let passed_over = match caller(from) {
            Caller::User(user) if !explanation.emergency => config
                .trunks
                .iter()
                .filter(|line| is_target(&line.trunk().name))
                .filter_map(|line| {
                    let why = line.refuses(Instant::now(), user)?;
                    Some((line.trunk().name.clone(), why.to_string()))
                })
                .collect(),
            Caller::User(_) | Caller::Trunk(_) => BTreeMap::new(),
        };
        Ok(RouteView {
            passed_over,
            explanation: explanation.to_string(),
            decision: serde_json::to_value(&explanation)?,
            asks_hook: config.hook.is_some(),
            trunks: self
                .trunks()
                .into_iter()
                .filter(|view| is_target(&view.name))
                .collect(),
        })
    }
}

impl fmt::Display for RouteView {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if self.asks_hook {
            f.write_str("the hook is asked first; if it changes nothing:\n")?;
        }
        f.write_str(&self.explanation)?;
        for trunk in &self.trunks {
            write!(f, "\n  trunk {} is {}", trunk.name, trunk.state.as_str())?;
            match trunk.calls_max {
                Some(most) => write!(f, ", {} of {most} calls", trunk.calls)?,
                None => write!(f, ", {} calls", trunk.calls)?,
            }
            if let Some(why) = self.passed_over.get(&trunk.name) {
                write!(f, "; passed over: {why}")?;
            }
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_trunk_is_named_as_one() {
        assert_eq!(caller("trunk:acme"), Caller::Trunk("acme"));
        assert_eq!(caller("alice"), Caller::User("alice"));
    }
}

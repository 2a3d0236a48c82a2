//! The same decision in words and as JSON, for people who ask why.

use std::fmt;

use serde::Serialize;

use super::{Caller, Routes, Verdict};
use crate::{Destination, FailPolicy, NumberPlan, Ring};

/// What becomes of a number, and what each rule said to it. `Display` prints it for people, `serde` for programs.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Explanation {
    /// What was dialled.
    pub dialled: String,
    /// Who calls: `user alice`, `trunk acme`.
    pub caller: String,
    /// The number that the rules saw.
    pub number: String,
    /// The number is one for emergencies: it goes out whatever the limits.
    pub emergency: bool,
    /// What each rule said, up to the one that takes the call.
    pub rules: Vec<Checked>,
    /// Index of the rule that takes the call. `None`: the user of that name, if there is one.
    pub taken_by: Option<usize>,
    /// Where the call goes, in order.
    pub send_to: Vec<Destination>,
    /// How several targets ring.
    pub ring: Ring,
    /// What makes it go on to the next trunk, in words.
    pub on_fail: String,
}

/// What one rule said.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Checked {
    /// Its index in the list of rules.
    pub rule: usize,
    /// Whether it takes the call.
    pub takes: bool,
    /// Why.
    pub why: String,
}

impl Routes {
    /// Decides as [`find`](Self::find) does, and says why.
    pub fn explain(&self, plan: &NumberPlan, dialled: &str, caller: Caller<'_>) -> Explanation {
        let number = plan.normalise(dialled);
        let found = self.find(&number, caller);
        let last = found.map_or(self.rules().len(), |(index, _)| index + 1);
        let rules = self.rules()[..last].iter().enumerate().map(|(index, rule)| {
            let verdict = rule.verdict(&number, caller);
            let (to, from) = (&rule.to, &rule.from);
            Checked {
                rule: index,
                takes: verdict == Verdict::Takes,
                why: match verdict {
                    Verdict::Takes => format!("{number} is {to}, and {caller} is {from}"),
                    Verdict::OtherNumber => format!("{number} is not {to}"),
                    Verdict::OtherCaller => format!("{number} is {to}, but {caller} is not {from}"),
                    Verdict::WouldGoBackOut => {
                        format!("{number} is {to}, but a call from a trunk never goes out through a trunk")
                    }
                },
            }
        });
        let send_to = match found {
            Some((_, rule)) => rule.targets(caller).cloned().collect(),
            None => vec![Destination::User(number.clone())],
        };
        let rule = found.map(|(_, rule)| rule);
        Explanation {
            dialled: dialled.to_owned(),
            caller: caller.to_string(),
            emergency: plan.is_emergency(dialled),
            rules: rules.collect(),
            taken_by: found.map(|(index, _)| index),
            send_to,
            ring: rule.map(|rule| rule.ring).unwrap_or_default(),
            on_fail: FailPolicy::new(rule.map_or(&[], |rule| &rule.on_fail)).to_string(),
            number,
        }
    }
}

impl fmt::Display for Explanation {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} from {}", self.dialled, self.caller)?;
        if self.number != self.dialled {
            write!(f, "\n  is {} by the number rules", self.number)?;
        }
        if self.emergency {
            f.write_str("\n  is an emergency number: no limit holds it up")?;
        }
        for checked in &self.rules {
            let mark = if checked.takes { "→" } else { " " };
            write!(f, "\n{mark} rule {}: {}", checked.rule + 1, checked.why)?;
        }
        if self.taken_by.is_none() {
            write!(f, "\n→ no rule takes it: the user of that name, if there is one")?;
        }
        let targets: Vec<String> = self.send_to.iter().map(ToString::to_string).collect();
        write!(f, "\n  goes to {}", targets.join(", "))?;
        if targets.len() > 1 {
            let ring = match self.ring {
                Ring::Together => "together",
                Ring::OneByOne => "one by one",
            };
            write!(f, " ({ring})")?;
        }
        if self
            .send_to
            .iter()
            .any(|target| matches!(target, Destination::Trunk(_)))
        {
            write!(f, "\n  the next trunk is tried on {}", self.on_fail)?;
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::route::{From, Rule};

    fn routes() -> Routes {
        let echo = Rule::new("echo", "service:echo".parse().unwrap());
        let out = Rule {
            from: From::AnyUser,
            send_to: vec!["trunk:acme".parse().unwrap(), "trunk:second".parse().unwrap()],
            on_fail: vec!["503".parse().unwrap(), "timeout:4s".parse().unwrap()],
            ..Rule::new("+*", Destination::User(String::new()))
        };
        Routes::new(vec![echo, out])
    }

    #[test]
    fn every_rule_says_why_it_did_not_take_the_call() {
        let plan = NumberPlan {
            country: Some("49".to_owned()),
            ..NumberPlan::default()
        };
        let said = routes()
            .explain(&plan, "030123456", Caller::User("alice"))
            .to_string();
        assert_eq!(
            said,
            "030123456 from user alice\n  is +4930123456 by the number rules\n  rule 1: +4930123456 is not echo\n\
             → rule 2: +4930123456 is +*, and user alice is any user\n  goes to trunk:acme, trunk:second (together)\n  \
             the next trunk is tried on 503, no answer in 4 s"
        );
        let from_trunk = routes().explain(&plan, "+4930123456", Caller::Trunk("acme"));
        assert!(from_trunk.to_string().contains("but trunk acme is not any user"));
        assert_eq!(from_trunk.taken_by, None);
        let json = serde_json::to_value(&from_trunk).unwrap();
        assert_eq!(json["send_to"][0], "user:+4930123456");
    }
}

//! Which rule takes a call, and why the others did not.

mod explain;

pub use self::explain::{Checked, Explanation};

use std::fmt;

use crate::{Destination, FailOn, Pattern, Ring};

/// One rule of the routes. The first that takes a call decides.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Rule {
    /// What was dialled.
    pub to: Pattern,
    /// Who calls.
    pub from: From,
    /// Where the call goes, at least one.
    pub send_to: Vec<Destination>,
    /// How several targets ring.
    pub ring: Ring,
    /// What makes the call go on to the next target. Empty is [`FailPolicy`](crate::FailPolicy)'s default.
    pub on_fail: Vec<FailOn>,
}

/// Whose calls a rule takes.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub enum From {
    /// Everybody's.
    #[default]
    Anybody,
    /// Those of every user of ours.
    AnyUser,
    /// Those of this user.
    User(String),
    /// Those that come from this trunk.
    Trunk(String),
}

/// Who calls.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Caller<'a> {
    /// A user who has proven to be one.
    User(&'a str),
    /// A trunk, known by where the call came from.
    Trunk(&'a str),
}

/// What a rule says to a call.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Verdict {
    /// It takes the call.
    Takes,
    /// Another number was dialled.
    OtherNumber,
    /// Somebody else calls.
    OtherCaller,
    /// It leads to trunks only, and the call comes from one: nobody outside may call out through us.
    WouldGoBackOut,
}

/// The rules of one configuration, in their order.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Routes(Vec<Rule>);

impl Rule {
    /// A rule for everybody's calls to one destination.
    pub fn new(to: &str, send_to: Destination) -> Self {
        Self {
            to: Pattern::new(to),
            from: From::Anybody,
            send_to: vec![send_to],
            ring: Ring::default(),
            on_fail: Vec::new(),
        }
    }

    /// Whether this rule takes a call.
    pub fn verdict(&self, to: &str, caller: Caller<'_>) -> Verdict {
        if !self.to.matches(to) {
            Verdict::OtherNumber
        } else if !self.from.is(caller) {
            Verdict::OtherCaller
        } else if self.targets(caller).next().is_none() {
            Verdict::WouldGoBackOut
        } else {
            Verdict::Takes
        }
    }

    /// Where a call of this caller goes. A call from a trunk never goes out through a trunk.
    pub fn targets(&self, caller: Caller<'_>) -> impl Iterator<Item = &Destination> {
        let from_trunk = matches!(caller, Caller::Trunk(_));
        self.send_to
            .iter()
            .filter(move |target| !(from_trunk && matches!(target, Destination::Trunk(_))))
    }
}

impl From {
    /// True when this caller is meant.
    pub fn is(&self, caller: Caller<'_>) -> bool {
        match (self, caller) {
            (Self::Anybody, _) | (Self::AnyUser, Caller::User(_)) => true,
            (Self::User(wanted), Caller::User(name)) | (Self::Trunk(wanted), Caller::Trunk(name)) => {
                wanted == name
            }
            (Self::AnyUser | Self::User(_), Caller::Trunk(_)) | (Self::Trunk(_), Caller::User(_)) => false,
        }
    }
}

impl Routes {
    /// Rules in their order.
    pub fn new(rules: Vec<Rule>) -> Self {
        Self(rules)
    }

    /// The rule that takes a call, and its index.
    pub fn find(&self, to: &str, caller: Caller<'_>) -> Option<(usize, &Rule)> {
        self.0
            .iter()
            .enumerate()
            .find(|(_, rule)| rule.verdict(to, caller) == Verdict::Takes)
    }

    /// Every rule.
    pub fn rules(&self) -> &[Rule] {
        &self.0
    }
}

impl fmt::Display for From {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Anybody => f.write_str("anybody"),
            Self::AnyUser => f.write_str("any user"),
            Self::User(user) => write!(f, "user {user}"),
            Self::Trunk(trunk) => write!(f, "trunk {trunk}"),
        }
    }
}

impl fmt::Display for Caller<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::User(user) => write!(f, "user {user}"),
            Self::Trunk(trunk) => write!(f, "trunk {trunk}"),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn rule(to: &str, from: From, send_to: &[&str]) -> Rule {
        Rule {
            from,
            send_to: send_to.iter().map(|text| text.parse().unwrap()).collect(),
            ..Rule::new(to, Destination::User(String::new()))
        }
    }

    #[test]
    fn the_first_rule_that_matches_wins() {
        let routes = Routes::new(vec![
            rule("+491*", From::User("alice".to_owned()), &["trunk:cheap"]),
            rule("+49*", From::AnyUser, &["trunk:acme"]),
            rule("*", From::Anybody, &["user:desk"]),
        ]);
        let index = |to, caller| routes.find(to, caller).map(|(index, _)| index);
        assert_eq!(index("+49170", Caller::User("alice")), Some(0));
        assert_eq!(index("+49170", Caller::User("bob")), Some(1));
        assert_eq!(index("201", Caller::User("bob")), Some(2));
        assert_eq!(
            index("+49170", Caller::Trunk("acme")),
            Some(2),
            "a trunk is no user"
        );
    }

    /// Toll fraud: a call that came in must not go out.
    #[test]
    fn a_call_from_a_trunk_never_goes_out_through_a_trunk() {
        let rule = rule(
            "+49*",
            From::Trunk("acme".to_owned()),
            &["trunk:acme", "user:alice"],
        );
        let caller = Caller::Trunk("acme");
        assert_eq!(rule.verdict("+4930", caller), Verdict::Takes);
        let targets: Vec<&Destination> = rule.targets(caller).collect();
        assert_eq!(targets, [&Destination::User("alice".to_owned())]);
        let out = Rule::new("*", Destination::Trunk("other".to_owned()));
        assert_eq!(out.verdict("+4930", caller), Verdict::WouldGoBackOut);
        assert_eq!(out.verdict("+4930", Caller::User("bob")), Verdict::Takes);
    }
}

//! Trunks, and what routes say about them.

use crate::code::Code;
use crate::diagnostic::{Diagnostic, quoted};
use crate::form::network::Network;
use crate::gateway::routes::{FromUser, Route, Target};
use crate::gateway::tls::ClientCertificates;
use crate::gateway::trunk_headers::TrunkHeaders;
use crate::gateway::trunks::{MediaEncryption, TrunkKeys, TrunkTransport};
use crate::suggest::did_you_mean;

use super::Check;

/// Whose a network is that no trunk has.
const USERS: &str = "auth.trust_from";

impl Check<'_> {
    pub(super) fn trunks(&mut self) {
        let file = self.file;
        self.trunk_networks();
        for (name, keys) in &file.trunks {
            self.trunk_keys(name, keys);
            self.trunk_headers(name, &keys.headers);
        }
        for (index, route) in &file.routes {
            self.route_trunks(&index.to_string(), route);
        }
    }

    /// A source must be one trunk's, and no user's.
    fn trunk_networks(&mut self) {
        let file = self.file;
        let mut seen: Vec<(Network, Vec<String>, String)> = Vec::new();
        for (index, network) in file.auth.trust_from.iter().enumerate() {
            let path = ["auth", "trust_from", &index.to_string()].map(str::to_owned);
            seen.push((*network, path.into(), USERS.to_owned()));
        }
        for (name, keys) in &file.trunks {
            for (index, network) in keys.trust_from.iter().enumerate() {
                let path = ["trunks", name, "trust_from", &index.to_string()].map(str::to_owned);
                if network.prefix() == 0 {
                    self.whole_internet(name, &path);
                }
                let taken = seen.iter().find(|(other, _, owner)| {
                    owner != name && (other == network || (owner == USERS && other.overlaps(network)))
                });
                if let Some((other, other_path, owner)) = taken {
                    let message = format!(
                        "calls from {network} would be both those of trunk {} and of {owner}",
                        quoted(name)
                    );
                    let first: Vec<&str> = other_path.iter().map(String::as_str).collect();
                    let diagnostic = Diagnostic::new(Code::TrustOverlap, message)
                        .at(self.positions.nearest(&path.each_ref().map(String::as_str)))
                        .note(format!("{other} is given at {}", self.positions.nearest(&first)))
                        .note(if owner == USERS {
                            "a source is a user's or a trunk's, never both"
                        } else {
                            "of networks inside each other the narrowest counts; the same one twice cannot"
                        });
                    self.report(diagnostic);
                }
                seen.push((*network, path.into(), name.clone()));
            }
        }
    }

    fn whole_internet(&mut self, name: &str, path: &[String; 4]) {
        let message = format!("anybody can call in as trunk {}", quoted(name));
        let diagnostic = Diagnostic::new(Code::TrustedPublic, message)
            .at(self.positions.nearest(&path.each_ref().map(String::as_str)))
            .note("fix: the networks that the carrier names");
        self.report(diagnostic);
    }

    fn trunk_keys(&mut self, name: &str, keys: &TrunkKeys) {
        let tls = keys.transport == Some(TrunkTransport::Tls);
        if keys.media_encryption == MediaEncryption::Sdes && !tls {
            let message = format!("the media keys of trunk {} travel in the clear", quoted(name));
            let diagnostic = Diagnostic::new(Code::KeysInClear, message)
                .at(self.positions.nearest(&["trunks", name, "media_encryption"]))
                .help("add `transport: tls`".to_owned());
            self.report(diagnostic);
        }
        if !keys.trust_names.is_empty() && self.file.tls.client_certificates == ClientCertificates::None {
            let message = format!("nobody can prove to be trunk {}", quoted(name));
            let diagnostic = Diagnostic::new(Code::Unused, message)
                .at(self.positions.nearest(&["trunks", name, "trust_names"]))
                .note("clients are not asked for certificates")
                .note("fix: `tls.client_certificates: optional`");
            self.report(diagnostic);
        }
        if keys.register.is_some() && keys.login.is_some() {
            let message = format!("trunk {} has both `register` and `login`", quoted(name));
            let diagnostic = Diagnostic::new(Code::Exclusive, message)
                .at(self.positions.nearest(&["trunks", name, "login"]))
                .help("delete one of the two; `register` answers for calls too".to_owned());
            self.report(diagnostic);
        }
    }

    /// Each header of a trunk is named once.
    fn trunk_headers(&mut self, name: &str, headers: &TrunkHeaders) {
        let places = self.positions;
        let indexes: Vec<String> = headers
            .remove
            .iter()
            .map(|(index, _)| index.to_string())
            .collect();
        let removed = headers.remove.iter().zip(&indexes);
        let removed = removed.map(|((_, header), index)| (["remove", index.as_str()], header));
        let set = headers
            .set
            .iter()
            .map(|(header, _)| (["set", header.as_str()], header));
        let named: Vec<_> = removed
            .chain(set)
            .map(|([key, inner], header)| (["trunks", name, "headers", key, inner], header.as_str()))
            .collect();
        for (index, (path, header)) in named.iter().enumerate() {
            let mut before = named[..index].iter();
            let is_same = |other: &str| other.eq_ignore_ascii_case(header);
            let first = before.find_map(|(path, other)| is_same(other).then(|| places.key(path)));
            let Some(Some(first)) = first else { continue };
            let message = format!("trunk {} names the header {} twice", quoted(name), quoted(header));
            let diagnostic = Diagnostic::new(Code::Exclusive, message)
                .at(places.key(path))
                .note(format!("it is named at {first}"))
                .help("delete one of the two".to_owned());
            self.report(diagnostic);
        }
    }

    fn route_trunks(&mut self, index: &str, route: &Route) {
        let written = self.positions.names(&["routes", index, "send_to"]).count();
        let is_whole = written == route.send_to.len();
        let trunks = route
            .send_to
            .iter()
            .enumerate()
            .filter_map(|(number, target)| match target {
                Target::Trunk(name) => Some((number.to_string(), name)),
                Target::User(_) | Target::Service(_) => None,
            });
        let trunks: Vec<(String, &String)> = trunks.collect();
        for (number, name) in &trunks {
            let path = ["routes", index, "send_to", number];
            let path = if is_whole { &path[..] } else { &path[..3] };
            self.known_trunk(path, name, "a call that takes this route would always fail");
        }
        if let Some(name) = &route.when.from_trunk {
            self.known_trunk(
                &["routes", index, "match", "from_trunk"],
                name,
                "no call would ever take this route",
            );
            if route.when.from_user.is_some() {
                let diagnostic = Diagnostic::new(
                    Code::Exclusive,
                    "a call comes from a user or from a trunk, never from both",
                )
                .at(self.positions.nearest(&["routes", index, "match", "from_trunk"]))
                .help("delete `from_user` or `from_trunk`".to_owned());
                self.report(diagnostic);
            }
            if !trunks.is_empty() {
                let diagnostic = Diagnostic::new(
                    Code::TrunkToTrunk,
                    "calls from a trunk never go out through a trunk",
                )
                .at(self.positions.nearest(&["routes", index, "send_to"]))
                .note("strangers could make calls at your cost");
                self.report(diagnostic);
            }
        }
        if trunks.is_empty() && self.positions.key(&["routes", index, "on_fail"]).is_some() {
            let diagnostic = Diagnostic::new(Code::Unused, "`on_fail` has no effect without a trunk")
                .at(self.positions.key(&["routes", index, "on_fail"]))
                .help(
                    "delete it; the targets of a `one_by_one` route follow each other in any case".to_owned(),
                );
            self.report(diagnostic);
        }
    }

    fn known_trunk(&mut self, path: &[&str], name: &str, consequence: &str) {
        // Names as written count, so that a mistake inside a trunk is not reported here again.
        if self.positions.key(&["trunks", name]).is_some() {
            return;
        }
        let help = did_you_mean(name, self.positions.names(&["trunks"]));
        let diagnostic = Diagnostic::new(Code::UnknownTrunk, format!("there is no trunk {}", quoted(name)))
            .at(self.positions.nearest(path))
            .found(quoted(name))
            .help(help)
            .note(consequence);
        self.report(diagnostic);
    }
}

/// Whether the callers of `above` include those of `below`.
pub(super) fn takes_callers(above: &Route, below: &Route) -> bool {
    match (&above.when.from_user, &above.when.from_trunk) {
        (None, None) => true,
        (Some(FromUser::Any), _) => below.when.from_user.is_some(),
        (Some(user), _) => below.when.from_user.as_ref() == Some(user),
        (None, Some(trunk)) => below.when.from_trunk.as_ref() == Some(trunk),
    }
}

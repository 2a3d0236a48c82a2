//! Users, routes, and how long things last.

use std::collections::BTreeSet;

use crate::code::Code;
use crate::diagnostic::{Diagnostic, quoted};
use crate::gateway::registrations::Keep;
use crate::gateway::routes::{FromUser, Pattern, Route, Target};
use crate::gateway::site::is_private;
use crate::gateway::users::Algorithm;
use crate::listener::is_local;
use crate::suggest::did_you_mean;

use super::Check;
use super::trunks::takes_callers;

impl Check<'_> {
    pub(super) fn people(&mut self) {
        self.domain();
        self.expires();
        self.window();
        self.challenges();
        self.trusted();
        self.users();
        self.routes();
    }

    fn domain(&mut self) {
        let reachable = self
            .file
            .listen
            .iter()
            .any(|(_, listener)| !is_local(listener.address.ip()));
        if self.positions.value(&["site", "domain"]).is_some() || !reachable {
            return;
        }
        let diagnostic = Diagnostic::new(
            Code::DefaultDomain,
            "site.domain is not set, so the gateway calls itself `localhost`",
        )
        .at(self.positions.nearest(&["site"]))
        .note("phones register at a domain, and browsers check the certificate for it")
        .note("fix: `site: { domain: voice.example.com }`");
        self.report(diagnostic);
    }

    fn expires(&mut self) {
        let registrar = &self.file.registrar;
        let (min, default, max) = (
            registrar.min_expires,
            registrar.default_expires,
            registrar.max_expires,
        );
        for (low, low_name, high, high_name) in [
            (min, "min_expires", max, "max_expires"),
            (min, "min_expires", default, "default_expires"),
            (default, "default_expires", max, "max_expires"),
        ] {
            if low <= high {
                continue;
            }
            let place = [low_name, high_name]
                .into_iter()
                .find_map(|name| self.positions.value(&["registrar", name]));
            let show = crate::form::time::format_duration;
            let message = format!(
                "registrar.{low_name} ({}) is longer than registrar.{high_name} ({})",
                show(low),
                show(high)
            );
            let diagnostic = Diagnostic::new(Code::Order, message)
                .at(place)
                .note("the order must be min_expires, default_expires, max_expires");
            self.report(diagnostic);
        }
    }

    /// What is not written down at all waits for nothing.
    fn window(&mut self) {
        let registrations = &self.file.registrations;
        if registrations.keep == Keep::Disk || registrations.window.is_zero() {
            return;
        }
        let diagnostic = Diagnostic::new(
            Code::Unused,
            "registrations.window has no effect with `keep: memory`",
        )
        .at(self.positions.nearest(&["registrations", "window"]))
        .note("nothing is written, so every registration is lost at a restart")
        .help("delete it, or write `keep: disk`".to_owned());
        self.report(diagnostic);
    }

    /// MD5 must be the last challenge over WebSocket, or browsers cannot register.
    fn challenges(&mut self) {
        let file = self.file;
        let general = (vec!["auth", "challenge", "ws"], Some(&file.auth.challenge.ws));
        let own = file.users.iter().map(|(login, keys)| {
            let ws = keys
                .challenge
                .as_ref()
                .and_then(|challenge| challenge.ws.as_ref());
            (vec!["users", login.as_str(), "challenge", "ws"], ws)
        });
        for (path, algorithms) in std::iter::once(general).chain(own) {
            let Some(algorithms) = algorithms else { continue };
            if algorithms.last() == Some(&Algorithm::Md5) || !algorithms.contains(&Algorithm::Md5) {
                continue;
            }
            let diagnostic = Diagnostic::new(
                Code::ChallengeOrder,
                format!("MD5 is not the last in {}", path.join(".")),
            )
            .at(self.positions.nearest(&path))
            .help("write `[SHA-256, MD5]`".to_owned())
            .note("JsSIP and SIP.js read only the last challenge and know only MD5; they could not register");
            self.report(diagnostic);
        }
    }

    /// Nobody outside may be let in without a password.
    fn trusted(&mut self) {
        let file = self.file;
        for (index, network) in file.auth.trust_from.iter().enumerate() {
            if is_private(network.address()) && is_private(network.last()) {
                continue;
            }
            let message = format!("users of the public network {network} need no password");
            let diagnostic = Diagnostic::new(Code::TrustedPublic, message)
                .at(self.positions.nearest(&["auth", "trust_from", &index.to_string()]))
                .note("whoever sends from there registers and calls as any user, and over UDP senders can be forged")
                .note("fix: a network of your own, or passwords");
            self.report(diagnostic);
        }
    }

    fn users(&mut self) {
        let file = self.file;
        if file.users.is_empty()
            && file.user_source.is_none()
            && self.positions.names(&["users"]).next().is_none()
        {
            let diagnostic =
                Diagnostic::new(Code::NoUsers, "there is no user, so nobody can register or call")
                    .at(self.positions.nearest(&["users"]))
                    .note("fix: `users: { alice: { secret_file: secrets/alice } }`");
            self.report(diagnostic);
        }
        let logins: BTreeSet<&str> = file.users.iter().map(|(login, _)| login.as_str()).collect();
        for (login, keys) in &file.users {
            for (index, alias) in keys.aliases.iter().enumerate() {
                if alias == login || !logins.contains(alias.as_str()) {
                    continue;
                }
                let index = index.to_string();
                let message = format!(
                    "user {} may call as {}, who is a user too",
                    quoted(login),
                    quoted(alias)
                );
                let diagnostic = Diagnostic::new(Code::AliasIsUser, message)
                    .at(self.positions.nearest(&["users", login, "aliases", &index]))
                    .note("the called person and the records cannot tell the two apart");
                self.report(diagnostic);
            }
        }
    }

    fn routes(&mut self) {
        let file = self.file;
        for (position, (index, route)) in file.routes.iter().enumerate() {
            self.route_users(*index, route);
            let above = file.routes[..position]
                .iter()
                .find(|(_, above)| takes_all(above, route));
            if let Some((above, _)) = above {
                let above = self.positions.nearest(&["routes", &above.to_string()]);
                let message = format!(
                    "no call reaches the route for {}",
                    quoted(&route.when.to.to_string())
                );
                let diagnostic = Diagnostic::new(Code::RouteShadowed, message)
                    .at(self
                        .positions
                        .nearest(&["routes", &index.to_string(), "match", "to"]))
                    .note(format!(
                        "the route at {above} takes them all, and the first match wins"
                    ));
                self.report(diagnostic);
            }
        }
        for (login, _) in &file.users {
            let number = Pattern {
                start: login.clone(),
                open: false,
            };
            let taker = file
                .routes
                .iter()
                .find(|(_, route)| takes_every_user(route) && route.when.to.covers(&number));
            let Some((index, route)) = taker else { continue };
            let Some(target) = route.send_to.first() else {
                continue;
            };
            if route.send_to.contains(&Target::User(login.clone())) {
                continue;
            }
            let place = self.positions.nearest(&["routes", &index.to_string()]);
            let written = self.positions.value(&["routes", &index.to_string()]).is_some();
            let by = if written {
                format!("the route at {place}")
            } else {
                "a default route".to_owned()
            };
            let message = format!("user {} cannot be called: {by} takes the number", quoted(login));
            let diagnostic = Diagnostic::new(Code::UserShadowed, message)
                .at(self.positions.key(&["users", login]))
                .note(format!("calls to {} go to {}", quoted(login), target))
                .note("fix: rename the user, or change the route");
            self.report(diagnostic);
        }
    }

    /// Users that a route names must exist, unless they may stand in a table.
    fn route_users(&mut self, index: usize, route: &Route) {
        let index = index.to_string();
        let from = match &route.when.from_user {
            Some(FromUser::User(login)) => Some(login.as_str()),
            Some(FromUser::Any) | None => None,
        };
        let mut named: Vec<(Vec<&str>, &str)> = Vec::new();
        named.extend(from.map(|login| (vec!["routes", &index, "match", "from_user"], login)));
        // With a bad target among them, the numbers of the good ones are not those of the file.
        let written = self.positions.names(&["routes", &index, "send_to"]).count();
        let is_whole = written == route.send_to.len();
        let numbers: Vec<String> = (0..route.send_to.len()).map(|n| n.to_string()).collect();
        for (target, number) in route.send_to.iter().zip(&numbers) {
            if let Target::User(login) = target {
                named.push((vec!["routes", &index, "send_to", number], login));
            }
        }
        for (path, login) in named {
            // Names as written count, so that a mistake inside a user is not reported here again.
            let known = self.positions.key(&["users", login]).is_some();
            if known || self.file.user_source.is_some() {
                continue;
            }
            let help = did_you_mean(login, self.positions.names(&["users"]));
            let exact = self
                .positions
                .value(&path)
                .filter(|_| is_whole || path[2] == "match");
            let place = exact.unwrap_or_else(|| self.positions.nearest(&path[..3]));
            let diagnostic =
                Diagnostic::new(Code::UnknownUser, format!("there is no user {}", quoted(login)))
                    .at(place)
                    .found(quoted(login))
                    .help(help)
                    .note(if path[2] == "match" {
                        "no call would ever take this route"
                    } else {
                        "a call that takes this route would always fail with 404"
                    });
            self.report(diagnostic);
        }
    }
}

/// Whether `above` takes every call that `below` would take.
fn takes_all(above: &Route, below: &Route) -> bool {
    takes_callers(above, below) && above.when.to.covers(&below.when.to)
}

/// Whether a route takes calls of every user.
fn takes_every_user(route: &Route) -> bool {
    match route.when.from_user {
        Some(FromUser::Any) => true,
        Some(FromUser::User(_)) => false,
        None => route.when.from_trunk.is_none(),
    }
}

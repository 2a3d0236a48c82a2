//! A gateway that runs.

use std::collections::BTreeMap;
use std::net::{IpAddr, SocketAddr};
use std::path::{Path, PathBuf};

use nix::sys::signal::Signal;
use serde_json::Value;

use super::program::{Ended, Process, Said, run, viaduct};
use super::{Folder, PATIENCE, free_port, http, own_address, wait_for};

/// The SIP domain of every gateway.
pub(crate) const DOMAIN: &str = "viaduct.test";

/// Everybody who has an account.
const USERS: [&str; 6] = ["201", "202", "203", "204", "300", "301"];

/// Where a gateway listens.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Ports {
    /// UDP and TCP.
    pub(crate) sip: u16,
    pub(crate) sips: u16,
    pub(crate) ws: u16,
    pub(crate) wss: u16,
    pub(crate) http: u16,
    pub(crate) https: u16,
    pub(crate) metrics: u16,
    /// The media of browsers.
    pub(crate) media: u16,
}

/// What a gateway is started with.
pub(crate) struct Setup {
    /// Keys of `limits`.
    pub(crate) limits: &'static str,
    /// Keys of `registrations`.
    pub(crate) registrations: &'static str,
    /// `relay.mode` and what goes with it.
    pub(crate) relay: Option<String>,
    /// `auth.origins`.
    pub(crate) origins: &'static str,
    /// Further keys at the top of the file, a line each.
    pub(crate) more: String,
    /// What is written of user 204 besides the password.
    pub(crate) user_204: &'static str,
    /// Further keys of `timers`, behind a comma.
    pub(crate) timers: &'static str,
    /// Where it is reached, and where its media is.
    pub(crate) address: IpAddr,
    /// What its listeners are bound to.
    pub(crate) bound: IpAddr,
    /// Further listeners, a URL each.
    pub(crate) more_listeners: Vec<String>,
    pub(crate) ports: Ports,
}

impl Default for Setup {
    fn default() -> Self {
        Self::at(own_address())
    }
}

impl Setup {
    /// At one address.
    pub(crate) fn at(address: IpAddr) -> Self {
        Self::bound_to(address, address)
    }

    /// At one address, with listeners that are bound to more.
    pub(crate) fn bound_to(bound: IpAddr, address: IpAddr) -> Self {
        let port = || free_port(bound);
        Self {
            limits: "",
            registrations: "",
            relay: None,
            origins: "own",
            more: String::new(),
            user_204: "",
            timers: "",
            address,
            bound,
            more_listeners: Vec::new(),
            ports: Ports {
                sip: port(),
                sips: port(),
                ws: port(),
                wss: port(),
                http: port(),
                https: port(),
                metrics: port(),
                media: port(),
            },
        }
    }

    /// The configuration as a user would write it. Transactions over UDP end after 1.3 s instead of 32.
    pub(crate) fn text(&self) -> String {
        let Self {
            limits,
            registrations,
            origins,
            more,
            user_204,
            timers,
            address,
            bound,
            more_listeners,
            ports,
            ..
        } = self;
        let Ports { metrics, media, .. } = *ports;
        let listeners: String = [
            ("sip+udp", ports.sip),
            ("sip+tcp", ports.sip),
            ("sip+tls", ports.sips),
            ("ws", ports.ws),
            ("wss", ports.wss),
            ("http", ports.http),
            ("https", ports.https),
        ]
        .map(|(scheme, port)| format!("{scheme}://{}", SocketAddr::new(*bound, port)))
        .iter()
        .chain(more_listeners)
        .map(|url| format!("  - \"{url}\"\n"))
        .collect();
        let metrics = SocketAddr::new(*address, metrics);
        let users: String = USERS
            .iter()
            .map(|user| {
                let more = if *user == "204" { user_204 } else { "" };
                format!("  \"{user}\": {{ secret_env: PASSWORD, {more} }}\n")
            })
            .collect();
        // Calls without media are to last as long as their test does, however slow the machine is.
        let relay = self.relay.clone().unwrap_or_else(|| {
            format!(
                "interfaces: {{ default: {{ address: \"{address}\" }} }}, browser_port: {media}, \
                 rtp_ports: 30000-30499, port_rest: 0s, idle_timeout: 1h"
            )
        });
        format!(
            "version: 1
site: {{ domain: {DOMAIN}, state_dir: state }}
listen:
{listeners}users:
{users}relay: {{ {relay} }}
limits: {{ calls: 100, {limits} }}
registrar: {{ min_expires: 10s }}
registrations: {{ {registrations} }}
timers: {{ t1: 20ms, t2: 80ms, t4: 80ms, d: 1s, lost_flow_check: 200ms, lost_flow_silence: 1s {timers} }}
auth: {{ origins: {origins} }}
metrics: {{ listen: \"{metrics}\" }}
log: {{ level: debug }}
{more}"
        )
    }

    pub(crate) fn start(self) -> Gateway {
        let folder = Folder::new();
        let file = folder.write("gateway.yaml", &self.text());
        let process = launch(&file);
        // There is one address of this machine in IPv6.
        let phones = if self.address.is_ipv4() {
            own_address()
        } else {
            self.address
        };
        let mut gateway = Gateway {
            process,
            folder,
            file,
            address: self.address,
            phones,
            ports: self.ports,
            resting: BTreeMap::new(),
        };
        gateway.settle();
        gateway
    }
}

/// Starts `viaduct run` and waits until it serves.
pub(crate) fn launch(file: &Path) -> Process {
    launch_with(file, &[])
}

/// The same with these variables in its environment.
pub(crate) fn launch_with(file: &Path, variables: &[(&str, &str)]) -> Process {
    let mut command = viaduct(&["run", file.to_str().unwrap()]);
    command.envs(variables.iter().copied());
    let mut process = Process::start(command);
    // The last line of those that a gateway writes when everything is open.
    assert!(
        process.says("listening on https://"),
        "the gateway does not start"
    );
    process
}

/// See the module.
pub(crate) struct Gateway {
    process: Process,
    folder: Folder,
    file: PathBuf,
    pub(crate) address: IpAddr,
    /// Where its phones are.
    pub(crate) phones: IpAddr,
    pub(crate) ports: Ports,
    /// What there is while nobody calls.
    resting: BTreeMap<String, u64>,
}

impl Gateway {
    pub(crate) fn start() -> Self {
        Setup::default().start()
    }

    /// With these keys of `limits`.
    pub(crate) fn with_limits(limits: &'static str) -> Self {
        Setup {
            limits,
            ..Setup::default()
        }
        .start()
    }

    /// Waits until it has written a line with these words. False when it ends without.
    pub(crate) fn says(&mut self, words: &str) -> bool {
        self.process.says(words)
    }

    pub(crate) fn at(&self, port: u16) -> SocketAddr {
        SocketAddr::new(self.address, port)
    }

    pub(crate) fn folder(&self) -> &Path {
        self.folder.path()
    }

    pub(crate) fn pid(&self) -> u32 {
        self.process.pid()
    }

    /// Runs one of the program's own commands against this gateway.
    pub(crate) fn command(&self, arguments: &[&str]) -> Said {
        run(self.folder(), arguments)
    }

    /// Changes its configuration file. It learns of it by a reload.
    pub(crate) fn rewrite(&self, change: impl FnOnce(String) -> String) {
        let text = std::fs::read_to_string(&self.file).unwrap();
        let changed = change(text.clone());
        assert_ne!(text, changed, "nothing was changed");
        std::fs::write(&self.file, changed).unwrap();
    }

    /// What such a command prints as JSON.
    pub(crate) fn ask(&self, verb: &str) -> Value {
        self.command(&[verb, "--json"]).json()
    }

    /// The registered contacts of a user.
    pub(crate) fn registrations(&self, user: &str) -> Vec<Value> {
        let aor = format!("{user}@{DOMAIN}");
        let Value::Array(all) = self.ask("registrations") else {
            panic!("no list");
        };
        all.into_iter().filter(|one| one["aor"] == *aor).collect()
    }

    /// One figure of `/metrics`.
    pub(crate) fn figure(&self, name: &str) -> u64 {
        let text = http::get(self.at(self.ports.metrics), "/metrics").body_text();
        let line = text
            .lines()
            .find_map(|line| line.strip_prefix(name)?.strip_prefix(' '));
        line.unwrap_or_else(|| panic!("no {name} in\n{text}"))
            .parse()
            .unwrap()
    }

    /// How often a request was refused for this reason.
    pub(crate) fn refused_for(&self, reason: &str) -> u64 {
        self.counted("viaduct_refusals_by_reason_total", reason)
    }

    /// How often octets were no message for this fault.
    pub(crate) fn unread_for(&self, fault: &str) -> u64 {
        self.counted("viaduct_sip_bad_messages_by_fault_total", fault)
    }

    /// The value of a counter for one reason; 0 before it was first counted.
    fn counted(&self, name: &str, reason: &str) -> u64 {
        let text = http::get(self.at(self.ports.metrics), "/metrics").body_text();
        let start = format!("{name}{{reason=\"{reason}\"}} ");
        let found = text.lines().find_map(|line| line.strip_prefix(&start));
        found.map_or(0, |count| count.parse().unwrap())
    }

    /// What it occupies of the memory: now, and at most so far. KiB.
    pub(crate) fn memory(&self) -> (u64, u64) {
        let status = std::fs::read_to_string(format!("/proc/{}/status", self.pid())).unwrap();
        let field = |name: &str| {
            let line = status.lines().find_map(|line| line.strip_prefix(name)).unwrap();
            line.trim_end_matches("kB").trim().parse().unwrap()
        };
        (field("VmRSS:"), field("VmHWM:"))
    }

    /// Waits until a figure has risen to this, and says what it is then.
    pub(crate) fn expect_figure(&self, name: &str, at_least: u64) -> u64 {
        wait_for(&format!("{name} of {at_least}"), || {
            let seen = self.figure(name);
            if seen >= at_least { Ok(seen) } else { Err(seen) }
        })
    }

    /// Waits until a figure has risen to this, and no further. What is counted may be counted after its effect is seen.
    pub(crate) fn expect_exactly(&self, name: &str, value: u64) {
        assert_eq!(self.expect_figure(name, value), value, "{name}");
    }

    /// Waits until every connection that it has opened itself is gone.
    pub(crate) fn expect_no_outgoing(&self) {
        wait_for("no outgoing connection", || {
            match self.figure("viaduct_outgoing_connections_now") {
                0 => Ok(()),
                some => Err(some),
            }
        });
    }

    /// Waits until nothing of any call, connection or transaction is left.
    pub(crate) fn expect_clean(&self) {
        wait_for("nothing left", || {
            let seen = leftovers(&self.ask("status"));
            let is_clean = seen.iter().all(|(what, count)| *count <= self.resting[what]);
            if is_clean { Ok(()) } else { Err(seen) }
        });
    }

    /// Lets the test's work be over: nothing of it is left, and the gateway ends in good order.
    pub(crate) fn finish(self) {
        self.expect_clean();
        self.end(Signal::SIGINT).expect_good();
    }

    /// Ends it with a signal, whatever it does.
    pub(crate) fn end(self, signal: Signal) -> Ended {
        self.process.signal(signal);
        self.process.end()
    }

    /// Ends it with a signal, and looks at what it leaves before its folder goes.
    pub(crate) fn end_and_look(self, signal: Signal, look: impl FnOnce()) {
        let Self { process, folder, .. } = self;
        process.signal(signal);
        process.end().expect_good();
        look();
        drop(folder);
    }

    /// Ends it as a power cut would, and looks at what it leaves.
    pub(crate) fn die_and_look(self, look: impl FnOnce(&Path)) {
        let Self { process, folder, .. } = self;
        process.signal(Signal::SIGKILL);
        process.end();
        look(folder.path());
    }

    pub(crate) fn signal(&self, signal: Signal) {
        self.process.signal(signal);
    }

    /// Waits for its end, which somebody else brings about.
    pub(crate) fn ended(self) -> Ended {
        self.process.end()
    }

    /// Ends it as a power cut would, and starts it again.
    pub(crate) fn crash(self) -> Self {
        self.start_again(Signal::SIGKILL)
    }

    /// Ends it in good order, and starts it again.
    pub(crate) fn restart(self) -> Self {
        self.start_again(Signal::SIGINT)
    }

    fn start_again(self, end: Signal) -> Self {
        let Self {
            process,
            folder,
            file,
            address,
            phones,
            ports,
            ..
        } = self;
        process.signal(end);
        let ended = process.end();
        if end == Signal::SIGKILL {
            assert_eq!(ended.status.code(), None);
        } else {
            ended.expect_good();
        }
        let mut gateway = Self {
            process: launch(&file),
            folder,
            file,
            address,
            phones,
            ports,
            resting: BTreeMap::new(),
        };
        gateway.settle();
        gateway
    }

    /// Remembers what there is while nobody calls.
    fn settle(&mut self) {
        self.resting = leftovers(&self.ask("status"));
        for what in ["calls", "connections", "transactions", "ports in use"] {
            assert_eq!(self.resting.get(what).copied().unwrap_or_default(), 0, "{what}");
        }
    }
}

/// Everything in a status that calls and connections must not leave behind.
fn leftovers(status: &Value) -> BTreeMap<String, u64> {
    let (signalling, connections) = (&status["signalling"], &status["connections"]);
    let mut found = vec![
        ("calls", &signalling["calls"]),
        ("transactions", &signalling["transactions"]),
        ("forwarded requests", &signalling["forwarded_requests"]),
        ("waiting requests", &signalling["waiting"]),
        ("service sessions", &signalling["service_sessions"]),
        ("connections", &connections["all"]),
        ("tasks", &connections["tasks"]),
    ];
    if let Some(relay) = status["relay"].get("built_in") {
        found.extend([
            ("relayed calls", &relay["calls"]),
            ("ports in use", &relay["ports_in_use"]),
            ("flows", &relay["flows"]),
            ("legs", &relay["legs"]),
        ]);
    }
    let count = |(what, count): (&str, &Value)| {
        let count = count.as_u64().unwrap_or_else(|| panic!("no {what} in {status}"));
        (what.to_owned(), count)
    };
    found.into_iter().map(count).collect()
}

/// The time that a gateway may take to end.
pub(crate) const END_MAX: std::time::Duration = std::time::Duration::from_secs(5);

const _: () = assert!(END_MAX.as_secs() < PATIENCE.as_secs());

//! `viaduct demo`: proxy, relay, phone page and services in one process, with nothing to write.

use std::net::{IpAddr, Ipv4Addr, SocketAddr};
use std::path::PathBuf;
use std::time::Instant;

use anyhow::Context;
use clap::Args;
use viaduct_settings::{
    FixedEnvironment, GatewaySettings, Loaded, LogFormat, LogLevel, LogSettings, PortRange, Scheme,
    load_gateway,
};

use super::{Outcome, passwords, run, say, serving_runtime};
use crate::app::{Extras, own_addresses};
use crate::http::{DeskPhone, DialEntry, PhoneUser};
use crate::logging;

/// Users that browsers are given, one after the other.
const BROWSER_USERS: [&str; 8] = ["300", "301", "302", "303", "304", "305", "306", "307"];

/// Users for desk phones and softphones.
const PHONE_USERS: [&str; 2] = ["201", "202"];

/// Where the demo listens and what it uses.
#[derive(Debug, Args)]
pub(super) struct DemoArgs {
    /// This machine's address, as phones and other browsers reach it. Found out if left out.
    #[arg(long, value_name = "IP")]
    address: Option<IpAddr>,
    /// Port of the phone page over HTTP, for browsers on this machine.
    #[arg(long, default_value_t = 8080, value_name = "PORT")]
    http: u16,
    /// Port of the phone page over HTTPS, for other browsers.
    #[arg(long, default_value_t = 8443, value_name = "PORT")]
    https: u16,
    /// Port for phones over UDP and TCP.
    #[arg(long, default_value_t = 5060, value_name = "PORT")]
    sip: u16,
    /// Port for phones over TLS.
    #[arg(long, default_value_t = 5061, value_name = "PORT")]
    sips: u16,
    /// The UDP port for the media of all browsers.
    #[arg(long, default_value_t = 3480, value_name = "PORT")]
    browser_port: u16,
    /// UDP ports for the media of phones.
    #[arg(long, default_value = "30000-30099", value_name = "FIRST-LAST", value_parser = port_range)]
    rtp_ports: PortRange,
    /// Folder for the certificate, passwords and registrations.
    #[arg(long, default_value = "demo-state", value_name = "FOLDER")]
    state: PathBuf,
    /// Serve the page from this folder instead of from the program, to edit it.
    #[arg(long, value_name = "FOLDER")]
    web_dir: Option<PathBuf>,
    /// Keys of `timers`, as in a configuration. For tests that cannot wait until transactions have died of old age.
    #[arg(long, default_value = "", hide = true, value_name = "KEYS")]
    timers: String,
}

fn port_range(text: &str) -> Result<PortRange, String> {
    let parsed = text
        .split_once('-')
        .and_then(|(first, last)| Some((first.parse().ok()?, last.parse().ok()?)));
    match parsed {
        Some((first, last)) if first > 0 && first < last => Ok(PortRange { first, last }),
        _ => Err("two port numbers with a minus, the smaller first, such as 30000-30099".to_owned()),
    }
}

pub(super) fn run(args: &DemoArgs) -> anyhow::Result<Outcome> {
    let begun = Instant::now();
    logging::start(&LogSettings {
        level: LogLevel::Warn,
        format: LogFormat::Text,
    });
    let address = args.address.unwrap_or_else(main_address);
    let users: Vec<String> = PHONE_USERS
        .iter()
        .chain(&BROWSER_USERS)
        .map(|&name| name.to_owned())
        .collect();
    let passwords = passwords::keep(&args.state, &users)?;
    let settings = args.settings(address, &passwords)?;
    let extras = args.extras(address, &passwords);
    serving_runtime()?.block_on(async {
        let started = run::start(settings, extras, None).await;
        let Some(gateway) = started.context("the demo cannot start")? else {
            return Ok(Outcome::Good);
        };
        say(&args.welcome(address, &gateway.bound, &passwords, begun));
        gateway.run_to_end().await?;
        say("Ended.");
        Ok(Outcome::Good)
    })
}

/// The address that other machines most likely know this one by.
fn main_address() -> IpAddr {
    let own = own_addresses();
    let usable = |ip: &&IpAddr| !ip.is_loopback();
    let v4 = own.iter().filter(usable).find(|ip| ip.is_ipv4());
    v4.or_else(|| own.iter().find(usable))
        .copied()
        .unwrap_or(IpAddr::V4(Ipv4Addr::LOCALHOST))
}

type Passwords = std::collections::BTreeMap<String, String>;

impl DemoArgs {
    fn settings(&self, address: IpAddr, passwords: &Passwords) -> anyhow::Result<Loaded<GatewaySettings>> {
        // A machine without IPv6 cannot listen on it.
        let has_v6 = address.is_ipv6() || own_addresses().iter().any(IpAddr::is_ipv6);
        let any: &[&str] = if has_v6 {
            &["0.0.0.0", "[::]"]
        } else {
            &["0.0.0.0"]
        };
        let listen: String = any
            .iter()
            .flat_map(|any| {
                [
                    format!("  - http://{any}:{}\n", self.http),
                    format!("  - https://{any}:{}\n", self.https),
                    format!("  - sip+udp://{any}:{}\n", self.sip),
                    format!("  - sip+tcp://{any}:{}\n", self.sip),
                    format!("  - sip+tls://{any}:{}\n", self.sips),
                ]
            })
            .collect();
        let users: String = passwords
            .keys()
            .map(|user| {
                format!(
                    "  \"{user}\": {{ name: {}, secret_env: USER_{user} }}\n",
                    label(user)
                )
            })
            .collect();
        // Written as a user would write it, and read by the same reader.
        let text = format!(
            "version: 1\n\
             site: {{ domain: localhost, state_dir: {state:?} }}\n\
             listen:\n{listen}\
             users:\n{users}\
             relay:\n\
             \x20 interfaces: {{ default: {{ address: \"{address}\" }} }}\n\
             \x20 browser_port: {browser}\n\
             \x20 rtp_ports: {first}-{last}\n\
             \x20 port_rest: 2s\n\
             \x20 kernel: off\n\
             timers: {{ {timers} }}\n\
             metrics: {{ listen: none }}\n",
            timers = self.timers,
            state = self.state.to_string_lossy(),
            browser = self.browser_port,
            first = self.rtp_ports.first,
            last = self.rtp_ports.last,
        );
        let mut environment = FixedEnvironment::default();
        for (user, password) in passwords {
            environment = environment.with_variable(&format!("USER_{user}"), password);
        }
        let loaded = load_gateway("demo", &text, &environment, &|_| Vec::new());
        loaded.context("these options cannot be used together")
    }

    fn extras(&self, address: IpAddr, passwords: &Passwords) -> Extras {
        let password = |user: &str| passwords.get(user).cloned().unwrap_or_default();
        let entry = |number: &str, label: &str| DialEntry {
            number: number.to_owned(),
            label: label.to_owned(),
        };
        Extras {
            handed_out: BROWSER_USERS
                .iter()
                .map(|&name| PhoneUser {
                    name: name.to_owned(),
                    password: password(name),
                    display_name: label(name),
                })
                .collect(),
            dial: vec![
                entry("100", "Echo"),
                entry("101", "Music"),
                entry("201", "Desk phone 201"),
                entry("202", "Desk phone 202"),
            ],
            desk_phone: Some(DeskPhone {
                server: address.to_string(),
                port: self.sip,
                transport: "UDP",
                user: "201".to_owned(),
                password: password("201"),
            }),
            web_dir: self.web_dir.clone(),
            plain_lines: true,
            file: None,
        }
    }

    fn welcome(
        &self,
        address: IpAddr,
        bound: &[(Scheme, SocketAddr)],
        passwords: &Passwords,
        begun: Instant,
    ) -> String {
        let port = |scheme: Scheme| {
            bound
                .iter()
                .find(|(have, _)| *have == scheme)
                .map_or(0, |(_, at)| at.port())
        };
        let password = |user: &str| passwords.get(user).map_or("", String::as_str);
        let host = match address {
            IpAddr::V4(ip) => ip.to_string(),
            IpAddr::V6(ip) => format!("[{ip}]"),
        };
        let (udp, tls) = (port(Scheme::SipUdp), port(Scheme::SipTls));
        format!(
            "\nViaduct demo: ready in {ready:.1} s. Press Ctrl-C to stop.\n\n\
             \x20 Browser phone  http://localhost:{http:<23} on this machine\n\
             \x20                {lan:<40} from others; accept the certificate once, calls use the same port\n\
             \x20 Desk phone     server {host}, port {udp} UDP or TCP, {tls} TLS\n\
             \x20                user 201  password {p201}\n\
             \x20                user 202  password {p202}\n\
             \x20 Dial           100 echo   101 music   201 desk phone   300 first browser, 301 the next …\n\n\
             \x20 Media          browsers UDP {browser}, phones UDP {first}-{last}, on {address}\n\
             \x20                kernel fast path: off (the demo leaves the network of this machine as it is)\n\
             \x20 State          {state} (certificate, passwords, registrations)\n\n\
             Anybody who can open the page can call as one of its users. Nothing leads from here to the telephone network.\n",
            ready = begun.elapsed().as_secs_f64(),
            http = port(Scheme::Http),
            lan = format!("https://{host}:{}", port(Scheme::Https)),
            p201 = password("201"),
            p202 = password("202"),
            browser = self.browser_port,
            first = self.rtp_ports.first,
            last = self.rtp_ports.last,
            state = self.state.display(),
        )
    }
}

fn label(user: &str) -> String {
    if user.starts_with('3') {
        format!("Browser {user}")
    } else {
        format!("Desk phone {user}")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn args() -> DemoArgs {
        #[derive(clap::Parser)]
        struct Only {
            #[command(flatten)]
            args: DemoArgs,
        }
        <Only as clap::Parser>::parse_from(["demo"]).args
    }

    #[test]
    fn the_demos_own_settings_are_good() {
        let passwords: Passwords = PHONE_USERS
            .iter()
            .chain(&BROWSER_USERS)
            .map(|&user| (user.to_owned(), "x-y".to_owned()))
            .collect();
        for address in ["192.168.1.20", "2001:db8::1", "127.0.0.1"] {
            let settings = args()
                .settings(address.parse().unwrap(), &passwords)
                .unwrap()
                .settings;
            assert_eq!(settings.users.len(), 10);
            assert!(settings.listen.len() >= 5 && settings.routes.len() == 2);
        }
    }

    #[test]
    fn the_welcome_tells_everything_one_needs() {
        let passwords: Passwords = [("201".to_owned(), "kite-amber-moss-042".to_owned())].into();
        let bound = [
            (Scheme::Http, "0.0.0.0:8080".parse().unwrap()),
            (Scheme::Https, "0.0.0.0:8443".parse().unwrap()),
            (Scheme::SipUdp, "0.0.0.0:5060".parse().unwrap()),
            (Scheme::SipTls, "0.0.0.0:5061".parse().unwrap()),
        ];
        let text = args().welcome(
            "192.168.1.20".parse().unwrap(),
            &bound,
            &passwords,
            Instant::now(),
        );
        for told in [
            "http://localhost:8080",
            "https://192.168.1.20:8443",
            "server 192.168.1.20, port 5060 UDP or TCP, 5061 TLS",
            "user 201  password kite-amber-moss-042",
            "100 echo",
            "browsers UDP 3480, phones UDP 30000-30099",
        ] {
            assert!(text.contains(told), "{told:?} is not in\n{text}");
        }
    }

    #[test]
    fn port_ranges_are_read_or_explained() {
        assert_eq!(
            port_range("30000-30099").unwrap(),
            PortRange {
                first: 30_000,
                last: 30_099
            }
        );
        for wrong in ["30000", "30099-30000", "0-5", "a-b"] {
            assert!(
                port_range(wrong).unwrap_err().contains("the smaller first"),
                "{wrong}"
            );
        }
    }
}

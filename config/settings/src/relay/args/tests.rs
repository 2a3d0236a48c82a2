use super::*;
use std::time::Duration;

use crate::media::{AdvertisedAddress, Bind, DtlsRole, IceMode, Learning};
use crate::relay::{JanusSecret, RelayScheme, RelaySettings};
use crate::{LogLevel, PortRange, Secret};

fn args(line: &str) -> Vec<String> {
    line.split_whitespace().map(str::to_owned).collect()
}

fn run(line: &str) -> RelaySettings {
    run_with(line, None)
}

fn run_with(line: &str, config: Option<(&str, &str)>) -> RelaySettings {
    match parse_args(&args(line)) {
        Ok(Invocation::Run(arguments)) => {
            arguments
                .settings(config)
                .unwrap_or_else(|found| panic!("{found}"))
                .settings
        }
        Ok(other) => panic!("{other:?}"),
        Err(found) => panic!("{found}"),
    }
}

fn said(line: &str) -> String {
    match parse_args(&args(line)) {
        Ok(Invocation::Run(arguments)) => match arguments.settings(None) {
            Ok(loaded) => loaded.warnings.to_string(),
            Err(found) => found.to_string(),
        },
        Ok(other) => panic!("{other:?}"),
        Err(found) => found.to_string(),
    }
}

#[test]
fn the_command_line_of_the_test_suites_is_taken() {
    let settings = run(
        "--config-file=none -t -1 -i 203.0.113.1 -i 2001:db8:4321::1 -n 2223 -c 12345 -f -L 7 -E -u 2222 \
                        --log-level-internals=7 -m 30000 -M 40000",
    );
    let addresses = &settings.media.interfaces[0].addresses;
    assert_eq!(
        (settings.media.interfaces[0].name.as_str(), addresses.len()),
        ("default", 2)
    );
    let listen: Vec<_> = settings
        .listen
        .iter()
        .map(|l| (l.scheme, l.address.to_string()))
        .collect();
    assert_eq!(
        listen,
        [
            (RelayScheme::NgUdp, "127.0.0.1:2223".to_owned()),
            (RelayScheme::Cli, "127.0.0.1:12345".to_owned())
        ]
    );
    assert_eq!(settings.log.level, LogLevel::Debug);
    assert_eq!(settings.unused_options, ["listen-udp", "log-level-internals"]);
}

#[test]
fn values_stand_after_equals_after_a_blank_or_at_once() {
    for line in [
        "--port-min=50000 --port-max=50099",
        "--port-min 50000 --port-max 50099",
        "-m 50000 -M50099",
    ] {
        assert_eq!(
            run(line).media.rtp_ports,
            PortRange {
                first: 50_000,
                last: 50_099
            }
        );
    }
    let settings = run(
        "-fEm 50000 -M 50999 --tos 46 -o30 --dtls-passive --sip-source --endpoint-learning=off -p /run/x.pid \
         --state-file=/var/lib/x.redb",
    );
    assert_eq!(settings.media.rtp_ports.first, 50_000);
    assert_eq!(
        (settings.media.tos, settings.media.idle_timeout),
        (46, Duration::from_secs(30))
    );
    assert_eq!(settings.media.dtls_role, DtlsRole::Passive);
    assert_eq!(settings.media.learning, Learning::Never);
    assert!(settings.sip_source);
    assert_eq!(settings.pid_file.as_deref(), Some("/run/x.pid"));
    assert_eq!(settings.state_file.as_deref(), Some("/var/lib/x.redb"));
}

#[test]
fn interfaces_have_names_advertised_addresses_and_aliases() {
    let settings = run("-i pub/10.0.0.5!203.0.113.10 -i pub/fd00::5 -i priv=pub -i eth/eth0 -i any");
    let interfaces = &settings.media.interfaces;
    let names: Vec<_> = interfaces.iter().map(|i| i.name.as_str()).collect();
    assert_eq!(names, ["pub", "priv", "eth", "default"]);
    assert_eq!(
        interfaces[0].addresses[0].advertise,
        Some(AdvertisedAddress::Address("203.0.113.10".parse().unwrap()))
    );
    assert_eq!(interfaces[0].addresses, interfaces[1].addresses);
    assert_eq!(
        interfaces[2].addresses[0].address,
        Bind::Device("eth0".to_owned())
    );
    assert_eq!(interfaces[3].addresses[0].address, Bind::Any);
}

#[test]
fn without_options_rtpengines_defaults_hold_where_they_are_safe() {
    let settings = run("");
    assert_eq!(settings.listen, [RelaySettings::default_listener()]);
    assert_eq!(settings.media.browser_port, None);
    assert_eq!(settings.media.ice, IceMode::Full);
    assert!(settings.media.strict_source);
    assert_eq!(settings.media.rtp_ports.last, 40_000);
    assert_eq!(settings.media.final_timeout, None);
}

#[test]
fn zero_and_less_stand_for_what_they_do_in_rtpengine() {
    let settings = run(
        "--timeout=0 --silent-timeout=-1 --final-timeout=0 --delete-delay=0 --num-threads=0 --max-sessions=-1",
    );
    assert_eq!(settings.media.idle_timeout, Duration::from_secs(60));
    assert_eq!(settings.media.silent_timeout, Duration::from_secs(3_600));
    assert_eq!(settings.media.delete_delay, Duration::ZERO);
    assert_eq!(
        (
            settings.media.final_timeout,
            settings.media.workers,
            settings.max_sessions
        ),
        (None, None, None)
    );
    assert_eq!(run("--max-sessions=0").max_sessions, Some(0));
}

#[test]
fn the_command_line_counts_more_than_the_file() {
    let file = "[rtpengine]\ninterface = 10.0.0.5\nlisten-ng = 2223;2224\nport-min = 20000\ntimeout = 30\n[other]\ntimeout = 20\n";
    let config = Some(("rtpengine.conf", file));
    let settings = run_with("-n 3000 --timeout 90", config);
    assert_eq!(settings.listen.len(), 1);
    assert_eq!(settings.listen[0].address.port(), 3000);
    assert_eq!(settings.media.idle_timeout, Duration::from_secs(90));
    assert_eq!(settings.media.rtp_ports.first, 20_000);
    assert_eq!(settings.media.interfaces.len(), 1);
    let settings = run_with("--config-section=other", config);
    assert_eq!(settings.media.idle_timeout, Duration::from_secs(20));
}

#[test]
fn options_change_a_yaml_file_too() {
    let file = "listen: [ng+udp://127.0.0.1:2223, http://127.0.0.1:9101]\nbrowser_port: 3481\nrtp_ports: 20000-20999\n";
    let settings = run_with("-n 2225 -i 10.0.0.5 --port-max=20499", Some(("relay.yaml", file)));
    let listen: Vec<_> = settings
        .listen
        .iter()
        .map(|l| (l.scheme, l.address.port()))
        .collect();
    assert_eq!(listen, [(RelayScheme::Http, 9101), (RelayScheme::NgUdp, 2225)]);
    assert_eq!(settings.media.browser_port, Some(3481));
    assert_eq!(
        settings.media.rtp_ports,
        PortRange {
            first: 20_000,
            last: 20_499
        }
    );
}

#[test]
fn the_configuration_file_is_named() {
    let file = |line: &str| match parse_args(&args(line)) {
        Ok(Invocation::Run(arguments)) => arguments.config_file,
        other => panic!("{other:?}"),
    };
    assert_eq!(file(""), ConfigFile::Unnamed);
    assert_eq!(file("--config-file=none"), ConfigFile::None);
    assert_eq!(
        file("--config-file a --config-file b"),
        ConfigFile::Path("b".to_owned())
    );
}

#[test]
fn help_and_version_come_before_mistakes() {
    assert!(
        matches!(parse_args(&args("--bogus --help")), Ok(Invocation::Help(text)) if text.contains("--interface"))
    );
    assert!(
        matches!(parse_args(&args("-v")), Ok(Invocation::Version(text)) if text.starts_with("viaduct-relay "))
    );
    assert!(matches!(parse_args(&args("-?")), Ok(Invocation::Help(_))));
}

#[test]
fn a_value_is_not_taken_from_the_next_option() {
    let said = said("--timeout --foreground");
    assert!(
        said.contains("`--timeout` needs a value") && said.contains("command line:1:1"),
        "{said}"
    );
}

#[test]
fn passwords_on_the_command_line_are_nowhere_to_be_seen() {
    for line in [
        "--redis=hunter2@127.0.0.1:6379/1 --tos=x",
        "-r hunter2@127.0.0.1:6379/1 --tos=x",
        "--mysql-pas hunter2 --tos=1",
        "--unknown=hunter2",
        "-rhunter2 --tos=x",
    ] {
        let parsed = parse_args(&args(line));
        assert!(!format!("{parsed:?}").contains("hunter2"), "{parsed:?}");
        assert!(!said(line).contains("hunter2"), "{}", said(line));
    }
}

#[test]
fn arguments_after_two_dashes_are_no_options() {
    assert!(said("-- --foreground").contains("`--foreground` is no option"));
}

#[test]
fn templates_are_the_entries_of_the_section_that_is_named() {
    let text = "[rtpengine]\ntemplates = flags\n\n[flags]\nbrowser = ICE=force rtcp-mux=[offer require]\noffer = SDES-off\n";
    let settings = run_with("", Some(("rtpengine.conf", text)));
    assert_eq!(
        settings.templates,
        [
            (
                "browser".to_owned(),
                "ICE=force rtcp-mux=[offer require]".to_owned()
            ),
            ("offer".to_owned(), "SDES-off".to_owned()),
        ]
    );
    assert_eq!(settings.unused_options, [""; 0]);
}

#[test]
fn sections_of_interfaces_may_have_ports_of_their_own() {
    let text = "[rtpengine]\nport-min = 20000\nport-max = 20999\ninterfaces-config = interface\n\
                [interface-a]\naddress = 10.0.0.6\nport-min = 3000\nport-max = 3007\n\
                [interface-b]\naddress = 10.0.0.6\nport-max = 20099\nexclude-ports = 20004; 20010;\n\
                [interface-c]\naddress = 10.0.0.7\n";
    let settings = run_with("", Some(("rtpengine.conf", text)));
    let of = |at: usize| &settings.media.interfaces[at].addresses[0];
    let range = |first, last| Some(PortRange { first, last });
    assert_eq!(of(0).rtp_ports, range(3_000, 3_007));
    assert_eq!(of(1).rtp_ports, range(20_000, 20_099));
    assert_eq!(of(1).exclude_ports, [20_004, 20_010]);
    assert_eq!((of(2).rtp_ports, of(2).exclude_ports.len()), (None, 0));
    assert_eq!(settings.unused_options, [""; 0]);
}

#[test]
fn ports_of_an_interface_keep_clear_of_listeners_and_browsers() {
    let text = "listen: [ng+udp://127.0.0.1:3001]\nbrowser_port: 3004\n\
                interfaces: { a: { address: 10.0.0.6, rtp_ports: 3000-3007 } }\n";
    let said = crate::load_relay("relay.yaml", text).unwrap_err().to_string();
    assert!(
        said.contains("ng+udp://127.0.0.1:3001 is on a port of interfaces.a.rtp_ports (3000-3007)"),
        "{said}"
    );
    assert!(
        said.contains("browser_port 3004 lies within interfaces.a.rtp_ports (3000-3007)"),
        "{said}"
    );
}

#[test]
fn options_of_listeners_and_answers_have_their_effect() {
    let settings = run(
        "--listen-https=127.0.0.1:9443 --https-cert=/etc/cert.pem --control-tos=184 --dtmf-log-ng-tcp --reject-invalid-sdp",
    );
    assert_eq!(settings.listen.len(), 1);
    assert_eq!(settings.listen[0].scheme, RelayScheme::Https);
    let tls = settings.tls.unwrap();
    assert_eq!(
        (&*tls.cert, &*tls.key),
        ("/etc/cert.pem", "/etc/cert.pem"),
        "one file may have both"
    );
    assert_eq!(settings.control_tos, 184);
    assert_eq!(settings.janus_secret, None);
    let rooms = run("--janus-secret=hunter2");
    assert_eq!(
        rooms.janus_secret,
        Some(JanusSecret::Given(Secret::new("hunter2")))
    );
    assert_eq!(rooms.unused_options, [""; 0]);
    assert!(settings.dtmf_log_ng_tcp && settings.reject_invalid_sdp);
    assert_eq!(settings.unused_options, [""; 0]);
    let with_key = run("--listen-https 9443 --https-key b --https-cert a")
        .tls
        .unwrap();
    assert_eq!((&*with_key.cert, &*with_key.key), ("a", "b"));
    let said = said("--listen-https=127.0.0.1:9443");
    assert!(
        said.contains("https://127.0.0.1:9443 has no certificate to show"),
        "{said}"
    );
}

//! rtpengine's options: one table for the command line, the configuration file, `--help` and the reference page.

use crate::source::looks_secret;
use crate::suggest::nearest;

use super::draft::{self, Setter};

/// An option that has an effect.
pub(crate) struct Opt {
    pub(crate) long: &'static str,
    pub(crate) short: Option<char>,
    /// Name of the value in the help; `None` for a flag.
    pub(crate) value: Option<&'static str>,
    /// May be repeated on the command line, and has several values separated by `;` in the file.
    pub(crate) list: bool,
    pub(crate) help: &'static str,
    pub(crate) effect: Effect,
}

/// What an option does.
#[derive(Clone, Copy)]
pub(crate) enum Effect {
    Set(Setter),
    /// What it asks for holds anyway.
    Holds,
    /// The kernel's table: with -1 the kernel forwards nothing, anything else has no effect.
    Table,
    ConfigFile,
    ConfigSection,
    Help,
    Version,
}

const fn set(
    long: &'static str,
    short: Option<char>,
    value: &'static str,
    help: &'static str,
    setter: Setter,
) -> Opt {
    Opt {
        long,
        short,
        value: Some(value),
        list: false,
        help,
        effect: Effect::Set(setter),
    }
}

const fn set_list(
    long: &'static str,
    short: Option<char>,
    value: &'static str,
    help: &'static str,
    setter: Setter,
) -> Opt {
    Opt {
        list: true,
        ..set(long, short, value, help, setter)
    }
}

const fn flag(long: &'static str, short: Option<char>, help: &'static str, effect: Effect) -> Opt {
    Opt {
        long,
        short,
        value: None,
        list: false,
        help,
        effect,
    }
}

/// The options that have an effect, in the order of the help.
pub(crate) const OPTIONS: &[Opt] = &[
    Opt {
        effect: Effect::ConfigFile,
        ..set(
            "config-file",
            None,
            "FILE",
            "Read FILE first: YAML if it ends in .yaml or .yml, rtpengine's form otherwise. `none` reads no file.",
            draft::interfaces_config,
        )
    },
    Opt {
        effect: Effect::ConfigSection,
        ..set(
            "config-section",
            None,
            "NAME",
            "Section of an rtpengine file to read; `rtpengine` if not given.",
            draft::interfaces_config,
        )
    },
    set_list(
        "interface",
        Some('i'),
        "[NAME/]ADDR[!ADVERTISED]",
        "Address for media: an address, a network device or `any`. The first one is the default. NAME=EXISTING gives an interface another name.",
        draft::interface,
    ),
    set(
        "interfaces-config",
        None,
        "PREFIX",
        "Take interfaces from the sections [PREFIX-NAME] of the file as well, each with `address` or `alias`, and perhaps `advertised`, `name`, `port-min`, `port-max` and `exclude-ports`.",
        draft::interfaces_config,
    ),
    set(
        "templates",
        None,
        "SECTION",
        "Take flag strings by name from [SECTION] of the file, for the key `template` of NG commands. Those named `default` or like a command count without it.",
        draft::templates,
    ),
    set_list(
        "listen-ng",
        Some('n'),
        "[ADDR:]PORT",
        "Take NG commands over UDP. A port alone is on loopback; write 0.0.0.0:PORT for other machines. 127.0.0.1:2223 if no option names a listener.",
        draft::listen_ng,
    ),
    set_list(
        "listen-tcp-ng",
        Some('N'),
        "[ADDR:]PORT",
        "Take NG commands over TCP.",
        draft::listen_tcp_ng,
    ),
    set_list(
        "listen-http",
        None,
        "[ADDR:]PORT",
        "Serve NG over HTTP and WebSocket, /ping, health and metrics.",
        draft::listen_http,
    ),
    set_list(
        "listen-https",
        None,
        "[ADDR:]PORT",
        "The same over TLS, with the certificate that the next options name.",
        draft::listen_https,
    ),
    set(
        "https-cert",
        None,
        "FILE",
        "Certificate for HTTPS, PEM, followed by its chain.",
        draft::https_cert,
    ),
    set(
        "https-key",
        None,
        "FILE",
        "Its private key, PEM; the file of the certificate if not given.",
        draft::https_key,
    ),
    set_list(
        "listen-cli",
        Some('c'),
        "[ADDR:]PORT",
        "Take the text commands of rtpengine-ctl over TCP.",
        draft::listen_cli,
    ),
    set(
        "port-min",
        Some('m'),
        "PORT",
        "Lowest UDP port for media; 30000 if not given.",
        draft::port_min,
    ),
    set(
        "port-max",
        Some('M'),
        "PORT",
        "Highest UDP port for media; 40000 if not given.",
        draft::port_max,
    ),
    set(
        "timeout",
        Some('o'),
        "SECONDS",
        "End a call without any media after this; 60 if not given.",
        draft::timeout,
    ),
    set(
        "silent-timeout",
        Some('s'),
        "SECONDS",
        "The same for a call on hold; 3600 if not given.",
        draft::silent_timeout,
    ),
    set(
        "offer-timeout",
        None,
        "SECONDS",
        "End a call that was never answered after this; 3600 if not given.",
        draft::offer_timeout,
    ),
    set(
        "final-timeout",
        Some('a'),
        "SECONDS",
        "Longest call; 0, the default, for no limit.",
        draft::final_timeout,
    ),
    set(
        "delete-delay",
        Some('d'),
        "SECONDS",
        "Keep a call this long after its deletion; 30 if not given.",
        draft::delete_delay,
    ),
    set(
        "tos",
        Some('T'),
        "0-255",
        "DSCP and ECN byte of outgoing media; 0 if not given.",
        draft::tos,
    ),
    set(
        "control-tos",
        None,
        "0-255",
        "DSCP and ECN byte of answers to NG commands; 0 if not given.",
        draft::control_tos,
    ),
    set(
        "max-sessions",
        None,
        "N",
        "Calls at the same time; -1, the default, for no limit.",
        draft::max_sessions,
    ),
    set(
        "max-load",
        None,
        "N.NN",
        "Refuse new calls while the machine's load is above this; 0, the default, for no limit.",
        draft::max_load,
    ),
    set(
        "max-cpu",
        None,
        "PERCENT",
        "Refuse new calls while all processors together are in use more than this; 0, the default, for no limit.",
        draft::max_cpu,
    ),
    set(
        "max-bandwidth",
        None,
        "BYTES",
        "Refuse new calls while more bytes a second are sent on than this; 0, the default, for no limit.",
        draft::max_bandwidth,
    ),
    set(
        "num-threads",
        None,
        "N",
        "Threads that forward media; one for each processor if not given.",
        draft::num_threads,
    ),
    set(
        "endpoint-learning",
        None,
        "MODE",
        "How addresses behind NAT are learnt: heuristic (the default), delayed, immediate or off.",
        draft::endpoint_learning,
    ),
    flag(
        "dtls-passive",
        None,
        "Prefer the passive DTLS role.",
        Effect::Set(draft::dtls_passive),
    ),
    set(
        "dtls-mtu",
        None,
        "BYTES",
        "Largest DTLS datagram, 576 to 1500; 1200 if not given.",
        draft::dtls_mtu,
    ),
    flag(
        "sip-source",
        None,
        "Take the address of the SIP message as media address.",
        Effect::Set(draft::sip_source),
    ),
    set(
        "log-level",
        Some('L'),
        "0-9",
        "How much is logged: 3 errors, 4 warnings, 6 information, 7 debugging; 6 if not given.",
        draft::log_level,
    ),
    flag(
        "log-stderr",
        Some('E'),
        "Log to standard error, which holds anyway.",
        Effect::Holds,
    ),
    flag(
        "foreground",
        Some('f'),
        "Stay in the foreground, which holds anyway.",
        Effect::Holds,
    ),
    set(
        "pidfile",
        Some('p'),
        "FILE",
        "Write the process number to FILE.",
        draft::pidfile,
    ),
    set(
        "dtmf-log-dest",
        None,
        "ADDRESS:PORT",
        "Tell the digits that parties dial there, one datagram of JSON each.",
        draft::dtmf_log_dest,
    ),
    flag(
        "dtmf-log-ng-tcp",
        None,
        "Tell digits to every NG connection over TCP.",
        Effect::Set(draft::dtmf_log_ng_tcp),
    ),
    flag(
        "reject-invalid-sdp",
        None,
        "Refuse an SDP with an empty line in it, which otherwise ends there.",
        Effect::Set(draft::reject_invalid_sdp),
    ),
    set(
        "janus-secret",
        None,
        "SECRET",
        "Serve rooms over Janus' protocol to whoever has a token that was added with SECRET.",
        draft::janus_secret,
    ),
    set(
        "state-file",
        None,
        "FILE",
        "Keep calls over a restart in FILE, which holds their SRTP keys and is readable by its owner only.",
        draft::state_file,
    ),
    Opt {
        effect: Effect::Table,
        ..set(
            "table",
            Some('t'),
            "N",
            "-1 for no media in the kernel; other numbers mean nothing here.",
            draft::interfaces_config,
        )
    },
    flag(
        "version",
        Some('v'),
        "Print the version and exit.",
        Effect::Version,
    ),
    flag("help", Some('h'), "Print this help and exit.", Effect::Help),
];

/// rtpengine's flags that are accepted and have no effect; a short form stands after the slash.
const UNUSED_FLAGS: &str = "\
    active-switchover codec-chain-nonblock codecs debug-srtp dtmf-no-log-injects \
    dtmf-no-suppress homer-disable-rtcp-stats homer-enable-ng io-uring jb-adaptive jb-clock-drift \
    log-srtp-keys measure-rtp moh-prevent-double-hold nftables-append nftables-start nftables-status \
    nftables-stop no-fallback/F no-log-timestamps no-redis-required/q player-cache poller-per-thread \
    record-both record-egress redis-resolve-on-reconnect save-interface-ports/S \
    split-logs xtables";

/// rtpengine's options with a value that are accepted and have no effect; a short form stands after the slash.
const UNUSED_VALUES: &str = "\
    amr-dtx audio-buffer-delay audio-buffer-length audio-player b2b-url/b cn-payload codec-chain-async \
    codec-chain-concurrency codec-chain-interval codec-chain-lib-path codec-chain-opus-application \
    codec-chain-opus-complexity codec-chain-runners codec-num-threads control-pmtu \
    db-cache-expire db-cache-reload db-media-cache db-media-expire db-media-reload dtls-cert-cipher \
    dtls-ciphers dtls-rsa-key-size dtls-signature dtmf-digit-delay dtx-buffer \
    dtx-cn-params dtx-delay dtx-lag dtx-shift evs-dtx evs-lib-path expiry-timer graphite/g \
    graphite-interval/G graphite-prefix graphite-timeout homer homer-id homer-ng-capture-proto \
    homer-protocol http-buf-size http-idle-timeout http-threads idle-priority \
    idle-scheduling io-uring-buffers iptables-chain jb-adaptive-max jb-adaptive-min \
    jitter-buffer kernel-num-threads kernel-player kernel-player-media kernel-slots \
    listen-tcp/l listen-udp/u log-facility log-facility-cdr log-facility-dtmf log-facility-rtcp \
    log-format log-mark-prefix log-mark-suffix log-name max-dtx \
    max-log-line-length max-recv-iters media-files-expire media-files-reload media-num-threads \
    moh-attr-name moh-max-duration moh-max-repeats mos mqtt-cafile mqtt-capath mqtt-certfile mqtt-host \
    mqtt-id mqtt-keepalive mqtt-keyfile mqtt-pass mqtt-port mqtt-publish-interval mqtt-publish-qos \
    mqtt-publish-scope mqtt-publish-topic mqtt-tls-alpn mqtt-user mysql-host mysql-pass mysql-port \
    mysql-query mysql-user nftables-base-chain nftables-chain nftables-family ng-client-retries \
    ng-client-timeout poller-size preload-db-cache preload-db-media preload-media-files priority \
    recording-dir recording-format recording-method redis/r redis-allowed-errors redis-cmd-timeout \
    redis-connect-timeout redis-delete-async/y redis-delete-async-interval redis-disable-time \
    redis-expires redis-format redis-num-threads redis-subscribe redis-tcp-keepalive-intvl \
    redis-tcp-keepalive-probes redis-tcp-keepalive-time redis-write/w rtcp-interval scheduling \
    silence-detect socket-cpu-affinity software-id ssrc-reporting subscribe-keyspace/k \
    thread-stack timer-accuracy transcode-config vsc-pause-rec vsc-pause-resume-rec \
    vsc-start-pause-resume-rec vsc-start-rec vsc-start-stop-rec vsc-stop-rec xmlrpc-format/x";

/// Levels of rtpengine's subsystems: `log-level-ice` and the like.
const UNUSED_PREFIX: &str = "log-level-";

/// Keys of a section that describes an interface.
pub(crate) const INTERFACE_KEYS: [&str; 7] = [
    "address",
    "advertised",
    "alias",
    "name",
    "exclude-ports",
    "port-max",
    "port-min",
];

/// What an option is.
#[derive(Clone, Copy)]
pub(crate) enum Known {
    Used(&'static Opt),
    /// Accepted and without effect; `value` says whether it takes one.
    Unused {
        value: bool,
    },
}

/// The option of this long name, without dashes.
pub(crate) fn by_name(name: &str) -> Option<Known> {
    if let Some(option) = OPTIONS.iter().find(|option| option.long == name) {
        return Some(Known::Used(option));
    }
    let listed = |list: &'static str| unused(list).any(|(long, _)| long == name);
    if listed(UNUSED_FLAGS) {
        Some(Known::Unused { value: false })
    } else if listed(UNUSED_VALUES)
        || name
            .strip_prefix(UNUSED_PREFIX)
            .is_some_and(|rest| !rest.is_empty())
    {
        Some(Known::Unused { value: true })
    } else {
        None
    }
}

/// The long name of a short option.
pub(crate) fn long_name(short: char) -> Option<&'static str> {
    if short == '?' {
        return Some("help");
    }
    let used = OPTIONS.iter().find(|option| option.short == Some(short));
    used.map(|option| option.long).or_else(|| {
        let mut unused = unused(UNUSED_FLAGS).chain(unused(UNUSED_VALUES));
        unused
            .find(|(_, letter)| *letter == Some(short))
            .map(|(long, _)| long)
    })
}

/// Every long name, for suggestions.
pub(crate) fn names() -> impl Iterator<Item = &'static str> {
    OPTIONS.iter().map(|option| option.long).chain(unused_names())
}

/// The long names of the options that are accepted and have no effect.
pub(crate) fn unused_names() -> impl Iterator<Item = &'static str> {
    unused(UNUSED_FLAGS)
        .chain(unused(UNUSED_VALUES))
        .map(|(long, _)| long)
}

/// The entries of a list: long name and letter.
fn unused(list: &'static str) -> impl Iterator<Item = (&'static str, Option<char>)> {
    list.split_ascii_whitespace()
        .map(|entry| match entry.split_once('/') {
            Some((long, letter)) => (long, letter.chars().next()),
            None => (entry, None),
        })
}

/// Whether the value of an option may hold a password.
pub(crate) fn is_secret(name: &str) -> bool {
    let with_password = [
        "redis",
        "redis-write",
        "redis-subscribe",
        "mysql-pass",
        "mqtt-pass",
        "janus-secret",
        "b2b-url",
    ];
    let is_known = by_name(name).is_some() || nearest(name, INTERFACE_KEYS).is_some();
    with_password.contains(&name) || looks_secret(name) || !is_known
}

/// The text of `--help`.
pub(crate) fn help() -> String {
    const TEXT_COLUMN: usize = 10;
    const WIDTH: usize = 100;
    let mut text = String::from(
        "Usage: viaduct-relay [OPTION]...\n\nRelays media between browsers and phones on the commands of a SIP proxy (NG protocol).\nTakes rtpengine's options.\n\nOptions:\n",
    );
    for option in OPTIONS {
        let short = option
            .short
            .map_or("    ".to_owned(), |short| format!("-{short}, "));
        let value = option.value.map_or(String::new(), |value| format!("={value}"));
        text.push_str(&format!("  {short}--{}{value}\n", option.long));
        text.push_str(&wrap(option.help, TEXT_COLUMN, WIDTH));
    }
    text.push_str(
        "\nA value is written --name=VALUE, --name VALUE, -n VALUE or -nVALUE. Flags may stand together: -fE.\n",
    );
    text.push_str("\nKnown and without effect, so that existing start scripts keep working:\n");
    let mut unused: Vec<_> = unused_names().collect();
    unused.sort_unstable();
    text.push_str(&wrap(&unused.join(", "), 2, WIDTH));
    text
}

/// Words in lines of at most `width` characters, each indented by `indent`.
fn wrap(words: &str, indent: usize, width: usize) -> String {
    let mut text = String::new();
    let mut line = String::new();
    for word in words.split(' ') {
        if !line.is_empty() && indent + line.len() + 1 + word.len() > width {
            text.push_str(&format!("{:indent$}{line}\n", ""));
            line.clear();
        }
        if !line.is_empty() {
            line.push(' ');
        }
        line.push_str(word);
    }
    text + &format!("{:indent$}{line}\n", "")
}

/// The text of `--version`.
pub(crate) fn version() -> String {
    format!("viaduct-relay {}\n", env!("CARGO_PKG_VERSION"))
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::collections::HashSet;

    #[test]
    fn names_and_letters_are_unique() {
        let all: Vec<_> = names().collect();
        assert_eq!(all.iter().collect::<HashSet<_>>().len(), all.len());
        let unused_letters = unused(UNUSED_FLAGS)
            .chain(unused(UNUSED_VALUES))
            .filter_map(|(_, letter)| letter);
        let used_letters = OPTIONS.iter().filter_map(|option| option.short);
        let letters: Vec<char> = used_letters.chain(unused_letters).collect();
        assert_eq!(letters.iter().collect::<HashSet<_>>().len(), letters.len());
    }

    #[test]
    fn the_help_names_every_option() {
        let help = help();
        for name in names() {
            assert!(help.contains(name), "{name}");
        }
        assert!(help.lines().all(|line| line.len() <= 100));
    }

    #[test]
    fn subsystem_levels_are_known() {
        assert!(matches!(
            by_name("log-level-ice"),
            Some(Known::Unused { value: true })
        ));
        assert!(by_name("log-level-").is_none());
        assert_eq!(long_name('F'), Some("no-fallback"));
        assert_eq!(long_name('i'), Some("interface"));
        assert_eq!(long_name('Z'), None);
    }
}

use std::collections::BTreeSet;

use serde_json::Value;
use viaduct_settings::{RelaySettings, load_relay, relay_schema};

use super::*;
use crate::config::RelayConfig;

/// Every key of `limits`, with a value that is neither its default nor another's in the same section.
const CHANGED: &[(&str, &str)] = &[
    ("calls", "100"),
    ("signalling.name", "100B"),
    ("signalling.sdp", "5KiB"),
    ("signalling.sdp_lines", "100"),
    ("signalling.sdp_formats", "101"),
    ("signalling.sdp_attributes", "102"),
    ("signalling.sdp_candidates", "103"),
    ("signalling.parties_per_call", "3"),
    ("signalling.aliases_per_party", "4"),
    ("signalling.medias_per_party", "5"),
    ("signalling.candidates_per_media", "6"),
    ("signalling.paths_per_leg", "7"),
    ("signalling.former_ports_per_leg", "3"),
    ("signalling.sources_per_call", "8"),
    ("signalling.dtls_associations", "9"),
    ("signalling.players", "14"),
    ("signalling.fax_gateways", "24"),
    ("signalling.clips", "90KiB"),
    ("signalling.fragments_waiting", "10"),
    ("signalling.commands_kept", "12"),
    ("signalling.state_waiting", "13"),
    ("signalling.clients_counted", "11"),
    ("dtls.message", "5KiB"),
    ("dtls.pending", "9KiB"),
    ("dtls.messages_ahead", "5"),
    ("dtls.early_records", "6"),
    ("dtls.first_timeout", "101ms"),
    ("dtls.longest_timeout", "102ms"),
    ("dtls.handshake", "7s"),
    ("forwarding.sockets", "100"),
    ("forwarding.flows", "101"),
    ("forwarding.kernel_flows", "107"),
    ("forwarding.next_hops", "108"),
    ("forwarding.ufrags", "102"),
    ("forwarding.dtls_tuples", "103"),
    ("forwarding.routes_per_flow", "9"),
    ("forwarding.ssrcs_per_flow", "12"),
    ("forwarding.ssrc_idle", "13s"),
    ("forwarding.selectors_per_route", "18"),
    ("forwarding.tuples_per_leg", "14"),
    ("forwarding.stun_transactions", "104"),
    ("forwarding.reports_queued", "105"),
    ("forwarding.copies_queued", "106"),
    ("forwarding.learn_per_port", "15/1s"),
    ("forwarding.control_per_leg", "16/1s"),
    ("forwarding.nomination_repeat", "17ms"),
    ("forwarding.loop_repeats", "19"),
    ("forwarding.loop_window", "20ms"),
    ("srtp.contexts", "20"),
    ("srtp.live_ssrcs", "21"),
    ("srtp.retire_after", "22s"),
    ("srtp.retired_ssrcs", "23"),
    ("pace.tick", "250us"),
    ("pace.tick_above", "2000/1s"),
    ("pace.tick_below", "1000/1s"),
    ("pace.batch", "32"),
    ("pace.ready_sockets", "33"),
    ("pace.connected_sockets", "39"),
    ("pace.control_budget", "34"),
    ("pace.binds_per_turn", "35"),
    ("pace.state_delay", "36ms"),
    ("pace.state_batch", "37"),
    ("queues.orders", "41"),
    ("queues.orders_held", "42"),
    ("queues.notices", "43"),
    ("queues.fax", "46"),
    ("queues.requests", "44"),
    ("queues.events", "45"),
    ("buffers.port_receive", "51KiB"),
    ("buffers.port_send", "52KiB"),
    ("buffers.browser_receive", "53KiB"),
    ("buffers.browser_send", "54KiB"),
    ("buffers.steered_receive", "56KiB"),
    ("buffers.steered_send", "57KiB"),
    ("buffers.frames", "1024"),
    ("buffers.ng_receive", "55KiB"),
    ("listeners.ng_outstanding", "61"),
    ("listeners.ng_connections", "62"),
    ("listeners.ng_idle", "63s"),
    ("listeners.ng_stream", "65KiB"),
    ("listeners.ng_ignored_logged", "66"),
    ("listeners.cli_connections", "67"),
    ("listeners.cli_line", "68B"),
    ("listeners.http_connections", "69"),
    ("listeners.http_body", "70KiB"),
    ("listeners.media_file", "91KiB"),
    ("listeners.client_patience", "71s"),
    ("listeners.control_patience", "3s"),
    ("janus.sessions", "101"),
    ("janus.handles", "102"),
    ("janus.rooms", "103"),
    ("janus.publishers", "4"),
    ("janus.tokens", "104"),
    ("janus.token", "105B"),
    ("janus.session_idle", "106s"),
    ("janus.waiting", "107"),
    ("ng.message", "81KiB"),
    ("ng.cookie", "82B"),
    ("ng.depth", "33"),
    ("ng.elements", "8300"),
    ("ng.replies", "84"),
    ("ng.replies_size", "85KiB"),
    ("ng.replies_kept", "86s"),
];

/// What [`CHANGED`] asks for.
fn changed() -> RelayLimits {
    RelayLimits {
        shell: changed_shell(),
        calls: viaduct_session::Limits {
            calls: 100,
            name_octets: 100,
            parties_per_call: 3,
            aliases_per_party: 4,
            medias_per_party: 5,
            candidates_per_media: 6,
            sdp_octets: 5 << 10,
            sdp_lines: 100,
            sdp_formats: 101,
            sdp_attributes: 102,
            sdp_candidates: 103,
            dtls: viaduct_session::DtlsLimits {
                message_octets: 5 << 10,
                pending_octets: 9 << 10,
                messages_ahead: 5,
                early_records: 6,
                first_timeout: Duration::from_millis(101),
                longest_timeout: Duration::from_millis(102),
                handshake: Duration::from_secs(7),
            },
            paths_per_leg: 7,
            former_ports_per_leg: 3,
            sources_per_call: 8,
            dtls_associations: 9,
            players: 14,
            fax_gateways: 24,
            clip_octets: 90 << 10,
            fragments_waiting: 10,
            commands_kept: 12,
            state_waiting: 13,
            clients_counted: 11,
        },
        worker: viaduct_forward::Limits {
            sockets: 100,
            flows: 101,
            routes_per_flow: 9,
            ssrcs_per_flow: 12,
            ssrc_idle: Duration::from_secs(13),
            selectors_per_route: 18,
            ufrags: 102,
            tuples_per_leg: 14,
            dtls_tuples: 103,
            stun_transactions: 104,
            reports_queued: 105,
            copies_queued: 106,
            learn_per_port: 15,
            control_per_leg: 16,
            nomination_repeat: Duration::from_millis(17),
            loop_repeats: 19,
            loop_window: Duration::from_millis(20),
        },
        crypto: viaduct_forward::CryptoLimits {
            contexts: 20,
            srtp: viaduct_forward::SrtpLimits {
                live_ssrcs: 21,
                retire_after: Duration::from_secs(22),
                retired_ssrcs: 23,
            },
        },
        ng: viaduct_ng::Limits {
            octets_max: 81 << 10,
            cookie_octets_max: 82,
            depth_max: 33,
            elements_max: 8_300,
        },
        replies: viaduct_ng::ReplyCacheLimits {
            entries_max: 84,
            octets_max: 85 << 10,
            generation: Duration::from_secs(86),
        },
        janus: viaduct_janus::Limits {
            sessions: 101,
            handles: 102,
            rooms: 103,
            publishers: 4,
            tokens: 104,
            token_octets: 105,
            session_idle: Duration::from_secs(106),
        },
    }
}

fn changed_shell() -> ShellLimits {
    ShellLimits {
        tick: Duration::from_micros(250),
        tick_above_pps: 2_000,
        tick_below_pps: 1_000,
        batch: 32,
        ready_sockets: 33,
        connected_sockets: 39,
        orders_queued: 41,
        orders_held: 42,
        notices_queued: 43,
        fax_queued: 46,
        requests_queued: 44,
        control_budget: 34,
        events_queued: 45,
        port_receive_buffer: 51 << 10,
        port_send_buffer: 52 << 10,
        shared_receive_buffer: 53 << 10,
        shared_send_buffer: 54 << 10,
        steered_receive_buffer: 56 << 10,
        steered_send_buffer: 57 << 10,
        frames: 1_024,
        binds_per_turn: 35,
        state_delay: Duration::from_millis(36),
        state_batch: 37,
        ng_outstanding: 61,
        ng_connections: 62,
        ng_idle: Duration::from_secs(63),
        ng_receive_buffer: 55 << 10,
        ng_ignored_logged: 66,
        ng_stream_octets: 65 << 10,
        cli_connections: 67,
        kernel_flows: 107,
        next_hops: 108,
        cli_line_octets: 68,
        http_connections: 69,
        http_body_octets: 70 << 10,
        media_file_octets: 91 << 10,
        janus_waiting: 107,
        client_patience: Duration::from_secs(71),
        control_patience: Duration::from_secs(3),
    }
}

/// The limits of a relay whose file has these keys below `limits`.
fn with(keys: &[(&str, &str)]) -> RelayLimits {
    let mut text = String::from("limits:\n");
    let mut inside = "";
    for (path, value) in keys {
        match path.split_once('.') {
            Some((section, key)) => {
                if section != inside {
                    text += &format!("  {section}:\n");
                    inside = section;
                }
                text += &format!("    {key}: {value}\n");
            }
            None => text += &format!("  {path}: {value}\n"),
        }
    }
    let loaded = load_relay("test.yaml", &text).unwrap_or_else(|found| panic!("{found}"));
    RelayConfig::from(loaded.settings).limits
}

/// The keys below a section of a schema.
fn keys(schema: &Value, path: &str, found: &mut BTreeSet<String>) {
    match schema["properties"].as_object() {
        Some(properties) => {
            for (name, value) in properties {
                let path = if path.is_empty() {
                    name.clone()
                } else {
                    format!("{path}.{name}")
                };
                keys(value, &path, found);
            }
        }
        None => drop(found.insert(path.to_owned())),
    }
}

#[test]
fn every_key_arrives() {
    let mut known = BTreeSet::new();
    keys(&relay_schema()["properties"]["limits"], "", &mut known);
    let tried: BTreeSet<_> = CHANGED.iter().map(|(path, _)| (*path).to_owned()).collect();
    assert_eq!(tried, known);
    assert_eq!(with(CHANGED), changed());
}

#[test]
fn no_key_is_tried_with_its_default() {
    for key in CHANGED {
        assert_ne!(with(&[*key]), RelayLimits::default(), "{}", key.0);
    }
}

#[test]
fn the_defaults_of_the_settings_are_those_of_the_parts() {
    let standard = RelayLimits::from_defaults_of_parts();
    assert_eq!(RelayConfig::from(RelaySettings::default()).limits, standard);
    assert_eq!(RelayLimits::default(), standard);
}

impl RelayLimits {
    /// Tables follow the number of calls; everything else is as the parts have it by themselves.
    fn from_defaults_of_parts() -> Self {
        let calls = viaduct_session::Limits::default();
        let times = |each: usize| calls.calls * each;
        Self {
            shell: ShellLimits::default(),
            worker: viaduct_forward::Limits {
                flows: times(8),
                ufrags: times(4),
                dtls_tuples: times(8),
                ..viaduct_forward::Limits::default()
            },
            crypto: viaduct_forward::CryptoLimits {
                contexts: times(8),
                ..viaduct_forward::CryptoLimits::default()
            },
            ng: viaduct_ng::Limits::default(),
            replies: viaduct_ng::ReplyCacheLimits::default(),
            janus: viaduct_janus::Limits::default(),
            calls: viaduct_session::Limits {
                dtls_associations: times(4),
                ..calls
            },
        }
    }
}

#[test]
fn tables_follow_the_calls_that_may_be_at_a_time() {
    let calls = |text: &str| {
        let settings = load_relay("test.yaml", text).unwrap().settings;
        RelayConfig::from(settings).limits
    };
    // Less than the default saves nothing worth mentioning.
    for few in ["max_sessions: none", "max_sessions: 0", "max_sessions: 50"] {
        assert_eq!(calls(few), RelayLimits::default(), "{few}");
    }
    let many = calls("max_sessions: 30000");
    assert_eq!((many.calls.calls, many.worker.flows), (30_000, 240_000));
    assert_eq!(
        (many.calls.dtls_associations, many.crypto.contexts),
        (120_000, 240_000)
    );
    assert_eq!(
        calls("max_sessions: 5000000"),
        RelayLimits::for_calls(RelayLimits::CALLS_MAX)
    );
    // What is written counts more.
    let written = calls("max_sessions: 30000\nlimits: { calls: 70, forwarding: { flows: 99 } }");
    assert_eq!((written.calls.calls, written.worker.flows), (70, 99));
    assert_eq!(written.worker.ufrags, 280);
}

use std::time::Duration;

use viaduct_settings::{RelaySettings, load_relay};

use super::*;

fn config_of(settings: RelaySettings) -> Config {
    let interface = MediaInterface {
        name: "default".to_owned(),
        addresses: vec![MediaAddress {
            address: IpAddr::from([127, 0, 0, 1]),
            advertised: None,
            ports: (settings.media.rtp_ports.first..=settings.media.rtp_ports.last).into(),
        }],
    };
    session_config(&RelayConfig::from(settings), &[interface], false)
}

/// What the file says beside the limits of calls, which have tests of their own.
fn changed(text: &str) -> Config {
    config_of(load_relay("test.yaml", text).unwrap().settings)
}

#[test]
fn the_defaults_of_the_settings_are_those_of_the_core() {
    let config = config_of(RelaySettings::default());
    let expected = Config {
        // Cheaper, and enough where the machine has an address that browsers reach.
        ice_lite: true,
        limits: crate::RelayLimits::default().calls,
        ..Config::new(config.interfaces.clone())
    };
    assert_eq!(config, expected);
}

#[test]
fn every_setting_of_the_core_arrives() {
    let config = changed(
        "browser_port: 3499\nrtp_ports: 20000-20999\nport_rest: 1s\nport_stock: 2\nice: full\ndtls_role: passive\n\
         dtls_version: auto\nsdes: rtpengine\nsrtp_pass_through: true\ndirect_media: true\nbegin_at_offer: true\nrtpengine_checks: true\nshared_endpoints: true\nrenumbered_events: false\nunnamed_media: first\ndtls_mtu: 600\nice_timeout: 6s\nconsent_timeout: 7s\nlearning: delayed\n\
         learning_time: 8s\nstrict_source: false\nport_latching: false\nidle_timeout: 9s\nsilent_timeout: 10s\noffer_timeout: 11s\n\
         final_timeout: 12m\ndelete_delay: 13s\nmax_sessions: 14\nsip_source: true\ndtmf_log: 127.0.0.1:9\n\
         dtmf_log_ng_tcp: true\nreject_invalid_sdp: true\n\
         limits: { calls: 15, signalling: { parties_per_call: 16 } }\n",
    );
    let seconds = Duration::from_secs;
    let expected = Config {
        interfaces: vec![Interface {
            name: "default".to_owned(),
            addresses: vec![InterfaceAddress {
                address: IpAddr::from([127, 0, 0, 1]),
                advertised: None,
                ports: (20_000..=20_999).into(),
                browser_port: Some(3_499),
            }],
        }],
        ice_lite: false,
        dtls_passive: true,
        dtls_mtu: 600,
        dtls_version: DtlsVersion::Auto,
        sdes: SdesMode::Rtpengine,
        srtp_pass_through: true,
        direct_media: true,
        begin_at_offer: true,
        rtpengine_checks: true,
        shared_endpoints: true,
        renumbered_events: false,
        unnamed_media: UnnamedMedia::First,
        learning: EndpointLearning::Delayed,
        learning_time: seconds(8),
        strict_source: false,
        port_latching: false,
        sip_source: true,
        dtmf_log: Some("127.0.0.1:9".parse().unwrap()),
        tell_digits: true,
        reject_invalid_sdp: true,
        fax: false,
        tos: None,
        media_timeout: seconds(9),
        silent_timeout: seconds(10),
        offer_timeout: seconds(11),
        final_timeout: Some(seconds(720)),
        delete_delay: seconds(13),
        ice_timeout: seconds(6),
        consent_timeout: seconds(7),
        port_rest: seconds(1),
        port_stock: 2,
        max_sessions: Some(14),
        limits: viaduct_session::Limits {
            calls: 15,
            parties_per_call: 16,
            dtls_associations: 60,
            ..viaduct_session::Limits::default()
        },
    };
    assert_eq!(config, expected);
}

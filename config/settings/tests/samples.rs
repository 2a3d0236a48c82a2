//! The samples in `config/`: they parse, they are complete, and the schemas beside them are up to date.
#![allow(
    clippy::unwrap_used,
    clippy::panic,
    reason = "a failed expectation here is a failed test"
)]

mod common;

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};

use common::{check_flags, environment, read, updating, write};
use serde_json::Value;
use viaduct_settings::{
    Bind, Credentials, GatewaySettings, Invocation, Loaded, MediaPolicy, RelayScheme, RelaySettings,
    gateway_schema, load_gateway, load_relay, load_relay_conf, parse_args, reference_markdown, relay_schema,
};

fn sample(name: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("..").join(name)
}

fn gateway(name: &str) -> Loaded<GatewaySettings> {
    let environment = environment().with_file("users.csv", "user,secret\n203,kiwi\n");
    load_gateway(name, &read(&sample(name)), &environment, &check_flags)
        .unwrap_or_else(|found| panic!("{found}"))
}

#[test]
fn the_complete_sample_has_no_mistakes_and_every_default() {
    let loaded = gateway("gateway.yaml");
    assert!(loaded.warnings.is_empty(), "{}", loaded.warnings);
    let settings = loaded.settings;
    assert_eq!(settings.users.len(), 5);
    assert!(matches!(
        settings.users["202"].credentials,
        Credentials::Ha1 { .. }
    ));
    assert_eq!(settings.routes.len(), 6);
    assert_eq!(settings.trunks.len(), 2);
    assert!(settings.trunks.iter().all(|trunk| trunk.account.is_some()));
    assert_eq!(settings.control_socket, "state/control.sock");
    assert!(matches!(settings.media_policy, MediaPolicy::Table(_)));
    // What the sample writes out is what holds without it.
    let plain = gateway("minimal.yaml").settings;
    assert_eq!(settings.limits, plain.limits);
    assert_eq!(settings.registrar, plain.registrar);
    assert_eq!(settings.registrations, plain.registrations);
    assert_eq!(settings.auth, plain.auth);
    assert_eq!(settings.metrics, plain.metrics);
    assert_eq!(settings.log, plain.log);
    assert_eq!(settings.tls, plain.tls);
    assert_eq!(settings.control_socket, plain.control_socket);
    let mut relay = settings.relay;
    relay.media.interfaces.clear();
    assert_eq!(relay, plain.relay);
    assert_eq!(settings.routes[..2], plain.routes[..]);
    assert_eq!(
        settings
            .listen
            .iter()
            .map(|l| (l.scheme, l.address))
            .collect::<Vec<_>>(),
        plain
            .listen
            .iter()
            .map(|l| (l.scheme, l.address))
            .collect::<Vec<_>>()
    );
}

#[test]
fn the_smallest_sample_has_no_mistakes() {
    let loaded = gateway("minimal.yaml");
    assert!(loaded.warnings.is_empty(), "{}", loaded.warnings);
    assert_eq!(loaded.settings.users.len(), 2);
}

#[test]
fn the_relay_sample_has_no_mistakes_and_every_default() {
    let loaded =
        load_relay("relay.yaml", &read(&sample("relay.yaml"))).unwrap_or_else(|found| panic!("{found}"));
    assert!(loaded.warnings.is_empty(), "{}", loaded.warnings);
    let mut settings = loaded.settings;
    assert_eq!(settings.listen.len(), 5);
    settings.listen.truncate(3);
    settings.listen.remove(1);
    assert!(settings.tls.take().is_some());
    settings.media.interfaces.clear();
    settings.public_ip = RelaySettings::default().public_ip;
    assert_eq!(settings, RelaySettings::default());
}

#[test]
fn the_rtpengine_sample_has_no_mistakes_and_uses_every_option() {
    let text = read(&sample("rtpengine.conf"));
    let loaded =
        load_relay_conf("rtpengine.conf", &text, "rtpengine").unwrap_or_else(|found| panic!("{found}"));
    assert!(loaded.warnings.is_empty(), "{}", loaded.warnings);
    let settings = loaded.settings;
    let names: Vec<_> = settings
        .media
        .interfaces
        .iter()
        .map(|i| i.name.as_str())
        .collect();
    assert_eq!(names, ["internal", "external", "pub", "carrier"]);
    assert_eq!(
        settings.media.interfaces[1].addresses,
        settings.media.interfaces[2].addresses
    );
    assert!(matches!(
        settings.media.interfaces[1].addresses[0].address,
        Bind::Address(_)
    ));
    assert_eq!(
        settings
            .listen
            .iter()
            .filter(|l| l.scheme == RelayScheme::NgUdp)
            .count(),
        1
    );
    assert_eq!(settings.max_sessions, None);
    let Ok(Invocation::Help(help)) = parse_args(&["--help".to_owned()]) else {
        panic!("no help")
    };
    let used = help.split("Known and without effect").next().unwrap();
    for line in used.lines().filter_map(|line| line.trim().split("--").nth(1)) {
        let name = line.split(['=', ' ']).next().unwrap();
        let in_file = text
            .lines()
            .any(|line| line.split('=').next().unwrap().trim() == name);
        assert!(
            in_file || ["config-file", "config-section", "help", "version", "name"].contains(&name),
            "{name}"
        );
    }
}

/// Every key of a schema as a dotted path; names chosen by the user are `*`, items of lists have no step.
fn schema_keys(schema: &Value, path: &str, keys: &mut BTreeSet<String>) {
    if let Some(properties) = schema["properties"].as_object() {
        for (name, value) in properties {
            let path = format!("{path}.{name}");
            schema_keys(value, &path, keys);
            keys.insert(path);
        }
    }
    if schema["additionalProperties"].is_object() {
        schema_keys(&schema["additionalProperties"], &format!("{path}.*"), keys);
    }
    schema_keys_of_list(schema, path, keys);
}

fn schema_keys_of_list(schema: &Value, path: &str, keys: &mut BTreeSet<String>) {
    if schema["items"].is_object() {
        schema_keys(&schema["items"], path, keys);
    }
    for one in schema["anyOf"].as_array().into_iter().flatten() {
        schema_keys(one, path, keys);
    }
}

/// Words before a colon, in comments too: a key that is only explained counts as shown.
fn words(text: &str) -> BTreeSet<&str> {
    let is_word = |c: char| c.is_ascii_alphanumeric() || matches!(c, '_' | '-');
    let ends = text.match_indices(':').map(|(at, _)| at);
    ends.map(|end| {
        let start = text[..end].rfind(|c| !is_word(c)).map_or(0, |at| at + 1);
        &text[start..end]
    })
    .collect()
}

#[test]
fn every_key_of_the_reference_is_in_the_samples() {
    for (name, schema) in [("gateway.yaml", gateway_schema()), ("relay.yaml", relay_schema())] {
        let text = read(&sample(name));
        let words = words(&text);
        let mut keys = BTreeSet::new();
        schema_keys(&schema, "", &mut keys);
        assert!(keys.len() > 20);
        for key in keys {
            let last = key.rsplit('.').next().unwrap();
            assert!(words.contains(last), "{name} lacks {key}");
        }
    }
}

/// Their names occur elsewhere too, so for them a word in the text proves nothing.
#[test]
fn every_limit_of_the_relay_has_its_place_in_the_samples() {
    let relay = load_relay("relay.yaml", &read(&sample("relay.yaml"))).unwrap();
    let samples = [
        (
            gateway("gateway.yaml").positions,
            gateway_schema(),
            ".relay.limits",
        ),
        (relay.positions, relay_schema(), ".limits"),
    ];
    for (positions, schema, section) in samples {
        let mut keys = BTreeSet::new();
        schema_keys(&schema, "", &mut keys);
        keys.retain(|key| key.starts_with(section));
        assert!(keys.len() > 60, "{}", keys.len());
        for key in keys {
            let path: Vec<_> = key.split('.').skip(1).collect();
            assert!(positions.key(&path).is_some(), "no {key}");
        }
    }
}

#[test]
fn the_schemas_beside_the_samples_are_up_to_date() {
    for (name, schema) in [
        ("gateway.schema.json", gateway_schema()),
        ("relay.schema.json", relay_schema()),
    ] {
        let text = format!("{schema:#}\n");
        if updating() {
            write(&sample(name), &text);
        }
        assert_eq!(read(&sample(name)), text, "run with UPDATE_EXPECTED=1");
    }
}

#[test]
fn the_reference_page_is_up_to_date() {
    let path = sample("../docs/configuration.md");
    let text = reference_markdown();
    if updating() {
        write(&path, &text);
    }
    assert_eq!(read(&path), text, "run with UPDATE_EXPECTED=1");
}

#[test]
fn the_reference_shows_every_default_and_every_option() {
    let page = reference_markdown();
    for part in [
        "| `calls` | a whole number from 1 to 1000000 | `1000` |",
        "`--interface`, `-i`",
        "E104",
        "`30000-39999`",
        "### `relay.interfaces.NAME`",
    ] {
        assert!(page.contains(part), "{part}");
    }
}

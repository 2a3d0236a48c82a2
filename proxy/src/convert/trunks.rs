//! Routes, numbers and trunks.

use viaduct_routing::{Destination, NumberPlan, Ring, Routes, Rule, Service, Trunk, Trunks};
use viaduct_settings as settings;
use viaduct_settings::GatewaySettings;
use viaduct_sip::Transport;
use viaduct_trunk::{Account, FailOn, From, HeaderEdit, MediaEncryption, NumberFormat, NumberRule, Pattern};

/// Which number goes where.
pub(crate) fn routes(settings: &GatewaySettings) -> Routes {
    Routes::new(settings.routes.iter().map(rule).collect())
}

/// How people dial.
pub(crate) fn numbers(settings: &GatewaySettings) -> NumberPlan {
    let numbers = &settings.numbers;
    NumberPlan {
        country: numbers.country.clone(),
        international: numbers.international_prefix.clone(),
        national: numbers.national_prefix.clone().unwrap_or_default(),
        national_digits: numbers.national_digits.map(|digits| digits as usize),
        rules: numbers
            .rules
            .iter()
            .map(|rule| NumberRule {
                matches: pattern(&rule.matches),
                strip: rule.strip as usize,
                add: rule.add.clone().unwrap_or_default(),
            })
            .collect(),
        emergency: numbers.emergency.clone(),
    }
}

/// The carriers. What is known of those in `before` is kept.
pub(crate) fn all(settings: &GatewaySettings, before: Option<&Trunks>) -> Trunks {
    Trunks::new(trunks(settings), before).with_calls_per_user_max(settings.limits.trunk_calls_per_user)
}

fn trunks(settings: &GatewaySettings) -> Vec<Trunk> {
    settings.trunks.iter().map(trunk).collect()
}

fn rule(route: &settings::Route) -> Rule {
    let when = &route.when;
    Rule {
        to: pattern(&when.to),
        from: match (&when.from_user, &when.from_trunk) {
            (_, Some(trunk)) => From::Trunk(trunk.clone()),
            (Some(settings::FromUser::User(user)), None) => From::User(user.clone()),
            (Some(settings::FromUser::Any), None) => From::AnyUser,
            (None, None) => From::Anybody,
        },
        send_to: route.send_to.iter().map(destination).collect(),
        ring: match route.ring {
            settings::Ring::Together => Ring::Together,
            settings::Ring::OneByOne => Ring::OneByOne,
        },
        on_fail: route
            .on_fail
            .iter()
            .map(|one| match *one {
                settings::FailOn::Status(status) => FailOn::Status(status),
                settings::FailOn::Timeout(after) => FailOn::Timeout(after),
            })
            .collect(),
    }
}

fn destination(target: &settings::Target) -> Destination {
    match target {
        settings::Target::User(name) => Destination::User(name.clone()),
        settings::Target::Trunk(name) => Destination::Trunk(name.clone()),
        settings::Target::Service(settings::Service::Echo) => Destination::Service(Service::Echo),
        settings::Target::Service(settings::Service::Music) => Destination::Service(Service::Music),
    }
}

fn trunk(trunk: &settings::Trunk) -> Trunk {
    let keys = &trunk.keys;
    let narrow = |number: u32| u16::try_from(number).unwrap_or(u16::MAX);
    Trunk {
        name: trunk.name.clone(),
        host: keys.proxy.host.clone(),
        port: keys.proxy.port,
        transport: keys.transport.map(|transport| match transport {
            settings::TrunkTransport::Udp => Transport::Udp,
            settings::TrunkTransport::Tcp => Transport::Tcp,
            settings::TrunkTransport::Tls => Transport::Tls,
        }),
        domain: keys.domain.clone().unwrap_or_else(|| keys.proxy.host.clone()),
        trust_from: keys.trust_from.iter().map(|&one| super::network(one)).collect(),
        trust_names: keys
            .trust_names
            .iter()
            .map(|name| name.to_ascii_lowercase())
            .collect(),
        numbers: keys.numbers.iter().map(pattern).collect(),
        caller_id: keys.caller_id.clone(),
        format: match keys.number_format {
            settings::NumberFormat::E164 => NumberFormat::E164,
            settings::NumberFormat::Digits => NumberFormat::Digits,
            settings::NumberFormat::International => NumberFormat::International,
            settings::NumberFormat::National => NumberFormat::National,
            settings::NumberFormat::AsDialled => NumberFormat::AsDialled,
        },
        prefix: keys.prefix.clone().unwrap_or_default(),
        asserts_identity: keys.assert_identity,
        hides_topology: keys.hide_topology,
        hides_software: keys.hide_software,
        hides_diversion: keys.diversion == settings::TrunkDiversion::Remove,
        headers: header_edits(&keys.headers),
        codecs: (!keys.codecs.is_empty()).then(|| keys.codecs.clone()),
        encryption: match keys.media_encryption {
            settings::MediaEncryption::None => MediaEncryption::None,
            settings::MediaEncryption::Sdes => MediaEncryption::Sdes,
            settings::MediaEncryption::Dtls => MediaEncryption::Dtls,
        },
        redirects_max: match keys.redirects {
            settings::TrunkRedirects::Refuse => 0,
            settings::TrunkRedirects::Follow => keys.max_redirects,
        },
        calls_max: keys.max_calls,
        calls_per_user_max: keys.max_calls_per_user,
        calls_per_second_max: keys.max_calls_per_second,
        priority: narrow(keys.priority),
        weight: narrow(keys.weight),
        account: trunk.account.as_ref().map(account),
        register: trunk.account.as_ref().and_then(|account| account.register),
        unregister: trunk.account.as_ref().and_then(|account| account.unregister),
        probe: keys.options_ping,
    }
}

fn header_edits(headers: &settings::TrunkHeaders) -> Vec<HeaderEdit> {
    let removed = headers
        .remove
        .iter()
        .map(|(_, name)| HeaderEdit::remove(name.as_str()));
    let set = headers
        .set
        .iter()
        .map(|(name, value)| HeaderEdit::set(name.as_str(), value));
    removed.chain(set).collect()
}

fn account(account: &settings::Account) -> Account {
    let realm = account.realm.as_deref().unwrap_or_default();
    let mut made = match &account.credentials {
        settings::Credentials::Password(password) => Account::new(&account.user, password.expose()),
        settings::Credentials::Ha1(ha1) => Account::with_hashes(&account.user, realm, super::hashes(ha1)),
    };
    made.auth_user = Some(account.auth_user.clone());
    made.realm.clone_from(&account.realm);
    made
}

fn pattern(pattern: &settings::Pattern) -> Pattern {
    Pattern::new(&pattern.to_string())
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use viaduct_settings::{FixedEnvironment, load_gateway};
    use viaduct_sip::HeaderName;
    use viaduct_trunk::Caller;

    use super::*;

    const TEXT: &str = "
site: { domain: voice.example.com }
users: { alice: { secret_file: secret } }
numbers: { country: '49', rules: [{ match: '9*', strip: 1 }] }
trunks:
  acme:
    proxy: 'sip:sbc.carrier.example'
    transport: tls
    register: { user: u, secret_file: secret, expires: 5m }
    trust_from: [198.51.100.0/24]
    numbers: ['+4930*']
    number_format: national
    media_encryption: sdes
    hide_topology: true
    diversion: remove
    headers: { remove: [alert-info], set: { X-Tenant: blue } }
    max_calls: 30
routes:
  - match: { to: '+*', from_user: any }
    send_to: trunk:acme
    on_fail: [503, 'timeout:4s']
  - match: { to: '+4930*', from_trunk: acme }
    send_to: user:alice
";

    #[test]
    fn hashes_of_a_password_arrive() {
        let hash = viaduct_sip::digest::Ha1::from_password(
            viaduct_sip::digest::Algorithm::Md5,
            "4930",
            "carrier",
            "apple pie",
        );
        let login = format!(
            "login: {{ user: u, auth_user: '4930', realm: carrier, ha1: {{ MD5: {} }} }}",
            hash.to_hex()
        );
        let text = TEXT.replace("register: { user: u, secret_file: secret, expires: 5m }", &login);
        let environment = FixedEnvironment::default().with_file("secret", "apple pie");
        let loaded = load_gateway("test.yaml", &text, &environment, &|_| Vec::new()).unwrap();
        let [trunk] = <[Trunk; 1]>::try_from(trunks(&loaded.settings)).unwrap();
        let mut expected = Account::with_hashes("u", "carrier", vec![hash]);
        expected.auth_user = Some("4930".to_owned());
        assert_eq!(trunk.account, Some(expected));
    }

    #[test]
    fn routes_numbers_and_trunks_arrive() {
        let environment = FixedEnvironment::default().with_file("secret", "apple pie");
        let loaded = load_gateway("test.yaml", TEXT, &environment, &|_| Vec::new()).unwrap();
        let settings = loaded.settings;
        let routes = routes(&settings);
        let number = numbers(&settings).normalise("9030123");
        assert_eq!(number, "+4930123");
        let (index, rule) = routes.find(&number, Caller::User("alice")).unwrap();
        assert_eq!((index, rule.on_fail.len()), (0, 2));
        assert_eq!(routes.find(&number, Caller::Trunk("acme")).unwrap().0, 1);
        let [trunk] = <[Trunk; 1]>::try_from(trunks(&settings)).unwrap();
        assert_eq!(
            (trunk.host.as_str(), trunk.transport),
            ("sbc.carrier.example", Some(Transport::Tls))
        );
        assert_eq!(
            (trunk.format, trunk.encryption, trunk.calls_max),
            (NumberFormat::National, MediaEncryption::Sdes, Some(30))
        );
        assert!(trunk.trust_from[0].contains("198.51.100.9".parse().unwrap()));
        assert_eq!((trunk.hides_topology, trunk.hides_software), (true, false));
        assert!(trunk.hides_diversion);
        assert_eq!(
            trunk.headers,
            [
                HeaderEdit::remove(HeaderName::AlertInfo),
                HeaderEdit::set("X-Tenant", "blue")
            ]
        );
        assert_eq!(trunk.register, Some(Duration::from_secs(300)));
        assert_eq!(trunk.probe, Some(Duration::from_secs(30)));
        assert_eq!(trunk.account.unwrap().user, "u");
    }
}

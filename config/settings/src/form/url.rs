//! URLs of other programs' HTTP services.

use crate::decode::{Fault, TextForm};
use crate::form::address::is_host_name;
use crate::shape::Shape;

/// Longest URL, in bytes.
const URL_MAX: usize = 2_000;

/// An `http` or `https` URL without user, password and fragment.
#[derive(Debug, Clone, Copy)]
pub(crate) struct HttpUrl;

/// The URL of an HTTP service.
pub(crate) fn http_url() -> HttpUrl {
    HttpUrl
}

impl TextForm for HttpUrl {
    type Value = String;

    fn parse(&self, text: &str) -> Result<String, Fault> {
        let help = |text: &str| Err(Fault::bad().help(text.to_owned()));
        let rest = text
            .strip_prefix("https://")
            .or_else(|| text.strip_prefix("http://"));
        let Some(rest) = rest else {
            return help("start with `https://` or `http://`");
        };
        if text.len() > URL_MAX {
            return Err(Fault::range().help(format!("{} bytes; {URL_MAX} are allowed", text.len())));
        }
        if text.contains('#') {
            return help("a fragment (`#…`) is never sent: delete it");
        }
        if !text.bytes().all(|byte| byte.is_ascii_graphic()) || text.contains(['"', '<', '>', '\\', '`']) {
            return help("write other characters as `%…`");
        }
        let authority = rest.split(['/', '?']).next().unwrap_or_default();
        if authority.contains('@') {
            return help("no user and password here: use a token");
        }
        let (host, port) = match authority.rsplit_once(':') {
            Some((host, port)) if !port.ends_with(']') => (host, Some(port)),
            _ => (authority, None),
        };
        if port.is_some_and(|port| port.parse::<u16>().map_or(true, |port| port == 0)) {
            return help("the port is a number from 1 to 65535");
        }
        let bracketed = host.strip_prefix('[').and_then(|host| host.strip_suffix(']'));
        let good = is_host_name(host)
            || host.parse::<std::net::Ipv4Addr>().is_ok()
            || bracketed.is_some_and(|host| host.parse::<std::net::Ipv6Addr>().is_ok());
        if good {
            Ok(text.to_owned())
        } else {
            help("the host is a name or an address, IPv6 in brackets")
        }
    }

    /// A wrong one may hold a password. If it does not, the line beside the message shows it.
    fn is_secret(&self) -> bool {
        true
    }

    fn shape(&self) -> Shape {
        Shape::Text {
            what: "a URL such as `https://crm.example.com/sip-users`".to_owned(),
            pattern: Some("^https?://[^@#]+$"),
        }
    }
}

/// Whether what is sent to this URL can be read on its way.
pub(crate) fn is_exposed(url: &str) -> bool {
    let Some(rest) = url.strip_prefix("http://") else {
        return false;
    };
    let authority = rest.split(['/', '?']).next().unwrap_or_default();
    let host = match authority.rsplit_once(':') {
        Some((host, port)) if !port.ends_with(']') => host,
        _ => authority,
    };
    let ip = host.trim_matches(['[', ']']).parse::<std::net::IpAddr>();
    !(host == "localhost" || ip.is_ok_and(|ip| ip.is_loopback()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn urls_name_a_host_and_nothing_secret() {
        for good in [
            "https://crm.example.com/sip-users",
            "http://127.0.0.1:8080",
            "https://[2001:db8::1]/a?b=c",
            "https://[::1]:8443/",
        ] {
            assert_eq!(http_url().parse(good).as_deref(), Ok(good));
        }
        for bad in [
            "crm.example.com",
            "ftp://a",
            "https://",
            "https://bob:pw@host/",
            "https://host/#x",
            "https://host:0/",
            "https://host:http/",
            "https://a b/",
            "https://ho\"st/",
        ] {
            assert!(http_url().parse(bad).is_err(), "{bad}");
        }
    }

    #[test]
    fn only_this_machine_may_be_asked_in_the_clear() {
        assert!(is_exposed("http://crm.example.com/") && is_exposed("http://10.0.0.5:80"));
        assert!(!is_exposed("https://crm.example.com/"));
        assert!(!is_exposed("http://127.0.0.1:8080/x") && !is_exposed("http://[::1]:1"));
        assert!(!is_exposed("http://localhost"));
    }
}

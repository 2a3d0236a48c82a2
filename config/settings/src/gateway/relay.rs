//! `relay`: which relay carries the media, and how.

use std::fmt;
use std::net::{IpAddr, SocketAddr};
use std::time::Duration;

use crate::decode::{Fault, TextForm, section, section_default};
use crate::form::address::is_host_name;
use crate::form::duration;
use crate::form::time::MINUTE;
use crate::media::MediaSettings;
use crate::shape::Shape;

section! {
    /// The relay that carries the media. All keys but `mode` and `timeout` belong to the built-in one.
    pub struct RelaySection {
        /// `built-in`, or the address of another relay that speaks NG: ours on another machine, or rtpengine. With
        /// `none` media goes from end to end, without encryption for those who have none: browsers and phones cannot
        /// talk.
        mode: RelayMode = default(RelayModeForm, "built-in");
        /// How long to wait for the answer to an NG command, repetitions included.
        timeout: Duration = default(duration(Duration::from_millis(100), MINUTE), "2.5s");
        /// The media side.
        media: MediaSettings = flatten;
    }
}
section_default!(RelaySection);

/// Which relay carries the media.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum RelayMode {
    /// The one in this process.
    BuiltIn,
    /// One that is reached with NG over UDP.
    Ng(NgAddress),
    /// None: SDP passes untouched.
    None,
}

/// Where a relay listens for NG commands.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct NgAddress {
    /// Name or address, an IPv6 address without brackets.
    pub host: String,
    /// UDP port.
    pub port: u16,
}

impl fmt::Display for NgAddress {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.host.parse::<IpAddr>() {
            Ok(address) => write!(f, "{}", SocketAddr::new(address, self.port)),
            Err(_) => write!(f, "{}:{}", self.host, self.port),
        }
    }
}

/// `built-in`, `none` or `ng:udp://host:port`.
pub(crate) struct RelayModeForm;

impl TextForm for RelayModeForm {
    type Value = RelayMode;

    fn parse(&self, text: &str) -> Result<RelayMode, Fault> {
        if text == "built-in" {
            return Ok(RelayMode::BuiltIn);
        }
        if text == "none" {
            return Ok(RelayMode::None);
        }
        let Some(authority) = text.strip_prefix("ng:udp://") else {
            let rest = text.strip_prefix("ng:").unwrap_or(text);
            let rest = rest.strip_prefix("udp:").unwrap_or(rest).trim_start_matches('/');
            let help = if rest.contains(':') && !rest.contains("://") {
                Some(format!("write `ng:udp://{rest}`"))
            } else {
                crate::suggest::did_you_mean(text, ["built-in", "none"])
            };
            return Err(Fault::bad().help(help));
        };
        let Some((host, port)) = authority.rsplit_once(':') else {
            return Err(Fault::bad().help(format!("add the port: `{text}:2223`")));
        };
        let port = crate::form::port().parse(port)?;
        let address = host.strip_prefix('[').and_then(|host| host.strip_suffix(']'));
        let good = match address {
            Some(v6) => v6.parse::<std::net::Ipv6Addr>().is_ok(),
            None => is_host_name(host) || host.parse::<std::net::Ipv4Addr>().is_ok(),
        };
        if !good {
            let help = host
                .contains(':')
                .then(|| "put the IPv6 address in brackets".to_owned());
            return Err(Fault::bad().help(help));
        }
        Ok(RelayMode::Ng(NgAddress {
            host: address.unwrap_or(host).to_ascii_lowercase(),
            port,
        }))
    }

    fn shape(&self) -> Shape {
        Shape::OneOf(vec![
            Shape::Word("built-in"),
            Shape::Word("none"),
            Shape::Text {
                what: "`ng:udp://HOST:PORT`".to_owned(),
                pattern: Some("^ng:udp://.+:[0-9]+$"),
            },
        ])
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_relay_elsewhere_is_a_host_and_a_port() {
        let parsed = |text: &str| match RelayModeForm.parse(text) {
            Ok(RelayMode::Ng(ng)) => ng.to_string(),
            other => format!("{other:?}"),
        };
        assert_eq!(parsed("ng:udp://10.0.0.5:2223"), "10.0.0.5:2223");
        assert_eq!(parsed("ng:udp://[2001:DB8::5]:2223"), "[2001:db8::5]:2223");
        assert_eq!(parsed("ng:udp://relay.example:2223"), "relay.example:2223");
        assert_eq!(RelayModeForm.parse("none").ok(), Some(RelayMode::None));
        let help = |text: &str| RelayModeForm.parse(text).unwrap_err().help.unwrap_or_default();
        assert_eq!(help("udp://10.0.0.5:2223"), "write `ng:udp://10.0.0.5:2223`");
        assert_eq!(help("10.0.0.5:2223"), "write `ng:udp://10.0.0.5:2223`");
        assert_eq!(help("udp:10.0.0.5:2223"), "write `ng:udp://10.0.0.5:2223`");
        assert_eq!(help("builtin"), "did you mean `built-in`?");
        assert_eq!(
            help("ng:udp://10.0.0.5"),
            "add the port: `ng:udp://10.0.0.5:2223`"
        );
        assert_eq!(help("ng:udp://::1:2223"), "put the IPv6 address in brackets");
    }
}

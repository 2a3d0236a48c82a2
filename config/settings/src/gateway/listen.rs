//! `listen`: where the gateway can be reached.

use std::net::SocketAddr;

use crate::decode::{Decoder, Form, TextForm, section};
use crate::form::{choices, host, or_word, section_form};
use crate::listener::{Layer, listen_url};
use crate::shape::Shape;
use crate::tree::{Kind, Node};

choices! {
    /// What is spoken on a listener.
    pub enum Scheme {
        /// SIP over UDP.
        SipUdp = "sip+udp",
        /// SIP over TCP.
        SipTcp = "sip+tcp",
        /// SIP over TLS.
        SipTls = "sip+tls",
        /// SIP over WebSocket at /sip, nothing else.
        Ws = "ws",
        /// SIP over WebSocket over TLS at /sip, nothing else.
        Wss = "wss",
        /// Pages, health, and SIP over WebSocket at /sip.
        Http = "http",
        /// The same over TLS: pages, health, and SIP over WebSocket at /sip.
        Https = "https",
    }
}

impl Scheme {
    /// The transport below.
    #[must_use]
    pub fn layer(self) -> Layer {
        match self {
            Self::SipUdp => Layer::Udp,
            Self::SipTcp | Self::SipTls | Self::Ws | Self::Wss | Self::Http | Self::Https => Layer::Tcp,
        }
    }

    /// Whether the listener needs the certificate.
    #[must_use]
    pub fn is_secure(self) -> bool {
        matches!(self, Self::SipTls | Self::Wss | Self::Https)
    }

    /// Whether SIP over WebSocket is spoken here.
    #[must_use]
    pub fn has_websocket(self) -> bool {
        matches!(self, Self::Ws | Self::Wss | Self::Http | Self::Https)
    }
}

/// One address where the gateway can be reached.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Listener {
    /// What is spoken there.
    pub scheme: Scheme,
    /// The local address; an unspecified one stands for all of its family, `[::]` for IPv6 only.
    pub address: SocketAddr,
    /// What peers are told in Via, Record-Route and Contact, if not the local address.
    pub advertise: Option<AdvertisedHost>,
}

/// What peers are told as the host of a listener.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum AdvertisedHost {
    /// The address of `site.public_ip`.
    Public,
    /// This name or address.
    Host(String),
}

section! {
    /// A listener with more to say than its URL.
    pub(crate) struct ListenerKeys {
        /// What is spoken and where, as the short form has it.
        url: (Scheme, SocketAddr) = required(listen_url::<Scheme>());
        /// Host that peers are told in Via, Record-Route and Contact; `public` is the address of `site.public_ip`.
        advertise: Option<Option<String>> = absent(
            or_word("public", host()),
            "the local address, or `site.public_ip` if all addresses are listened on"
        );
    }
}

/// A URL, or a map with `url` and more.
pub(crate) struct ListenerForm;

impl Form for ListenerForm {
    type Value = Listener;

    fn decode(&self, node: &Node, decoder: &mut Decoder<'_>) -> Option<Listener> {
        let keys = match &node.kind {
            Kind::Map(_) => decoder.section::<ListenerKeys>(node)?,
            Kind::Scalar { .. } => ListenerKeys {
                url: listen_url::<Scheme>().decode(node, decoder)?,
                advertise: None,
            },
            Kind::Null | Kind::Refused | Kind::List(_) => {
                decoder.wrong_form(node, &self.shape());
                return None;
            }
        };
        let (scheme, address) = keys.url;
        Some(Listener {
            scheme,
            address,
            advertise: keys.advertise.map(|host| match host {
                Some(host) => AdvertisedHost::Host(host),
                None => AdvertisedHost::Public,
            }),
        })
    }

    fn shape(&self) -> Shape {
        Shape::OneOf(vec![
            TextForm::shape(&listen_url::<Scheme>()),
            Form::shape(&section_form::<ListenerKeys>()),
        ])
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::code::Code;

    #[test]
    fn urls_have_a_scheme_an_address_and_a_port() {
        let form = listen_url::<Scheme>();
        assert_eq!(
            form.parse("sip+tls://[2001:db8::1]:5061"),
            Ok((Scheme::SipTls, "[2001:db8::1]:5061".parse().unwrap()))
        );
        let help = |text: &str| form.parse(text).unwrap_err().help.unwrap_or_default();
        assert_eq!(help("udp://0.0.0.0:5060"), "did you mean `sip+udp://`?");
        assert_eq!(help("sip+upd://0.0.0.0:5060"), "did you mean `sip+udp://`?");
        assert_eq!(help("0.0.0.0:5060"), "start with a scheme: `sip+udp://`");
        assert_eq!(
            help("wss://0.0.0.0:443/sip"),
            "leave `/sip` out; SIP over WebSocket is always at /sip"
        );
        assert_eq!(help("https://0.0.0.0"), "add a port: `0.0.0.0:PORT`");
        assert_eq!(
            help("ws://*:80"),
            "for all addresses write `0.0.0.0:80`, and `[::]:80` for IPv6"
        );
        assert_eq!(
            help("ws://localhost:80"),
            "an address, not a name: `127.0.0.1:80`"
        );
        assert_eq!(form.parse("ws://0.0.0.0:0").unwrap_err().code, Code::OutOfRange);
        assert_eq!(
            form.parse("ftp://0.0.0.0:1").unwrap_err().code,
            Code::UnknownChoice
        );
    }
}

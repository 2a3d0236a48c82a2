//! `site`: who the gateway is.

use std::net::IpAddr;

use crate::decode::{Decoder, Form, TextForm, section, section_default};
use crate::form::{address, host, list, or_word, path};
use crate::shape::Shape;
use crate::tree::{Kind, Node};

section! {
    /// Who the gateway is: its name, its address as the internet sees it, and where it keeps its files.
    pub struct SiteSettings {
        /// Name of the site: SIP realm, domain of the users, name of the page and of the certificate.
        domain: String = default(host(), "localhost");
        /// Address of this machine as the internet sees it. With `auto`, the machine's own addresses are told: right
        /// unless it is behind a NAT.
        public_ip: PublicIp = default(PublicIpForm, "auto");
        /// Folder for registrations, certificates and counters; it is made if it does not exist.
        state_dir: String = default(path(), "state");
    }
}
section_default!(SiteSettings);

/// The address of the machine as the internet sees it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum PublicIp {
    /// The machine's own addresses, as the system lists them at start: nothing outside is asked.
    Auto,
    /// These, one for each address family at most as far as peers are told.
    Addresses(Vec<IpAddr>),
}

impl PublicIp {
    /// The addresses, as far as they are known without asking.
    #[must_use]
    pub fn known(&self) -> &[IpAddr] {
        match self {
            Self::Auto => &[],
            Self::Addresses(addresses) => addresses,
        }
    }
}

/// `auto`, an address, or a list of addresses.
pub(crate) struct PublicIpForm;

impl Form for PublicIpForm {
    type Value = PublicIp;

    fn decode(&self, node: &Node, decoder: &mut Decoder<'_>) -> Option<PublicIp> {
        match &node.kind {
            Kind::List(items) if !items.is_empty() => {
                list(address()).decode(node, decoder).map(PublicIp::Addresses)
            }
            Kind::Scalar { .. } => {
                let value = or_word("auto", address()).decode(node, decoder)?;
                Some(match value {
                    Some(address) => PublicIp::Addresses(vec![address]),
                    None => PublicIp::Auto,
                })
            }
            Kind::Null | Kind::Refused | Kind::List(_) | Kind::Map(_) => {
                decoder.wrong_form(node, &self.shape());
                None
            }
        }
    }

    fn shape(&self) -> Shape {
        let one = TextForm::shape(&address());
        Shape::OneOf(vec![Shape::Word("auto"), one.clone(), Shape::List(Box::new(one))])
    }
}

/// Whether nobody outside a private network can send to `address`.
pub(crate) fn is_private(address: IpAddr) -> bool {
    match address {
        IpAddr::V4(v4) => {
            let [a, b, ..] = v4.octets();
            // 100.64.0.0/10 is the shared space of carriers' NATs (RFC 6598).
            v4.is_private() || v4.is_loopback() || v4.is_link_local() || (a == 100 && (64..128).contains(&b))
        }
        IpAddr::V6(v6) => v6.is_loopback() || v6.is_unique_local() || v6.is_unicast_link_local(),
    }
}

/// Whether `address` can be told to a peer at all.
pub(crate) fn is_unicast(address: IpAddr) -> bool {
    let broadcast = matches!(address, IpAddr::V4(v4) if v4.is_broadcast());
    !address.is_unspecified() && !address.is_multicast() && !broadcast
}

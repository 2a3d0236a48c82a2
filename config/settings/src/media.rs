//! Settings of the relay's media side, which stand under `relay` of the gateway's file and at the top of the relay's
//! own file.

use std::net::IpAddr;
use std::time::Duration;

use crate::decode::{Decoder, Fault, Form, TextForm, section, section_default};
use crate::form::address::PortRange;
use crate::form::number::Amount;
use crate::form::text::Text;
use crate::form::time::{DAY, HOUR, MINUTE, SECOND};
use crate::form::{
    address, amount, choice, choices, count, duration, list, map_of, one_or_many, or_word, port, port_range,
    section_form, switch, token,
};
use crate::relay_limits::RelayLimitSettings;
use crate::shape::Shape;
use crate::tree::Node;

section! {
    /// The media side of the relay: addresses, ports, timeouts and protections.
    pub struct MediaSettings {
        /// Addresses for media, by name; the first is the default. A proxy chooses by name (`direction` in NG).
        /// Without any, there is one interface `default` with the machine's own address, advertised as `public_ip`.
        interfaces: Vec<Interface> = default(InterfacesForm, "{}");
        /// The one UDP port for all browsers. With `none`, each browser gets ports from `rtp_ports`, as rtpengine
        /// does it.
        browser_port: Option<u16> = default(or_word("none", port()), "3480");
        /// UDP ports for phones: two for each side of a call (RTP and RTCP). An interface may have its own.
        rtp_ports: PortRange = default(port_range(), "30000-39999");
        /// How long a port rests after a call, so that late packets do not reach the next one; less where no other port
        /// is left.
        port_rest: Duration = default(duration(Duration::ZERO, 10 * MINUTE), "10s");
        /// Pairs of ports that are open in advance at each address, so that an offer need not wait for one. Raise it if
        /// `viaduct_relay_out_of_ports` counts in bursts of calls although ports are free.
        port_stock: usize = default(amount(2..=4_096), "64");
        /// Threads that forward media; `auto` is one for each processor.
        workers: Option<u32> = default(or_word("auto", count(1..=1_024)), "auto");
        /// Whether a program in the kernel steers `rtp_ports` to one socket of each worker, instead of a socket for each port
        /// (docs/kernel.md).
        steering: SteeringMode = default(choice::<SteeringMode>(), "auto");
        /// Whether plain media between settled endpoints is forwarded by the kernel (docs/kernel.md).
        kernel: KernelMode = default(choice::<KernelMode>(), "auto");
        /// Network interfaces whose packets the kernel may forward, by name. Without any, all that are up and have Ethernet
        /// frames and are no ports of a bridge or bond.
        kernel_interfaces: Vec<String> = default(list(link_name()), "[]");
        /// Network interfaces that hand frames for steered ports and for `browser_port` to workers before the kernel makes
        /// packets of them, that workers send frames by (AF_XDP), and that forward the frames of flows in the kernel, by name
        /// (docs/kernel.md). Their drivers must have XDP.
        frame_interfaces: Vec<String> = default(list(link_name()), "[]");
        /// The relay's name in the kernel, where relays of one host must not share one.
        kernel_instance: String = default(instance_name(), "default");
        /// Whether fax is made sound of, and sound fax, for proxies that ask for it (NG `T.38`). With `off`, T.38 passes as it is.
        fax: FaxMode = default(choice::<FaxMode>(), "auto");
        /// ICE towards browsers where the proxy does not say: `lite` answers checks only and costs least.
        ice: IceMode = default(choice::<IceMode>(), "lite");
        /// DTLS role towards a peer that leaves the choice to us.
        dtls_role: DtlsRole = default(choice::<DtlsRole>(), "active");
        /// Versions of DTLS.
        dtls_version: DtlsVersion = default(choice::<DtlsVersion>(), "1.2");
        /// Whose keys SDES uses, and which suites it offers.
        sdes: SdesMode = default(choice::<SdesMode>(), "own-keys");
        /// Whether SRTP goes on unopened where both sides have the same keys, as they may with `sdes: rtpengine`: it costs
        /// less, and forged packets reach the receiver, which drops them (docs/hostile-media.md). With `false` the relay
        /// checks each packet. It is `true` where the relay is started with rtpengine's options.
        srtp_pass_through: bool = default(switch(), "false");
        /// Whether the words `force-relay` and `optional` for ICE leave peers to each other, with the relay's candidates
        /// beside theirs, so that media may pass beside the relay. With `false` they mean what `force` does. It is `true`
        /// where the relay is started with rtpengine's options.
        direct_media: bool = default(switch(), "false");
        /// Whether checks and handshakes with who sends an offer begin with the offer, before it is answered. It is `true`
        /// where the relay is started with rtpengine's options.
        begin_at_offer: bool = default(switch(), "false");
        /// Whether full ICE words its checks and answers as rtpengine does, SOFTWARE among them. It is `true` where the
        /// relay is started with rtpengine's options.
        rtpengine_checks: bool = default(switch(), "false");
        /// Whether each m-line of a phone takes media from the addresses of its other m-lines as well. It is `true` where
        /// the relay is started with rtpengine's options.
        shared_endpoints: bool = default(switch(), "false");
        /// Whether an answer may give DTMF another payload type than the offer, which RFC 3264 allows. With `false` it is
        /// left out of such answers, unless the proxy says `allow-asymmetric-codecs`; so it is where the relay is started
        /// with rtpengine's options.
        renumbered_events: bool = default(switch(), "true");
        /// Whose a packet is where m-lines share a port and nothing in it tells.
        unnamed_media: UnnamedMedia = default(choice::<UnnamedMedia>(), "drop");
        /// Largest DTLS datagram, in bytes, without UDP and IP. Lower it where tunnels lose large datagrams.
        dtls_mtu: usize = default(dtls_mtu(), "1200");
        /// A peer to which ICE finds no path within this has failed.
        ice_timeout: Duration = default(duration(5 * SECOND, 5 * MINUTE), "30s");
        /// A path on which the peer's checks have stopped for this long is lost (RFC 7675).
        consent_timeout: Duration = default(duration(5 * SECOND, 5 * MINUTE), "30s");
        /// How the address of a phone behind NAT is learnt, where the proxy does not say.
        learning: Learning = default(choice::<Learning>(), "heuristic");
        /// How long after signalling an address may be learnt.
        learning_time: Duration = default(duration(SECOND, MINUTE), "3s");
        /// Whether packets from other addresses are dropped once the address is learnt. With `false`, whoever hits
        /// the port can be heard, which is how rtpengine works unless told otherwise.
        strict_source: bool = default(switch(), "true");
        /// Whether a phone keeps the ports that it was told when the other side moves, where the proxy does not say. With
        /// `false` it is told others, which is how rtpengine works.
        port_latching: bool = default(switch(), "true");
        /// DSCP and ECN byte of outgoing media; 184 is expedited forwarding (EF), 0 is none.
        tos: u32 = default(count(0..=255), "184");
        /// A call without any media ends after this.
        idle_timeout: Duration = default(duration(5 * SECOND, DAY), "60s");
        /// The same for a call on hold or muted.
        silent_timeout: Duration = default(duration(5 * SECOND, 7 * DAY), "1h");
        /// A call that was offered and never answered ends after this.
        offer_timeout: Duration = default(duration(5 * SECOND, DAY), "1h");
        /// Longest call; `none` for no limit.
        final_timeout: Option<Duration> = default(or_word("none", duration(MINUTE, 30 * DAY)), "none");
        /// How long a call is kept after its deletion, for proxies that change their mind.
        delete_delay: Duration = default(duration(Duration::ZERO, HOUR), "30s");
        /// How much of everything the relay takes on.
        limits: RelayLimitSettings = default(section_form::<RelayLimitSettings>(), "{}");
    }
}
section_default!(MediaSettings);

choices! {
    /// How ports are held.
    pub enum SteeringMode {
        /// Steered where the kernel and the capabilities of the process allow it and no other program can be given one of the
        /// ports by chance; what is missing is said at the start.
        Auto = "auto",
        /// Each port has a socket.
        Off = "off",
        /// The relay does not start unless ports can be steered.
        Required = "required",
    }
}

choices! {
    /// Whether T.38 is converted.
    pub enum FaxMode {
        /// Where the library spandsp (`libspandsp.so.2`, Debian's libspandsp2) is installed; what is missing is said at the start.
        Auto = "auto",
        /// T.38 passes as it is.
        Off = "off",
    }
}

choices! {
    /// Whether the kernel forwards plain media.
    pub enum KernelMode {
        /// Where the kernel and the capabilities of the process allow it; what is missing is said at the start.
        Auto = "auto",
        /// All media is forwarded in user space.
        Off = "off",
        /// The relay does not start without it.
        Required = "required",
    }
}

/// The name of a network interface (at most 15 octets in Linux).
fn link_name() -> Text {
    token(
        "the name of a network interface",
        15,
        |text| !text.contains('/'),
        "as `ip link` shows it",
    )
}

/// The name of a relay in the kernel.
fn instance_name() -> Text {
    token(
        "a name",
        32,
        |text| {
            text.bytes()
                .all(|octet| octet.is_ascii_alphanumeric() || octet == b'-' || octet == b'_')
        },
        "1 to 32 letters, digits, `-` or `_`",
    )
}

choices! {
    /// How ICE is done where the proxy does not say.
    pub enum IceMode {
        /// Only answer checks (RFC 8445 2.5). The gateway's address must be reachable for browsers.
        Lite = "lite",
        /// Check too; needed where the gateway is behind a NAT that does not forward the port.
        Full = "full",
    }
}

choices! {
    /// Our DTLS role towards a peer that offers `actpass`.
    pub enum DtlsRole {
        /// We start the handshake.
        Active = "active",
        /// The peer starts it.
        Passive = "passive",
    }
}

choices! {
    /// Which versions of DTLS are spoken.
    pub enum DtlsVersion {
        /// 1.2 (RFC 6347), which every WebRTC endpoint has.
        V1_2 = "1.2",
        /// 1.2 or 1.3 (RFC 9147), whatever the peer has.
        Auto = "auto",
    }
}

choices! {
    /// Whose keys SDES uses, and which suites it offers (RFC 4568).
    pub enum SdesMode {
        /// Keys of its own on each side of a call, and only suites that encrypt.
        OwnKeys = "own-keys",
        /// As rtpengine: the other side's key where the suite is the same, and every suite, those without encryption
        /// included. It holds where the relay is started with rtpengine's options.
        Rtpengine = "rtpengine",
    }
}

choices! {
    /// What happens to a packet whose m-line neither a name in it, nor its SSRC, nor its payload type tells.
    pub enum UnnamedMedia {
        /// It is dropped, as RFC 9143 section 9.2 wants it.
        Drop = "drop",
        /// As rtpengine: the first m-line with its payload type gets it. It holds where the relay is started with
        /// rtpengine's options.
        First = "first",
    }
}

choices! {
    /// How the address that media comes from is learnt.
    pub enum Learning {
        /// The address from the SDP settles it; failing that, the best source within `learning_time`: same address,
        /// same port, any.
        Heuristic = "heuristic",
        /// The source of the first packet after `learning_time`. Until then one other source than the SDP's is heard.
        Delayed = "delayed",
        /// The source of the first packet.
        Immediate = "immediate",
        /// The address from the SDP and nothing else.
        Never = "never",
    }
}

/// A named set of addresses for media.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Interface {
    /// The name that a proxy chooses it by. Names of the form `name:suffix` form a group `name`, whose members are
    /// used in turn.
    pub name: String,
    /// Its addresses, one at least. Several are for both families, or for ICE.
    pub addresses: Vec<InterfaceAddress>,
}

section! {
    /// One address of an interface.
    pub struct InterfaceAddress {
        /// Local address, `any` for all addresses of the machine that others can reach, or a network device.
        address: Bind = required(BindForm);
        /// Address that peers are told in SDP, where it is another; `public` is the address of `public_ip`.
        advertise: Option<AdvertisedAddress> = absent(AdvertisedForm, "the local address");
        /// UDP ports for phones at this address, for this interface. Interfaces may share an address, and their ports may
        /// overlap: a port is used once.
        rtp_ports: Option<PortRange> = absent(port_range(), "the `rtp_ports` of all interfaces");
        /// Ports that are left out, each with the other one of its pair.
        exclude_ports: Vec<u16> = default(list(port()), "[]");
    }
}

impl InterfaceAddress {
    /// An address that is told as it is, with the ports of all interfaces.
    #[must_use]
    pub fn new(address: Bind) -> Self {
        Self {
            address,
            advertise: None,
            rtp_ports: None,
            exclude_ports: Vec::new(),
        }
    }
}

/// What media is bound to.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Bind {
    /// All addresses of the machine except loopback and link-local ones.
    Any,
    /// This address.
    Address(IpAddr),
    /// The addresses of this network device.
    Device(String),
}

/// What peers are told.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum AdvertisedAddress {
    /// The address of `public_ip`.
    Public,
    /// This address.
    Address(IpAddr),
}

/// Octets of a DTLS datagram: what every path of IPv4 carries at least, to what Ethernet does at most.
pub(crate) fn dtls_mtu() -> Amount {
    amount(576..=1_500)
}

/// An interface's name.
pub(crate) fn interface_name() -> crate::form::text::Text {
    token(
        "an interface's name, such as `inside`",
        64,
        |text| {
            text.bytes()
                .all(|b| b.is_ascii_alphanumeric() || matches!(b, b'-' | b'_' | b'.' | b':'))
        },
        "letters, digits, `-`, `_` and `.` only",
    )
}

/// A map from names to one address or several.
pub(crate) struct InterfacesForm;

impl InterfacesForm {
    fn map() -> impl Form<Value = Vec<(String, Vec<InterfaceAddress>)>> {
        map_of(
            "interface name",
            interface_name(),
            one_or_many(section_form::<InterfaceAddress>()),
        )
    }
}

impl Form for InterfacesForm {
    type Value = Vec<Interface>;

    fn decode(&self, node: &Node, decoder: &mut Decoder<'_>) -> Option<Vec<Interface>> {
        let interfaces = Self::map().decode(node, decoder)?.into_iter();
        Some(
            interfaces
                .map(|(name, addresses)| Interface { name, addresses })
                .collect(),
        )
    }

    fn shape(&self) -> Shape {
        Self::map().shape()
    }
}

/// An address, `any`, or a device.
pub(crate) struct BindForm;

impl TextForm for BindForm {
    type Value = Bind;

    fn parse(&self, text: &str) -> Result<Bind, Fault> {
        // Linux limits names of devices to 15 bytes (IFNAMSIZ).
        const DEVICE_MAX: usize = 15;
        if text == "any" {
            return Ok(Bind::Any);
        }
        let fault = match address().parse(text) {
            Ok(address) => return Ok(Bind::Address(address)),
            Err(fault) => fault,
        };
        let is_device = text.starts_with(|c: char| c.is_ascii_alphabetic())
            && text.len() <= DEVICE_MAX
            && text
                .bytes()
                .all(|b| b.is_ascii_alphanumeric() || matches!(b, b'-' | b'_' | b'.' | b'@'));
        if is_device {
            Ok(Bind::Device(text.to_owned()))
        } else {
            Err(fault)
        }
    }

    fn shape(&self) -> Shape {
        Shape::Text {
            what: "an address, `any`, or a network device such as `eth0`".to_owned(),
            pattern: None,
        }
    }
}

/// An address or `public`.
pub(crate) struct AdvertisedForm;

impl TextForm for AdvertisedForm {
    type Value = AdvertisedAddress;

    fn parse(&self, text: &str) -> Result<AdvertisedAddress, Fault> {
        match text {
            "public" => Ok(AdvertisedAddress::Public),
            _ => {
                let fault = match address().parse(text) {
                    Ok(address) => return Ok(AdvertisedAddress::Address(address)),
                    Err(fault) => fault,
                };
                let is_name = crate::form::address::is_host_name(text);
                Err(match is_name {
                    true => {
                        fault.help("an address, not a name: SDP is read by phones without DNS".to_owned())
                    }
                    false => fault,
                })
            }
        }
    }

    fn shape(&self) -> Shape {
        Shape::OneOf(vec![Shape::Word("public"), TextForm::shape(&address())])
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn media_binds_to_addresses_devices_or_any() {
        assert_eq!(BindForm.parse("any"), Ok(Bind::Any));
        assert_eq!(
            BindForm.parse("eth0.100"),
            Ok(Bind::Device("eth0.100".to_owned()))
        );
        assert!(matches!(BindForm.parse("2001:db8::1"), Ok(Bind::Address(_))));
        for text in ["10.0.0.300", "a/b", "averyveryverylongname", ""] {
            assert!(BindForm.parse(text).is_err(), "{text}");
        }
    }
}

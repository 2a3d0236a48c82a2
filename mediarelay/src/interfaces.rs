//! Which addresses media is bound to, and what peers are told of them.
//!
//! Only this machine is asked. The address that the internet sees is a setting: whoever could tell it over the network
//! could also tell a wrong one, and would learn that there is a gateway.

use std::collections::HashSet;
use std::io;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr, UdpSocket};

use nix::ifaddrs::getifaddrs;
use nix::net::if_::InterfaceFlags;
use viaduct_session::{PortSet, PortUsage};
use viaduct_settings::{
    AdvertisedAddress, Bind, Interface, InterfaceAddress, MediaSettings, PortRange, PublicIp,
};

use crate::start_error::StartError;

/// A named set of addresses for media, all of them concrete.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct MediaInterface {
    /// What a proxy chooses it by.
    pub name: String,
    /// Its addresses, one at least.
    pub addresses: Vec<MediaAddress>,
}

/// One address of an interface.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct MediaAddress {
    /// What sockets are bound to.
    pub address: IpAddr,
    /// What peers are told, where it is another.
    pub advertised: Option<IpAddr>,
    /// Its ports for phones.
    pub ports: PortSet,
}

impl MediaAddress {
    /// Whether `usage` is that of its ports.
    pub(crate) fn is_of(&self, usage: &PortUsage) -> bool {
        self.address == usage.address && self.ports == usage.ports
    }
}

/// The addresses of this machine.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(crate) struct Machine {
    /// Of each network device that is up.
    pub(crate) devices: Vec<(String, IpAddr)>,
    /// What the system would send from to the internet, one for each family at most.
    pub(crate) preferred: Vec<IpAddr>,
}

impl Machine {
    /// Asks the system.
    pub(crate) fn look() -> io::Result<Self> {
        let devices = getifaddrs()?
            .filter(|entry| entry.flags.contains(InterfaceFlags::IFF_UP))
            .filter_map(|entry| {
                let storage = entry.address?;
                let v4 = storage.as_sockaddr_in().map(|address| IpAddr::V4(address.ip()));
                let ip = v4.or_else(|| Some(IpAddr::V6(storage.as_sockaddr_in6()?.ip())))?;
                Some((entry.interface_name, ip))
            })
            .collect();
        // Documentation addresses: connecting a UDP socket sends nothing, it only chooses a route.
        let far = [
            SocketAddr::from(([192, 0, 2, 1], 9)),
            SocketAddr::from((FAR_V6, 9)),
        ];
        Ok(Self {
            devices,
            preferred: far.into_iter().filter_map(source_towards).collect(),
        })
    }
}

/// 2001:db8::1.
const FAR_V6: Ipv6Addr = Ipv6Addr::new(0x2001, 0xdb8, 0, 0, 0, 0, 0, 1);

fn source_towards(far: SocketAddr) -> Option<IpAddr> {
    let any = if far.is_ipv4() {
        IpAddr::from(Ipv4Addr::UNSPECIFIED)
    } else {
        Ipv6Addr::UNSPECIFIED.into()
    };
    let socket = UdpSocket::bind((any, 0)).ok()?;
    socket.connect(far).ok()?;
    let ip = socket.local_addr().ok()?.ip();
    Some(ip).filter(|ip| is_reachable(*ip))
}

/// The interfaces that the settings name, and remarks for the log. `public_ip` is what `advertise: public` stands for.
pub(crate) fn resolve(
    settings: &MediaSettings,
    machine: &Machine,
    public_ip: &PublicIp,
) -> Result<(Vec<MediaInterface>, Vec<String>), StartError> {
    let mut resolver = Resolver {
        machine,
        public_ip,
        rtp_ports: settings.rtp_ports,
        remarks: Vec::new(),
    };
    let interfaces = if settings.interfaces.is_empty() {
        vec![resolver.default_interface()]
    } else {
        let interfaces = settings
            .interfaces
            .iter()
            .map(|interface| resolver.interface(interface));
        interfaces.collect::<Result<_, _>>()?
    };
    Ok((interfaces, resolver.remarks))
}

struct Resolver<'a> {
    machine: &'a Machine,
    public_ip: &'a PublicIp,
    /// Of interfaces that have none of their own.
    rtp_ports: PortRange,
    remarks: Vec<String>,
}

impl Resolver<'_> {
    /// The machine's own addresses, advertised as the public one.
    fn default_interface(&mut self) -> MediaInterface {
        let mut own = self.machine.preferred.clone();
        if own.is_empty() {
            // Without a route to anywhere; perhaps a network of its own.
            own.extend(
                self.machine
                    .devices
                    .iter()
                    .map(|(_, ip)| *ip)
                    .find(|ip| is_reachable(*ip)),
            );
        }
        if own.is_empty() {
            self.remarks.push(
                "this machine has no address besides loopback; only calls on it will have media".to_owned(),
            );
            own.push(Ipv4Addr::LOCALHOST.into());
        }
        let addresses = own.into_iter().map(|address| {
            let public = self.public(address);
            if public.is_none() && is_private(address) {
                self.remarks.push(format!(
                    "peers are told {address}, which only its own network reaches; for peers outside of it set \
                     `public_ip`"
                ));
            }
            told(address, public, port_set(self.rtp_ports, &[]))
        });
        MediaInterface {
            name: "default".to_owned(),
            addresses: addresses.collect(),
        }
    }

    fn interface(&mut self, interface: &Interface) -> Result<MediaInterface, StartError> {
        let mut addresses = Vec::new();
        let mut seen = HashSet::new();
        for entry in &interface.addresses {
            for address in self.bound_to(&interface.name, entry)? {
                // `any` may stand beside an address of its own.
                if seen.insert(address) {
                    let advertised = match entry.advertise {
                        Some(AdvertisedAddress::Address(ip)) => Some(ip),
                        Some(AdvertisedAddress::Public) => self.public_of(&interface.name, address),
                        None => None,
                    };
                    let range = entry.rtp_ports.unwrap_or(self.rtp_ports);
                    addresses.push(told(address, advertised, port_set(range, &entry.exclude_ports)));
                }
            }
        }
        Ok(MediaInterface {
            name: interface.name.clone(),
            addresses,
        })
    }

    /// The concrete addresses of an entry: one at least.
    fn bound_to(&self, interface: &str, entry: &InterfaceAddress) -> Result<Vec<IpAddr>, StartError> {
        let devices = &self.machine.devices;
        let (found, what) = match &entry.address {
            Bind::Address(ip) if ip.is_unspecified() => {
                let same_family = |other: &IpAddr| other.is_ipv4() == ip.is_ipv4() && is_reachable(*other);
                (
                    devices.iter().map(|(_, ip)| *ip).filter(same_family).collect(),
                    ip.to_string(),
                )
            }
            Bind::Address(ip) => (vec![*ip], ip.to_string()),
            Bind::Any => (
                devices
                    .iter()
                    .map(|(_, ip)| *ip)
                    .filter(|ip| is_reachable(*ip))
                    .collect(),
                "any".to_owned(),
            ),
            Bind::Device(name) => {
                let of_device = devices
                    .iter()
                    .filter(|(device, _)| device == name)
                    .map(|(_, ip)| *ip);
                (
                    of_device.filter(|ip| !is_link_local(*ip)).collect::<Vec<_>>(),
                    name.clone(),
                )
            }
        };
        if found.is_empty() {
            let known: Vec<_> = devices
                .iter()
                .map(|(device, ip)| format!("{device} {ip}"))
                .collect();
            return Err(StartError::NoAddress {
                interface: interface.to_owned(),
                what,
                known: known.join(", "),
            });
        }
        Ok(found)
    }

    /// What `advertise: public` of an interface means for one of its addresses.
    fn public_of(&mut self, interface: &str, address: IpAddr) -> Option<IpAddr> {
        let public = self.public(address);
        if public.is_none() {
            let why = match self.public_ip {
                PublicIp::Auto => {
                    "`public_ip` is `auto`, which stands for the machine's own addresses".to_owned()
                }
                PublicIp::Addresses(_) => format!("`public_ip` has no {} address", family(address)),
            };
            self.remarks.push(format!(
                "interface `{interface}` advertises `public`, but {why}: peers are told {address}; behind a NAT set \
                 `public_ip` to the address that peers see"
            ));
        }
        public
    }

    /// The public address of the same family, if the settings have one.
    fn public(&self, address: IpAddr) -> Option<IpAddr> {
        let known = self.public_ip.known();
        known.iter().copied().find(|ip| ip.is_ipv4() == address.is_ipv4())
    }
}

/// An address, and what peers are told where it is another.
fn told(address: IpAddr, advertised: Option<IpAddr>, ports: PortSet) -> MediaAddress {
    MediaAddress {
        address,
        advertised: advertised.filter(|ip| *ip != address),
        ports,
    }
}

fn port_set(PortRange { first, last }: PortRange, excluded: &[u16]) -> PortSet {
    PortSet::new(first..=last, excluded.to_vec())
}

fn family(ip: IpAddr) -> &'static str {
    if ip.is_ipv4() { "IPv4" } else { "IPv6" }
}

/// Whether other machines can send there at all.
fn is_reachable(ip: IpAddr) -> bool {
    !ip.is_loopback() && !is_link_local(ip) && !ip.is_unspecified() && !ip.is_multicast()
}

/// An address that means nothing without its link.
fn is_link_local(ip: IpAddr) -> bool {
    match ip {
        IpAddr::V4(ip) => ip.is_link_local(),
        IpAddr::V6(ip) => ip.is_unicast_link_local(),
    }
}

/// Whether only a network of its own can send there, so that a NAT may stand between it and the internet.
fn is_private(ip: IpAddr) -> bool {
    match ip {
        IpAddr::V4(v4) => {
            // 100.64.0.0/10 is the shared space of carriers' NATs (RFC 6598).
            let shared = matches!(v4.octets(), [100, 64..128, ..]);
            v4.is_private() || shared || v4.is_link_local()
        }
        IpAddr::V6(v6) => v6.is_unique_local(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn ip(text: &str) -> IpAddr {
        text.parse().unwrap()
    }

    fn machine() -> Machine {
        let devices = [
            ("lo", "127.0.0.1"),
            ("lo", "::1"),
            ("eth0", "10.0.0.5"),
            ("eth0", "2001:db8::5"),
            ("eth0", "fe80::1"),
            ("wg0", "10.9.0.1"),
        ];
        let devices = devices.map(|(device, address)| (device.to_owned(), ip(address)));
        Machine {
            devices: devices.into(),
            preferred: vec![ip("10.0.0.5"), ip("2001:db8::5")],
        }
    }

    fn bound(address: Bind, advertise: Option<AdvertisedAddress>) -> Vec<Interface> {
        let addresses = vec![InterfaceAddress {
            advertise,
            ..InterfaceAddress::new(address)
        }];
        vec![Interface {
            name: "outside".to_owned(),
            addresses,
        }]
    }

    /// An address, and what peers are told where it is another.
    type Told = (String, Option<String>);

    fn resolve_with(
        settings: &[Interface],
        machine: &Machine,
        public_ip: &PublicIp,
    ) -> Result<(Vec<Told>, Vec<String>), StartError> {
        let settings = MediaSettings {
            interfaces: settings.to_vec(),
            ..MediaSettings::default()
        };
        let (interfaces, remarks) = resolve(&settings, machine, public_ip)?;
        let addresses = interfaces[0].addresses.iter();
        let shown = addresses.map(|a| (a.address.to_string(), a.advertised.map(|ip| ip.to_string())));
        Ok((shown.collect(), remarks))
    }

    fn own(address: &str) -> Told {
        (address.to_owned(), None)
    }

    #[test]
    fn wildcards_and_devices_become_addresses_that_others_can_reach() {
        for (address, expected) in [
            (Bind::Any, &["10.0.0.5", "2001:db8::5", "10.9.0.1"][..]),
            (Bind::Address(ip("0.0.0.0")), &["10.0.0.5", "10.9.0.1"]),
            (Bind::Address(ip("::")), &["2001:db8::5"]),
            (Bind::Device("eth0".to_owned()), &["10.0.0.5", "2001:db8::5"]),
            (Bind::Device("lo".to_owned()), &["127.0.0.1", "::1"]),
            (Bind::Address(ip("127.0.0.1")), &["127.0.0.1"]),
        ] {
            let settings = bound(address, None);
            let found = resolve_with(&settings, &machine(), &PublicIp::Auto).unwrap();
            assert_eq!(found, (expected.iter().map(|ip| own(ip)).collect(), vec![]));
        }
    }

    #[test]
    fn a_device_that_is_not_there_is_named_with_those_that_are() {
        let settings = bound(Bind::Device("eth1".to_owned()), None);
        let error = resolve_with(&settings, &machine(), &PublicIp::Auto)
            .unwrap_err()
            .to_string();
        assert!(
            error.contains("interface `outside`") && error.contains("`eth1`"),
            "{error}"
        );
        assert!(error.contains("eth0 10.0.0.5"), "{error}");
    }

    #[test]
    fn public_is_what_the_settings_say() {
        let settings = bound(Bind::Device("eth0".to_owned()), Some(AdvertisedAddress::Public));
        let given = PublicIp::Addresses(vec![ip("203.0.113.9"), ip("2001:db8::5")]);
        let expected = vec![
            ("10.0.0.5".to_owned(), Some("203.0.113.9".to_owned())),
            own("2001:db8::5"),
        ];
        assert_eq!(
            resolve_with(&settings, &machine(), &given).unwrap(),
            (expected, vec![])
        );
    }

    #[test]
    fn public_without_a_public_address_is_remarked_on() {
        let settings = bound(Bind::Device("eth0".to_owned()), Some(AdvertisedAddress::Public));
        let own_addresses = vec![own("10.0.0.5"), own("2001:db8::5")];
        let (found, remarks) = resolve_with(&settings, &machine(), &PublicIp::Auto).unwrap();
        assert_eq!((found, remarks.len()), (own_addresses, 2));
        assert_eq!(
            remarks[0],
            "interface `outside` advertises `public`, but `public_ip` is `auto`, which stands for the machine's own \
             addresses: peers are told 10.0.0.5; behind a NAT set `public_ip` to the address that peers see"
        );
        let v4_only = PublicIp::Addresses(vec![ip("203.0.113.9")]);
        let (_, remarks) = resolve_with(&settings, &machine(), &v4_only).unwrap();
        let [remark] = &remarks[..] else {
            panic!("{remarks:?}")
        };
        assert!(
            remark.contains("`public_ip` has no IPv6 address: peers are told 2001:db8::5"),
            "{remark}"
        );
    }

    #[test]
    fn without_interfaces_there_is_the_machines_own_address() {
        let (found, remarks) = resolve_with(&[], &machine(), &PublicIp::Auto).unwrap();
        assert_eq!(found, [own("10.0.0.5"), own("2001:db8::5")]);
        let [remark] = &remarks[..] else {
            panic!("{remarks:?}")
        };
        assert!(
            remark.starts_with("peers are told 10.0.0.5, which only its own network reaches"),
            "{remark}"
        );
        let mut unrouted = machine();
        unrouted.preferred.clear();
        let (found, _) = resolve_with(&[], &unrouted, &PublicIp::Auto).unwrap();
        assert_eq!(found, [own("10.0.0.5")]);
        let alone = Machine {
            devices: vec![("lo".to_owned(), ip("127.0.0.1"))],
            preferred: Vec::new(),
        };
        let (found, remarks) = resolve_with(&[], &alone, &PublicIp::Auto).unwrap();
        assert_eq!((found, remarks.len()), (vec![own("127.0.0.1")], 1));
    }

    #[test]
    fn an_address_that_two_entries_name_is_taken_once() {
        let address = |address, advertise| InterfaceAddress {
            advertise,
            ..InterfaceAddress::new(address)
        };
        let told = Some(AdvertisedAddress::Address(ip("203.0.113.9")));
        let addresses = vec![
            address(Bind::Address(ip("10.0.0.5")), told),
            address(Bind::Any, None),
        ];
        let settings = [Interface {
            name: "outside".to_owned(),
            addresses,
        }];
        let (found, _) = resolve_with(&settings, &machine(), &PublicIp::Auto).unwrap();
        let first = ("10.0.0.5".to_owned(), Some("203.0.113.9".to_owned()));
        assert_eq!(found, [first, own("2001:db8::5"), own("10.9.0.1")]);
    }

    #[test]
    fn an_interface_has_ports_of_its_own_or_those_of_all() {
        let address = |rtp_ports, exclude_ports| InterfaceAddress {
            rtp_ports,
            exclude_ports,
            ..InterfaceAddress::new(Bind::Address(ip("10.0.0.5")))
        };
        let interface = |name: &str, address| Interface {
            name: name.to_owned(),
            addresses: vec![address],
        };
        let range = |first, last| PortRange { first, last };
        let settings = MediaSettings {
            interfaces: vec![
                interface("common", address(None, vec![2_004])),
                interface("own", address(Some(range(3_000, 3_007)), Vec::new())),
            ],
            rtp_ports: range(2_000, 2_999),
            ..MediaSettings::default()
        };
        let (found, _) = resolve(&settings, &machine(), &PublicIp::Auto).unwrap();
        let ports: Vec<_> = found.iter().map(|of| of.addresses[0].ports.clone()).collect();
        let common = PortSet::new(2_000..=2_999, vec![2_004]);
        assert_eq!(ports, [common, (3_000..=3_007).into()]);
    }

    #[test]
    fn this_machine_has_loopback() {
        let machine = Machine::look().unwrap();
        assert!(
            machine
                .devices
                .iter()
                .any(|(_, address)| *address == ip("127.0.0.1"))
        );
        assert!(machine.preferred.iter().all(|ip| is_reachable(*ip)));
    }
}

//! The sockets that a gateway listens on, bound before anything runs.

use std::io;
use std::net::{IpAddr, SocketAddr};

use anyhow::bail;
use viaduct_mediarelay::port_owner;
use viaduct_routing::Listener;
use viaduct_settings::{GatewaySettings, Layer, Scheme};

use crate::convert;
use crate::net::udp::UdpListener;

/// Connections that wait to be accepted.
const BACKLOG: i32 = 1_024;

/// Sockets that were bound, before anything runs.
pub(super) struct Bound {
    /// For each signalling thread, its sockets.
    pub(super) udp: Vec<Vec<UdpListener>>,
    pub(super) tcp: Vec<(Scheme, std::net::TcpListener)>,
    /// What signalling knows of them.
    pub(super) listeners: Vec<Listener>,
    /// Where they are, the ports known.
    pub(super) addresses: Vec<(Scheme, SocketAddr)>,
}

impl Bound {
    /// Binds what the settings name, UDP once for each of so many threads. Names everything that is taken, not only the
    /// first.
    pub(super) fn bind(settings: &GatewaySettings, threads: usize) -> anyhow::Result<Self> {
        let mut bound = Self {
            udp: (0..threads).map(|_| Vec::new()).collect(),
            tcp: Vec::new(),
            listeners: Vec::new(),
            addresses: Vec::new(),
        };
        let mut taken = Vec::new();
        for listener in &settings.listen {
            let mut wanted = listener.address;
            let result = if listener.scheme == Scheme::SipUdp {
                bind_udp(&mut bound.udp, &mut wanted)
            } else {
                bind_tcp(wanted).map(|socket| {
                    wanted = socket.local_addr().unwrap_or(wanted);
                    bound.tcp.push((listener.scheme, socket));
                })
            };
            if let Err(error) = result {
                taken.push(explain_bind(listener.scheme, wanted, &error));
                continue;
            }
            bound.addresses.push((listener.scheme, wanted));
            bound.listeners.push(Listener {
                transport: convert::transport(listener.scheme),
                addr: wanted,
                advertised: convert::advertised(listener, settings.site.public_ip.known()),
            });
        }
        if taken.is_empty() {
            Ok(bound)
        } else {
            bail!(taken.join("\n"))
        }
    }
}

/// Binds one socket for each thread. The first finds out whether the address is free: further ones share it.
fn bind_udp(threads: &mut [Vec<UdpListener>], address: &mut SocketAddr) -> io::Result<()> {
    // Sharing an address would also share it with another process of the same user.
    if address.port() != 0 && port_owner(Layer::Udp, *address).is_some() {
        return Err(io::ErrorKind::AddrInUse.into());
    }
    for listeners in threads {
        let listener = UdpListener::bind(*address)?;
        *address = listener.bound();
        listeners.push(listener);
    }
    Ok(())
}

fn bind_tcp(address: SocketAddr) -> io::Result<std::net::TcpListener> {
    let domain = socket2::Domain::for_address(address);
    let socket = socket2::Socket::new(domain, socket2::Type::STREAM, Some(socket2::Protocol::TCP))?;
    if address.is_ipv6() {
        socket.set_only_v6(true)?;
    }
    // A gateway that restarts need not wait for connections of its former life.
    socket.set_reuse_address(true)?;
    socket.set_nonblocking(true)?;
    socket.bind(&address.into())?;
    socket.listen(BACKLOG)?;
    Ok(socket.into())
}

/// Why an address cannot be bound, in words, with the process that has it.
pub(super) fn explain_bind(scheme: Scheme, address: SocketAddr, error: &io::Error) -> String {
    let layer = scheme.layer();
    let name = match layer {
        Layer::Udp => "UDP",
        Layer::Tcp => "TCP",
    };
    match error.kind() {
        io::ErrorKind::AddrInUse => match port_owner(layer, address) {
            Some(owner) => format!(
                "port {name} {} is taken by {owner}. Stop it, or choose another address than {scheme}://{address}",
                address.port()
            ),
            None => format!(
                "port {name} {} is taken. Choose another address than {scheme}://{address}",
                address.port()
            ),
        },
        io::ErrorKind::PermissionDenied => format!(
            "port {name} {} needs a privilege: ports below 1024 are root's (systemd: AmbientCapabilities=CAP_NET_BIND_SERVICE)",
            address.port()
        ),
        io::ErrorKind::AddrNotAvailable => {
            format!(
                "{} is no address of this machine, so {scheme}://{address} cannot be opened",
                address.ip()
            )
        }
        _ => format!("{scheme}://{address} cannot be opened: {error}"),
    }
}

/// Addresses of this machine that peers may use, loopback included.
pub(crate) fn own_addresses() -> Vec<IpAddr> {
    let Ok(interfaces) = nix::ifaddrs::getifaddrs() else {
        return Vec::new();
    };
    let mut addresses: Vec<IpAddr> = interfaces
        .filter_map(|interface| {
            let address = interface.address?;
            let v4 = address.as_sockaddr_in().map(|v4| IpAddr::V4(v4.ip()));
            v4.or_else(|| address.as_sockaddr_in6().map(|v6| IpAddr::V6(v6.ip())))
        })
        // Link-local addresses mean nothing without the interface's name.
        .filter(|ip| !matches!(ip, IpAddr::V6(ip) if ip.is_unicast_link_local()))
        .collect();
    addresses.sort();
    addresses.dedup();
    addresses
}

//! Why a relay does not start, in words for people.

use std::fmt;
use std::io;
use std::net::{IpAddr, SocketAddr};
use std::path::PathBuf;

use viaduct_settings::Layer;

use crate::claim::PortClaim;
use crate::port_owner::{PortOwner, port_owner};
use crate::start::NoSteering;

/// Why a relay does not start.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum StartError {
    /// Somebody else has the port.
    #[error("port {} {} is taken{}; it is wanted for {purpose}", Transport(*layer), address, by(owner.as_ref()))]
    PortTaken {
        /// UDP or TCP.
        layer: Layer,
        /// The address that was to be bound.
        address: SocketAddr,
        /// For what.
        purpose: &'static str,
        /// Who has it, if that could be found out.
        owner: Option<PortOwner>,
    },
    /// The address is none of this machine's.
    #[error("{address} is no address of this machine; it is wanted for {purpose}")]
    NotOurAddress {
        /// The address that was to be bound.
        address: IpAddr,
        /// For what.
        purpose: &'static str,
    },
    /// The port cannot be bound for another reason.
    #[error("cannot open {} {address} for {purpose}: {error}", Transport(*layer))]
    Bind {
        /// UDP or TCP.
        layer: Layer,
        /// The address that was to be bound.
        address: SocketAddr,
        /// For what.
        purpose: &'static str,
        /// In the words of the system.
        error: io::Error,
    },
    /// An interface without any address.
    #[error("interface `{interface}`: this machine has no address for `{what}`; it has {known}")]
    NoAddress {
        /// The interface's name.
        interface: String,
        /// What it was to be bound to.
        what: String,
        /// The addresses that there are.
        known: String,
    },
    /// The file with the secret of Janus' protocol has none, or cannot be read.
    #[error("`janus_secret_file`: {}: {error}", path.display())]
    JanusSecret {
        /// The file.
        path: PathBuf,
        /// In words.
        error: String,
    },
    /// The kernel path, which is required, cannot be had.
    #[error("media in the kernel, which `kernel: required` asks for: {0}")]
    Kernel(viaduct_kmod_helper::Refused),
    /// Ports cannot be steered, which is required.
    #[error("steering media ports, which `steering: required` asks for: {0}")]
    Steering(NoSteering),
    /// Another relay steers some of the ports, so nobody would hear them here.
    #[error("{0}, and steers them; give each relay of a host ports of its own (`rtp_ports`)")]
    PortsSteered(PortClaim),
    /// The certificate for DTLS could not be made, or not used.
    #[error("making a certificate for DTLS: {0}")]
    Certificate(String),
    /// The certificate of the HTTPS listeners cannot be used.
    #[error("the certificate for HTTPS cannot be used: {}: {error}", path.display())]
    Tls {
        /// The file.
        path: PathBuf,
        /// In the words of the library.
        error: String,
    },
    /// The file that keeps calls over a restart cannot be used.
    #[error("the state file {} cannot be used: {error}; does another relay use it?", path.display())]
    State {
        /// Which.
        path: PathBuf,
        /// In the words of the database, or of the system.
        error: String,
    },
    /// Everything else that the system would not give us: threads, descriptors, lists of addresses.
    #[error("{what}: {error}")]
    System {
        /// What was tried.
        what: &'static str,
        /// In the words of the system.
        error: io::Error,
    },
}

impl StartError {
    /// Why binding failed, with the present owner of a port that is taken.
    pub(crate) fn binding(
        layer: Layer,
        address: SocketAddr,
        purpose: &'static str,
        error: io::Error,
    ) -> Self {
        match error.kind() {
            io::ErrorKind::AddrInUse => {
                let owner = port_owner(layer, address);
                Self::PortTaken {
                    layer,
                    address,
                    purpose,
                    owner,
                }
            }
            io::ErrorKind::AddrNotAvailable => Self::NotOurAddress {
                address: address.ip(),
                purpose,
            },
            _ => Self::Bind {
                layer,
                address,
                purpose,
                error,
            },
        }
    }

    pub(crate) fn system(what: &'static str) -> impl FnOnce(io::Error) -> Self {
        move |error| Self::System { what, error }
    }
}

/// `UDP` or `TCP`.
struct Transport(Layer);

impl fmt::Display for Transport {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self.0 {
            Layer::Udp => "UDP",
            Layer::Tcp => "TCP",
        })
    }
}

fn by(owner: Option<&PortOwner>) -> String {
    owner.map_or(String::new(), |owner| format!(" by {owner}"))
}

#[cfg(test)]
mod tests {
    use std::net::UdpSocket;

    use super::*;

    #[test]
    fn a_taken_port_is_named_with_its_owner() {
        let socket = UdpSocket::bind("127.0.0.1:0").unwrap();
        let address = socket.local_addr().unwrap();
        let error = UdpSocket::bind(address).unwrap_err();
        let error = StartError::binding(Layer::Udp, address, "browsers", error).to_string();
        let process = format!("by process {} (`", std::process::id());
        assert!(
            error.starts_with(&format!("port UDP {address} is taken {process}")),
            "{error}"
        );
        assert!(error.ends_with("; it is wanted for browsers"), "{error}");
    }

    #[test]
    fn an_address_of_somebody_else_is_called_that() {
        let address: SocketAddr = "203.0.113.250:9".parse().unwrap();
        let error = UdpSocket::bind(address).unwrap_err();
        let error = StartError::binding(Layer::Udp, address, "NG commands", error).to_string();
        assert_eq!(
            error,
            "203.0.113.250 is no address of this machine; it is wanted for NG commands"
        );
    }
}

//! Listeners of the relay, bound before anything runs.

use std::io;
use std::net::{SocketAddr, TcpListener, UdpSocket};

use socket2::SockRef;
use viaduct_settings::{Layer, RelayListener, RelayScheme};

use crate::limits::ShellLimits;
use crate::start_error::StartError;
use crate::{accept, ng};

/// A listener that is bound.
#[derive(Debug)]
pub(crate) enum Listener {
    /// NG over UDP, which control reads.
    NgUdp(UdpSocket),
    /// What the service thread accepts.
    Stream(StreamListener),
}

/// A listener for connections, by what is spoken there.
#[derive(Debug)]
pub(crate) enum StreamListener {
    NgTcp(TcpListener),
    Http(TcpListener),
    Https(TcpListener),
    Cli(TcpListener),
}

impl Listener {
    /// Binds a listener. What is answered on those for NG has `tos`.
    pub(crate) fn bind(listener: &RelayListener, limits: &ShellLimits, tos: u8) -> Result<Self, StartError> {
        let RelayListener { scheme, address } = *listener;
        let purpose = match scheme {
            RelayScheme::NgUdp => "NG commands",
            RelayScheme::NgTcp => "NG commands over TCP",
            RelayScheme::Http => "HTTP",
            RelayScheme::Https => "HTTPS",
            RelayScheme::Cli => "the text interface",
        };
        let fail = |error| StartError::binding(scheme.layer(), address, purpose, error);
        match scheme.layer() {
            Layer::Udp => {
                let socket = ng::udp::bind(address, limits.ng_receive_buffer).map_err(fail)?;
                mark(&SockRef::from(&socket), address, tos).map_err(fail)?;
                Ok(Self::NgUdp(socket))
            }
            Layer::Tcp => {
                let socket = accept::bind(address).map_err(fail)?;
                // Connections have what their listener has.
                mark(&SockRef::from(&socket), address, tos).map_err(fail)?;
                Ok(Self::Stream(match scheme {
                    RelayScheme::NgTcp => StreamListener::NgTcp(socket),
                    RelayScheme::Http => StreamListener::Http(socket),
                    RelayScheme::Https => StreamListener::Https(socket),
                    RelayScheme::Cli | RelayScheme::NgUdp => StreamListener::Cli(socket),
                }))
            }
        }
    }

    /// What is spoken there, and where; the port is the real one.
    pub(crate) fn address(&self) -> io::Result<(RelayScheme, SocketAddr)> {
        let (scheme, socket) = match self {
            Self::NgUdp(socket) => return Ok((RelayScheme::NgUdp, socket.local_addr()?)),
            Self::Stream(StreamListener::NgTcp(socket)) => (RelayScheme::NgTcp, socket),
            Self::Stream(StreamListener::Http(socket)) => (RelayScheme::Http, socket),
            Self::Stream(StreamListener::Https(socket)) => (RelayScheme::Https, socket),
            Self::Stream(StreamListener::Cli(socket)) => (RelayScheme::Cli, socket),
        };
        Ok((scheme, socket.local_addr()?))
    }

    /// Those for NG over UDP, and the others.
    pub(crate) fn split(listeners: Vec<Self>) -> (Vec<UdpSocket>, Vec<StreamListener>) {
        let (mut datagrams, mut streams) = (Vec::new(), Vec::new());
        for listener in listeners {
            match listener {
                Self::NgUdp(socket) => datagrams.push(socket),
                Self::Stream(listener) => streams.push(listener),
            }
        }
        (datagrams, streams)
    }
}

/// Has everything that leaves a socket carry this DSCP and ECN byte; 0 is what the system does by itself.
fn mark(socket: &SockRef<'_>, local: SocketAddr, tos: u8) -> io::Result<()> {
    match local {
        _ if tos == 0 => Ok(()),
        SocketAddr::V4(_) => socket.set_tos_v4(tos.into()),
        SocketAddr::V6(_) => socket.set_tclass_v6(tos.into()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn answers_are_marked_as_the_operator_wants_it() {
        let limits = ShellLimits::default();
        for scheme in [RelayScheme::NgUdp, RelayScheme::NgTcp, RelayScheme::Http] {
            let at = |address: &str| RelayListener {
                scheme,
                address: address.parse().unwrap(),
            };
            for tos in [0, 184] {
                let v4 = Listener::bind(&at("127.0.0.1:0"), &limits, tos).unwrap();
                let v6 = Listener::bind(&at("[::1]:0"), &limits, tos).unwrap();
                let seen = |listener: &Listener, v4: bool| {
                    let socket = match listener {
                        Listener::NgUdp(socket) => SockRef::from(socket),
                        Listener::Stream(
                            StreamListener::NgTcp(socket)
                            | StreamListener::Http(socket)
                            | StreamListener::Https(socket)
                            | StreamListener::Cli(socket),
                        ) => SockRef::from(socket),
                    };
                    if v4 {
                        socket.tos_v4().unwrap()
                    } else {
                        socket.tclass_v6().unwrap()
                    }
                };
                assert_eq!((seen(&v4, true), seen(&v6, false)), (tos.into(), tos.into()));
            }
        }
    }
}

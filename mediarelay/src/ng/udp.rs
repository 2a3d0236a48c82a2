//! NG over UDP: one datagram, one message.

use std::io::{self, IoSlice, IoSliceMut};
use std::net::{IpAddr, SocketAddr};
use std::os::fd::AsRawFd;

use nix::libc::{in_addr, in_pktinfo, in6_pktinfo};
use nix::sys::socket::sockopt::{Ipv4PacketInfo, Ipv6RecvPacketInfo};
use nix::sys::socket::{
    ControlMessage, ControlMessageOwned, MsgFlags, SockaddrStorage, recvmsg, sendmsg, setsockopt,
};
use socket2::{Domain, Protocol, Socket, Type};
use tokio::io::Interest;
use tokio::net::UdpSocket;

use super::desk::{Desk, Taken};

/// The longest UDP payload there is, and then some.
const DATAGRAM_MAX: usize = 65_536;

/// Binds a listener with a receive buffer of so many octets. Each answer leaves from the address that its request was sent to, also if that is one of many.
pub(crate) fn bind(address: SocketAddr, receive_buffer: usize) -> io::Result<std::net::UdpSocket> {
    let socket = Socket::new(
        Domain::for_address(address),
        Type::DGRAM.nonblocking(),
        Some(Protocol::UDP),
    )?;
    match address {
        SocketAddr::V4(_) => setsockopt(&socket, Ipv4PacketInfo, &true)?,
        SocketAddr::V6(_) => {
            socket.set_only_v6(true)?;
            setsockopt(&socket, Ipv6RecvPacketInfo, &true)?;
        }
    }
    socket.set_recv_buffer_size(receive_buffer)?;
    socket.bind(&address.into())?;
    Ok(socket.into())
}

/// Answers until it is dropped.
pub(crate) async fn serve(socket: std::net::UdpSocket, desk: Desk) -> io::Result<()> {
    let socket = std::sync::Arc::new(UdpSocket::from_std(socket)?);
    let mut buffer = vec![0; DATAGRAM_MAX];
    loop {
        let arrival = match socket
            .async_io(Interest::READABLE, || receive(&socket, &mut buffer))
            .await
        {
            Ok(arrival) => arrival,
            // A network message about an answer that nobody wanted.
            Err(error) => {
                tracing::debug!("NG over UDP: {error}");
                continue;
            }
        };
        let Some(place) = desk.place() else {
            continue;
        };
        match desk.take(place, arrival.from, &buffer[..arrival.len]) {
            Taken::Ignore => {}
            Taken::Answer(answer) => reply(&socket, &arrival, &answer).await,
            Taken::Case(case) => {
                let (socket, desk) = (std::sync::Arc::clone(&socket), desk.clone());
                tokio::spawn(async move {
                    let (answer, copies) = desk.carry_out(case).await;
                    for _ in 0..copies {
                        reply(&socket, &arrival, &answer).await;
                    }
                });
            }
        }
    }
}

/// One datagram that came in.
struct Arrival {
    len: usize,
    from: SocketAddr,
    /// Which of our addresses it was sent to.
    to: Option<IpAddr>,
}

fn receive(socket: &UdpSocket, buffer: &mut [u8]) -> io::Result<Arrival> {
    let mut control = nix::cmsg_space!(in_pktinfo, in6_pktinfo);
    let mut parts = [IoSliceMut::new(buffer)];
    let flags = MsgFlags::MSG_DONTWAIT;
    let message = recvmsg::<SockaddrStorage>(socket.as_raw_fd(), &mut parts, Some(&mut control), flags)?;
    let to = message.cmsgs()?.find_map(|part| match part {
        ControlMessageOwned::Ipv4PacketInfo(info) => Some(IpAddr::from(info.ipi_addr.s_addr.to_ne_bytes())),
        ControlMessageOwned::Ipv6PacketInfo(info) => Some(IpAddr::from(info.ipi6_addr.s6_addr)),
        _ => None,
    });
    let from = message.address.as_ref().and_then(socket_addr);
    let from = from.ok_or_else(|| io::Error::other("a datagram without a sender"))?;
    Ok(Arrival {
        len: message.bytes,
        from,
        to,
    })
}

fn socket_addr(storage: &SockaddrStorage) -> Option<SocketAddr> {
    let v4 = storage.as_sockaddr_in().map(|address| SocketAddr::from(*address));
    v4.or_else(|| {
        storage
            .as_sockaddr_in6()
            .map(|address| SocketAddr::from(*address))
    })
}

/// Sends an answer. What cannot be sent is as good as lost, and the client will ask again.
async fn reply(socket: &UdpSocket, arrival: &Arrival, answer: &[u8]) {
    let send = || {
        let part = [IoSlice::new(answer)];
        let to = SockaddrStorage::from(arrival.from);
        let fd = socket.as_raw_fd();
        let flags = MsgFlags::MSG_DONTWAIT;
        let sent = match arrival.to {
            Some(IpAddr::V4(ip)) => {
                let source = in_addr {
                    s_addr: u32::from_ne_bytes(ip.octets()),
                };
                let info = in_pktinfo {
                    ipi_ifindex: 0,
                    ipi_spec_dst: source,
                    ipi_addr: in_addr { s_addr: 0 },
                };
                sendmsg(
                    fd,
                    &part,
                    &[ControlMessage::Ipv4PacketInfo(&info)],
                    flags,
                    Some(&to),
                )
            }
            Some(IpAddr::V6(ip)) => {
                let source = nix::libc::in6_addr { s6_addr: ip.octets() };
                let info = in6_pktinfo {
                    ipi6_addr: source,
                    ipi6_ifindex: 0,
                };
                sendmsg(
                    fd,
                    &part,
                    &[ControlMessage::Ipv6PacketInfo(&info)],
                    flags,
                    Some(&to),
                )
            }
            None => sendmsg(fd, &part, &[], flags, Some(&to)),
        };
        Ok(sent?)
    };
    if let Err(error) = socket.async_io(Interest::WRITABLE, send).await {
        tracing::debug!(
            octets = answer.len(),
            "NG over UDP: an answer could not be sent: {error}"
        );
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A socket on all addresses, asked at the second of two addresses of this machine.
    #[tokio::test]
    async fn an_answer_leaves_from_the_address_that_was_asked() {
        let socket = UdpSocket::from_std(bind("0.0.0.0:0".parse().unwrap(), 64 << 10).unwrap()).unwrap();
        let asked = SocketAddr::from(([127, 0, 0, 9], socket.local_addr().unwrap().port()));
        let client = UdpSocket::bind("127.0.0.1:0").await.unwrap();
        // Only what comes from there is heard.
        client.connect(asked).await.unwrap();
        client.send(b"question").await.unwrap();
        let mut buffer = [0; 64];
        let arrival = socket
            .async_io(Interest::READABLE, || receive(&socket, &mut buffer))
            .await
            .unwrap();
        assert_eq!(
            (&buffer[..arrival.len], arrival.to),
            (&b"question"[..], Some(asked.ip()))
        );
        assert_eq!(arrival.from, client.local_addr().unwrap());
        reply(&socket, &arrival, b"answer").await;
        let len = client.recv(&mut buffer).await.unwrap();
        assert_eq!(&buffer[..len], b"answer");
    }

    #[tokio::test]
    async fn the_same_over_ipv6() {
        let socket = UdpSocket::from_std(bind("[::]:0".parse().unwrap(), 64 << 10).unwrap()).unwrap();
        let client = UdpSocket::bind("[::1]:0").await.unwrap();
        client
            .connect(("::1", socket.local_addr().unwrap().port()))
            .await
            .unwrap();
        client.send(b"question").await.unwrap();
        let mut buffer = [0; 64];
        let arrival = socket
            .async_io(Interest::READABLE, || receive(&socket, &mut buffer))
            .await
            .unwrap();
        assert_eq!(arrival.to, Some("::1".parse().unwrap()));
        reply(&socket, &arrival, b"answer").await;
        assert_eq!(client.recv(&mut buffer).await.unwrap(), 6);
    }
}

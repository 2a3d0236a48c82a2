//! NG over UDP: one datagram, one message.

use std::collections::VecDeque;
use std::io::{self, IoSlice, IoSliceMut};
use std::net::{IpAddr, SocketAddr};
use std::os::fd::AsRawFd;
use std::pin::pin;
use std::sync::Arc;
use std::time::Instant;

use nix::libc::{in_addr, in_pktinfo, in6_pktinfo};
use nix::sys::socket::sockopt::{Ipv4PacketInfo, Ipv6RecvPacketInfo};
use nix::sys::socket::{
    ControlMessage, ControlMessageOwned, MsgFlags, SockaddrStorage, recvmsg, sendmsg, setsockopt,
};
use socket2::{Domain, Protocol, Socket, Type};
use tokio::io::Interest;
use tokio::net::UdpSocket;
use tokio::time::sleep_until;

use super::desk::{Desk, Taken, Waiting};

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
    let socket = Arc::new(UdpSocket::from_std(socket)?);
    let mut buffer = vec![0; DATAGRAM_MAX];
    // All have the same time, so the first is the first to be given up. There are as many as the desk has places at most.
    let mut waiting: VecDeque<Arc<Waiting>> = VecDeque::new();
    let mut alarm = pin!(sleep_until(Instant::now().into()));
    let mut is_set = false;
    loop {
        let received = tokio::select! {
            biased;
            () = &mut alarm, if is_set => {
                is_set = false;
                let now = Instant::now();
                while let Some(first) = waiting.pop_front_if(|first| first.until() <= now) {
                    desk.give_up(&first);
                }
                if let Some(first) = waiting.front() {
                    alarm.as_mut().reset(first.until().into());
                    is_set = true;
                }
                continue;
            }
            received = socket.async_io(Interest::READABLE, || receive(&socket, &mut buffer)) => received,
        };
        let arrival = match received {
            Ok(arrival) => arrival,
            // A network message about an answer that nobody wanted.
            Err(error) => {
                tracing::debug!("NG over UDP: {error}");
                continue;
            }
        };
        // Control answers in the order of the messages.
        while waiting.pop_front_if(|first| first.is_answered()).is_some() {}
        let Some(place) = desk.place() else {
            continue;
        };
        match desk.take(place, arrival.from, &buffer[..arrival.len]) {
            Taken::Ignore => {}
            Taken::Answer(answer) => {
                if let Err(error) = send(&socket, &arrival, &answer) {
                    desk.unsent(&error);
                }
            }
            Taken::Case(case) => {
                let socket = Arc::clone(&socket);
                let handed_over = desk.hand_over(case, move |answer, copies| {
                    (0..copies).try_for_each(|_| send(&socket, &arrival, answer))
                });
                waiting.extend(handed_over);
            }
        }
        if let Some(first) = waiting.front().filter(|_| !is_set) {
            alarm.as_mut().reset(first.until().into());
            is_set = true;
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

/// Sends an answer without waiting, from whatever thread has it.
fn send(socket: &UdpSocket, arrival: &Arrival, answer: &[u8]) -> io::Result<()> {
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
    sent?;
    Ok(())
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use viaduct_ng::Templates;
    use viaduct_settings::{CookieScope, MediaSettings};

    use super::*;
    use crate::cli::Cli;
    use crate::limits::RelayLimits;
    use crate::line::{Ask, Line, LineEnd};
    use crate::ng::Dialogue;
    use crate::worker::Nudge;

    const QUERY: &[u8] = b"1 d7:command5:query7:call-id1:xe";

    /// A client of a desk whose control is this test, and the desk's line and stats.
    async fn served(outstanding: usize) -> (UdpSocket, LineEnd, Line, Arc<Dialogue>) {
        let limits = RelayLimits::default();
        let (line, end) = Line::new(64, Duration::from_millis(50), Nudge::default());
        let cli = Cli::new(line.clone(), MediaSettings::default(), Vec::new());
        let templates = Templates::default();
        let dialogue = Dialogue::new(Instant::now(), CookieScope::PerSender, &limits, templates);
        let dialogue = Arc::new(dialogue);
        let desk = Desk::new(Arc::clone(&dialogue), line.clone(), cli, outstanding, 1 << 20);
        let socket = bind("127.0.0.1:0".parse().unwrap(), 64 << 10).unwrap();
        let client = UdpSocket::bind("127.0.0.1:0").await.unwrap();
        client.connect(socket.local_addr().unwrap()).await.unwrap();
        tokio::spawn(serve(socket, desk));
        (client, end, line, dialogue)
    }

    async fn hear(client: &UdpSocket) -> String {
        let mut buffer = [0; 512];
        let len = client.recv(&mut buffer).await.unwrap();
        String::from_utf8_lossy(&buffer[..len]).into_owned()
    }

    /// What control is asked next.
    async fn next(end: &LineEnd) -> Box<dyn FnOnce(viaduct_ng::Reply) + Send> {
        loop {
            match end.next() {
                Some(Ask::Ng { reply, .. }) => return reply,
                Some(Ask::Visit(_)) => panic!("nobody visits"),
                None => tokio::task::yield_now().await,
            }
        }
    }

    #[tokio::test]
    async fn control_answers_from_its_own_thread() {
        let (client, end, line, _) = served(4).await;
        client.send(QUERY).await.unwrap();
        let reply = next(&end).await;
        std::thread::spawn(move || reply(viaduct_ng::Reply::Pong))
            .join()
            .unwrap();
        assert_eq!(hear(&client).await, "1 d6:result4:ponge");
        // A repetition is answered by who took it.
        client.send(QUERY).await.unwrap();
        assert_eq!(hear(&client).await, "1 d6:result4:ponge");
        assert_eq!(line.stats().timed_out.get(), 0);
    }

    #[tokio::test]
    async fn who_waits_too_long_is_told_to_try_elsewhere_and_hears_nothing_later() {
        let (client, end, line, dialogue) = served(4).await;
        client.send(QUERY).await.unwrap();
        let late = next(&end).await;
        let told = hear(&client).await;
        assert!(told.contains("Load limit exceeded"), "{told}");
        assert_eq!(line.stats().timed_out.get(), 1);
        late(viaduct_ng::Reply::Pong);
        client.send(b"2 d7:command5:query7:call-id1:xe").await.unwrap();
        next(&end).await(viaduct_ng::Reply::Pong);
        assert_eq!(hear(&client).await, "2 d6:result4:ponge");
        assert_eq!(dialogue.stats.unsent.get(), 0);
    }

    #[tokio::test]
    async fn a_place_is_free_again_when_its_message_was_answered() {
        let (client, end, _, dialogue) = served(1).await;
        for round in 0..3 {
            client
                .send(format!("{round} d7:command5:query7:call-id1:xe").as_bytes())
                .await
                .unwrap();
            let reply = next(&end).await;
            client.send(b"more d7:command5:query7:call-id1:xe").await.unwrap();
            while dialogue.stats.overload.get() == round {
                tokio::task::yield_now().await;
            }
            reply(viaduct_ng::Reply::Pong);
            assert_eq!(hear(&client).await, format!("{round} d6:result4:ponge"));
        }
    }

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
        send(&socket, &arrival, b"answer").unwrap();
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
        send(&socket, &arrival, b"answer").unwrap();
        assert_eq!(client.recv(&mut buffer).await.unwrap(), 6);
    }
}

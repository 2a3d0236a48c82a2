//! NG over UDP: one datagram, one message.

use std::io::{self, IoSlice, IoSliceMut};
use std::net::{IpAddr, SocketAddr, UdpSocket};
use std::os::fd::{AsFd, AsRawFd, BorrowedFd};
use std::sync::Arc;
use std::time::{Duration, Instant};

use nix::libc::{in_addr, in_pktinfo, in6_pktinfo};
use nix::sys::socket::sockopt::{Ipv4PacketInfo, Ipv6RecvPacketInfo};
use nix::sys::socket::{
    ControlMessage, ControlMessageOwned, MsgFlags, SockaddrStorage, recvmsg, sendmsg, setsockopt,
};
use socket2::{Domain, Protocol, Socket, Type};
use tokio::runtime::Handle;
use viaduct_ng::{Reply, Request};

use super::desk::{Case, Desk, Taken};

/// The longest UDP payload there is, and then some.
const DATAGRAM_MAX: usize = 65_536;

/// Binds a listener with a receive buffer of so many octets. Each answer leaves from the address that its request was sent to, also if that is one of many.
pub(crate) fn bind(address: SocketAddr, receive_buffer: usize) -> io::Result<UdpSocket> {
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

/// A listener for NG over UDP. Control reads it itself, so that no other thread has to be woken for a message.
#[derive(Debug)]
pub(crate) struct NgPort {
    socket: Arc<UdpSocket>,
    desk: Desk,
    /// Where messages are carried out that take time before control has them.
    service: Handle,
    /// How long messages may come faster than they are carried out before offers are turned away.
    patience: Duration,
    buffer: Vec<u8>,
    is_readable: bool,
    /// Since when there has been something to read whenever it was looked.
    busy_since: Option<Instant>,
}

/// What a listener has.
pub(crate) enum Next {
    /// Nothing, for now.
    Nothing,
    /// A message that is not control's, or is no more.
    Done,
    /// A message that control is to carry out, and then to [`NgPort::answer`].
    Message(Box<Case>, Arrival),
}

impl NgPort {
    pub(crate) fn new(socket: UdpSocket, desk: Desk, service: Handle, patience: Duration) -> Self {
        Self {
            socket: Arc::new(socket),
            desk,
            service,
            patience,
            buffer: vec![0; DATAGRAM_MAX],
            is_readable: true,
            busy_since: None,
        }
    }

    /// Something came.
    pub(crate) fn readable(&mut self) {
        self.is_readable = true;
    }

    /// Whether there may be something to read.
    pub(crate) fn may_have_more(&self) -> bool {
        self.is_readable
    }

    /// Takes what comes next.
    pub(crate) fn next(&mut self, now: Instant) -> Next {
        if !self.is_readable {
            return Next::Nothing;
        }
        let arrival = match receive(&self.socket, &mut self.buffer) {
            Ok(arrival) => arrival,
            Err(error) if error.kind() == io::ErrorKind::WouldBlock => {
                self.is_readable = false;
                self.busy_since = None;
                return Next::Nothing;
            }
            // A network message about an answer that nobody wanted.
            Err(error) => {
                tracing::debug!("NG over UDP: {error}");
                return Next::Done;
            }
        };
        let busy_since = *self.busy_since.get_or_insert(now);
        let Some(place) = self.desk.place() else {
            return Next::Done;
        };
        let case = match self.desk.take(place, arrival.from, &self.buffer[..arrival.len]) {
            Taken::Ignore => return Next::Done,
            Taken::Answer(answer) => {
                self.send(&arrival, (&answer, 1));
                return Next::Done;
            }
            Taken::Case(case) => case,
        };
        let is_late = now.saturating_duration_since(busy_since) > self.patience;
        if is_late && matches!(case.request(), Request::Offer(_)) {
            let (answer, copies) = self.desk.turn_away(&case);
            self.send(&arrival, (&answer, copies));
            return Next::Done;
        }
        if case.takes_time() {
            let (desk, socket) = (self.desk.clone(), Arc::clone(&self.socket));
            self.service.spawn(async move {
                let (answer, copies) = desk.carry_out(case).await;
                send_all(&desk, &socket, &arrival, (&answer, copies));
            });
            return Next::Done;
        }
        Next::Message(case, arrival)
    }

    /// Says what came of a message.
    pub(crate) fn answer(&self, case: &Case, arrival: &Arrival, reply: &Reply) {
        let (answer, copies) = self.desk.finish(case, reply);
        self.send(arrival, (&answer, copies));
    }

    fn send(&self, arrival: &Arrival, answer: (&[u8], usize)) {
        send_all(&self.desk, &self.socket, arrival, answer);
    }
}

impl AsFd for NgPort {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.socket.as_fd()
    }
}

/// Sends an answer, so often.
fn send_all(desk: &Desk, socket: &UdpSocket, arrival: &Arrival, (answer, copies): (&[u8], usize)) {
    if let Err(error) = (0..copies).try_for_each(|_| send(socket, arrival, answer)) {
        desk.unsent(&error);
    }
}

/// One datagram that came in.
#[derive(Debug)]
pub(crate) struct Arrival {
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
    use viaduct_ng::Templates;
    use viaduct_settings::{CookieScope, MediaSettings};

    use super::*;
    use crate::cli::Cli;
    use crate::limits::RelayLimits;
    use crate::line::{Line, LineEnd};
    use crate::ng::Dialogue;
    use crate::worker::Nudge;

    const PATIENCE: Duration = Duration::from_secs(3);

    /// A listener whose control is this test, and a client of it.
    struct Bench {
        port: NgPort,
        client: UdpSocket,
        dialogue: Arc<Dialogue>,
        nudge: Nudge,
        _line: LineEnd,
        _runtime: tokio::runtime::Runtime,
    }

    impl Bench {
        fn new(outstanding: usize) -> Self {
            let limits = RelayLimits::default();
            let nudge = Nudge::new().unwrap();
            let (line, end) = Line::new(64, PATIENCE, nudge.clone());
            let cli = Cli::new(line.clone(), MediaSettings::default(), Vec::new());
            let templates = Templates::default();
            let dialogue = Dialogue::new(Instant::now(), CookieScope::PerSender, &limits, templates);
            let dialogue = Arc::new(dialogue);
            let desk = Desk::new(Arc::clone(&dialogue), line, cli, outstanding, 1 << 20);
            let socket = bind("127.0.0.1:0".parse().unwrap(), 64 << 10).unwrap();
            let client = UdpSocket::bind("127.0.0.1:0").unwrap();
            client.connect(socket.local_addr().unwrap()).unwrap();
            client.set_read_timeout(Some(Duration::from_secs(5))).unwrap();
            let runtime = tokio::runtime::Builder::new_multi_thread()
                .worker_threads(1)
                .enable_all()
                .build();
            let runtime = runtime.unwrap();
            Self {
                port: NgPort::new(socket, desk, runtime.handle().clone(), PATIENCE),
                client,
                dialogue,
                nudge,
                _line: end,
                _runtime: runtime,
            }
        }

        fn ask(&self, message: &str) {
            self.client.send(message.as_bytes()).unwrap();
        }

        /// What comes next, when something has come.
        fn next(&mut self, now: Instant) -> Next {
            let port = &mut self.port;
            let mut is_readable = false;
            self.nudge
                .wait_beside(Some(PATIENCE), std::slice::from_ref(port), |_| is_readable = true);
            assert!(is_readable);
            port.readable();
            port.next(now)
        }

        /// The message that comes next.
        fn message(&mut self, now: Instant) -> (Box<Case>, Arrival) {
            match self.next(now) {
                Next::Message(case, arrival) => (case, arrival),
                Next::Nothing | Next::Done => panic!("no message"),
            }
        }

        fn hear(&self) -> String {
            let mut buffer = [0; 2048];
            let len = self.client.recv(&mut buffer).unwrap();
            String::from_utf8_lossy(&buffer[..len]).into_owned()
        }
    }

    fn query(cookie: u32) -> String {
        format!("{cookie} d7:command5:query7:call-id1:xe")
    }

    #[test]
    fn a_message_is_control_s_and_its_repetition_is_answered_without_it() {
        let mut bench = Bench::new(4);
        let now = Instant::now();
        bench.ask(&query(1));
        let (case, arrival) = bench.message(now);
        assert_eq!(case.client(), IpAddr::from([127, 0, 0, 1]));
        bench.port.answer(&case, &arrival, &Reply::Pong);
        assert_eq!(bench.hear(), "1 d6:result4:ponge");
        bench.ask(&query(1));
        assert!(matches!(bench.next(now), Next::Done));
        assert_eq!(bench.hear(), "1 d6:result4:ponge");
        assert!(matches!(bench.port.next(now), Next::Nothing));
        assert!(!bench.port.may_have_more());
    }

    #[test]
    fn offers_are_turned_away_while_there_has_been_too_much_to_do_for_too_long() {
        let mut bench = Bench::new(64);
        let offer = |cookie: u32| {
            let body = format!(r#"{{"command":"offer","call-id":"{cookie}","from-tag":"f","sdp":"v=0"}}"#);
            format!("{cookie} {body}")
        };
        let began = Instant::now();
        bench.ask(&offer(1));
        bench.message(began);
        // It is never empty when it is looked at.
        let later = began + PATIENCE + Duration::from_millis(1);
        bench.ask(&offer(2));
        bench.ask(&query(3));
        assert!(matches!(bench.next(later), Next::Done));
        assert!(bench.hear().contains("Load limit exceeded"));
        // What is not a new call is carried out.
        bench.message(later);
        assert_eq!(bench.dialogue.stats.turned_away.get(), 1);
        // When all is done, new calls are welcome again.
        assert!(matches!(bench.port.next(later), Next::Nothing));
        bench.ask(&offer(4));
        bench.message(later);
        assert_eq!(bench.dialogue.stats.turned_away.get(), 1);
    }

    #[test]
    fn a_place_is_free_again_when_its_message_was_answered() {
        let mut bench = Bench::new(1);
        let now = Instant::now();
        for round in 0..3 {
            bench.ask(&query(round));
            let (case, arrival) = bench.message(now);
            bench.ask(&query(7));
            assert!(matches!(bench.next(now), Next::Done));
            assert_eq!(bench.dialogue.stats.overload.get(), u64::from(round) + 1);
            bench.port.answer(&case, &arrival, &Reply::Pong);
            assert_eq!(bench.hear(), format!("{round} d6:result4:ponge"));
        }
    }

    #[test]
    fn what_takes_time_is_answered_by_another_thread() {
        let mut bench = Bench::new(1);
        bench.ask("1 d7:command3:cli4:body4:helpe");
        assert!(matches!(bench.next(Instant::now()), Next::Done));
        let answer = bench.hear();
        assert!(answer.starts_with("1 d"), "{answer}");
    }

    /// A socket on all addresses, asked at the second of two addresses of this machine.
    #[test]
    fn an_answer_leaves_from_the_address_that_was_asked() {
        let socket = bind("0.0.0.0:0".parse().unwrap(), 64 << 10).unwrap();
        let asked = SocketAddr::from(([127, 0, 0, 9], socket.local_addr().unwrap().port()));
        let client = UdpSocket::bind("127.0.0.1:0").unwrap();
        // Only what comes from there is heard.
        client.connect(asked).unwrap();
        client.send(b"question").unwrap();
        let mut buffer = [0; 64];
        // On loopback a datagram is in the receive queue when `send` returns.
        let arrival = receive(&socket, &mut buffer).unwrap();
        assert_eq!(
            (&buffer[..arrival.len], arrival.to),
            (&b"question"[..], Some(asked.ip()))
        );
        assert_eq!(arrival.from, client.local_addr().unwrap());
        send(&socket, &arrival, b"answer").unwrap();
        let len = client.recv(&mut buffer).unwrap();
        assert_eq!(&buffer[..len], b"answer");
    }

    #[test]
    fn the_same_over_ipv6() {
        let socket = bind("[::]:0".parse().unwrap(), 64 << 10).unwrap();
        let client = UdpSocket::bind("[::1]:0").unwrap();
        client
            .connect(("::1", socket.local_addr().unwrap().port()))
            .unwrap();
        client.send(b"question").unwrap();
        let mut buffer = [0; 64];
        // On loopback a datagram is in the receive queue when `send` returns.
        let arrival = receive(&socket, &mut buffer).unwrap();
        assert_eq!(arrival.to, Some("::1".parse().unwrap()));
        send(&socket, &arrival, b"answer").unwrap();
        assert_eq!(client.recv(&mut buffer).unwrap(), 6);
    }
}

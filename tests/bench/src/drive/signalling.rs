//! The loop around phones that register and call.

use std::io::{self, IoSliceMut};
use std::net::{SocketAddr, UdpSocket};
use std::os::fd::AsRawFd;
use std::thread;
use std::time::{Duration, Instant, SystemTime};

use bytes::Bytes;
use nix::sys::socket::{ControlMessageOwned, MsgFlags, recvmsg, setsockopt, sockopt};
use nix::sys::time::TimeSpec;
use viaduct_sip::{Method, RequestBuilder};

use super::{ADDRESS, DATAGRAM_MAX, bind, received};
use crate::load::{Demand, Pacer};
use crate::sip::{Load, Outbox, PATIENCE, Side};

/// Datagrams taken from one socket before the others get their turn.
const DATAGRAMS_A_ROUND: usize = 16;

/// How often deadlines are looked at.
const DEADLINES_EVERY: Duration = Duration::from_millis(50);

/// How long a given number of operations may take.
const TIMES_MAX: Duration = Duration::from_secs(180);

/// How long an answer to a probe is waited for.
const PROBE_WAIT: Duration = Duration::from_millis(50);

/// The sockets of all phones.
#[derive(Debug)]
pub struct Signalling {
    caller: UdpSocket,
    callee: UdpSocket,
    proxy: SocketAddr,
    buffer: Vec<u8>,
}

/// What went over the phones' sockets.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Traffic {
    /// From the first operation's begin to the last one's end.
    pub elapsed: Duration,
    /// SIP messages sent and received by phones. Every one of them was received or sent by the proxy.
    pub messages: u64,
    /// Operations that were going on when the last one had begun.
    pub left: usize,
    /// How long the phones had nothing to do.
    pub idle: Duration,
}

impl Signalling {
    /// Opens them.
    ///
    /// # Errors
    /// No socket can be had.
    pub fn open(proxy: SocketAddr) -> io::Result<Self> {
        let phone = || {
            let socket = bind(0)?;
            socket.connect(proxy)?;
            setsockopt(&socket, sockopt::ReceiveTimestampns, &true)?;
            Ok::<_, io::Error>(socket)
        };
        Ok(Self {
            caller: phone()?,
            callee: phone()?,
            proxy,
            buffer: vec![0; DATAGRAM_MAX],
        })
    }

    /// Where the phones of a side are.
    ///
    /// # Errors
    /// The socket does not know.
    pub fn address(&self, side: Side) -> io::Result<SocketAddr> {
        self.socket(side).local_addr()
    }

    /// Asks the proxy whether it is there. Any answer counts.
    ///
    /// # Errors
    /// No socket can be had.
    pub fn probe(&self) -> anyhow::Result<bool> {
        let socket = UdpSocket::bind((ADDRESS, 0))?;
        socket.set_read_timeout(Some(PROBE_WAIT))?;
        socket.connect(self.proxy)?;
        let own = socket.local_addr()?;
        let options = RequestBuilder::new(Method::Options, &format!("sip:{}", self.proxy))
            .via(format!(
                "SIP/2.0/UDP {own};rport;branch=z9hG4bKprobe{}",
                own.port()
            ))
            .from("<sip:probe@bench.test>;tag=probe")
            .to(format!("<sip:{}>", self.proxy))
            .call_id(format!("probe-{}", own.port()))
            .cseq(1)
            .build()?;
        let mut answer = [0; 2_048];
        if socket.send(&options).is_ok() && socket.recv(&mut answer).is_ok() {
            return Ok(true);
        }
        // A port that nobody has opened yet refuses at once.
        thread::sleep(PROBE_WAIT);
        Ok(false)
    }

    /// Lets phones work for `duration`, and what was begun end.
    ///
    /// # Errors
    /// A socket fails: the proxy is gone.
    pub fn run(&mut self, load: &mut dyn Load, demand: Demand, duration: Duration) -> io::Result<Traffic> {
        let start = Instant::now();
        self.until_done(load, Pacer::new(demand, start), start, duration)
    }

    /// Lets phones do `times` operations, and no more. Gives up after a few minutes.
    ///
    /// # Errors
    /// A socket fails: the proxy is gone.
    pub fn run_times(&mut self, load: &mut dyn Load, demand: Demand, times: usize) -> io::Result<Traffic> {
        let start = Instant::now();
        let pacer = Pacer::new(demand, start).times(times as u64);
        self.until_done(load, pacer, start, TIMES_MAX)
    }

    fn until_done(
        &mut self,
        load: &mut dyn Load,
        mut pacer: Pacer,
        start: Instant,
        duration: Duration,
    ) -> io::Result<Traffic> {
        let (stop, end) = (
            start + duration,
            start + duration + PATIENCE + DEADLINES_EVERY * 2,
        );
        let mut out = Outbox::default();
        let (mut messages, mut messages_before) = (0, 0);
        let (mut left, mut idle, mut last) = (None, Duration::ZERO, start);
        let mut deadlines = start + DEADLINES_EVERY;
        loop {
            let now = Instant::now();
            if messages == messages_before {
                idle += now - last;
            }
            (last, messages_before) = (now, messages);
            if now < stop && !pacer.is_over() {
                for _ in 0..pacer.take_due(now, load.in_flight()) {
                    if !load.begin(Instant::now(), &mut out) {
                        load.tally().fail("no phone was idle");
                    }
                    messages += self.send(&mut out)?;
                }
            } else {
                let in_flight = load.in_flight();
                let left = *left.get_or_insert(in_flight);
                if in_flight == 0 || now > end {
                    return Ok(Traffic {
                        elapsed: now - start,
                        messages,
                        left,
                        idle,
                    });
                }
            }
            for side in [Side::Caller, Side::Callee] {
                for _ in 0..DATAGRAMS_A_ROUND {
                    let Some((arrived, datagram)) = self.receive(side)? else {
                        break;
                    };
                    messages += 1;
                    load.handle(arrived, side, datagram, &mut out);
                }
                messages += self.send(&mut out)?;
            }
            if now > deadlines {
                load.handle_timeout(now, &mut out);
                messages += self.send(&mut out)?;
                deadlines = now + DEADLINES_EVERY;
            }
        }
    }

    fn socket(&self, side: Side) -> &UdpSocket {
        match side {
            Side::Caller => &self.caller,
            Side::Callee => &self.callee,
        }
    }

    /// A datagram, and when it came to the socket: what the phones took to look is none of the proxy's time.
    fn receive(&mut self, side: Side) -> io::Result<Option<(Instant, Bytes)>> {
        let socket = self.socket(side).as_raw_fd();
        let mut control = nix::cmsg_space!(TimeSpec);
        let mut room = [IoSliceMut::new(&mut self.buffer)];
        let datagram = recvmsg::<()>(socket, &mut room, Some(&mut control), MsgFlags::empty());
        let Some(datagram) = received(datagram.map_err(io::Error::from))? else {
            return Ok(None);
        };
        let (now, wall) = (Instant::now(), SystemTime::now());
        let mut stamps = datagram.cmsgs()?.filter_map(|message| match message {
            ControlMessageOwned::ScmTimestampns(stamp) => {
                Some(SystemTime::UNIX_EPOCH + Duration::from(stamp))
            }
            _ => None,
        });
        let waited = stamps.next().and_then(|stamp| wall.duration_since(stamp).ok());
        let arrived = now - waited.unwrap_or_default();
        let len = datagram.bytes;
        Ok(Some((arrived, Bytes::copy_from_slice(&self.buffer[..len]))))
    }

    fn send(&self, out: &mut Outbox) -> io::Result<u64> {
        let mut sent = 0;
        for (side, message) in out.drain() {
            self.socket(side).send(&message)?;
            sent += 1;
        }
        Ok(sent)
    }
}

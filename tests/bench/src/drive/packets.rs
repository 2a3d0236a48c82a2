//! The loop around phones that talk.

use std::io;
use std::net::SocketAddr;
use std::ops::Range;
use std::thread;
use std::time::{Duration, Instant};

use anyhow::Context;
use mio::net::UdpSocket;
use mio::{Events, Interest, Poll, Token};
use nix::time::ClockId;
use viaduct_rtp::{Kind, classify};

use super::browser::{response, shake_hands};
use super::frames::{FrameSender, Sending};
use super::{DATAGRAM_MAX, bind, bind_at, received};
use crate::media::{Crypto, Leg, PacketTally, Rotation, packet_time};
use crate::street::{PHONES, Street};

/// How long packets that are on their way are waited for at the end.
pub const LAST_PACKETS: Duration = Duration::from_millis(100);

/// Sockets that may be told of at once.
const EVENTS: usize = 1_024;

/// How often packets that nobody hears are sent.
const TICK: Duration = Duration::from_micros(500);

/// What came of sending while nobody listened.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Unheard {
    /// Packets sent.
    pub sent: u64,
    /// Processor time that this took, with that of the interrupts in which the kernel passes packets on: veth has no other.
    pub used: Duration,
}

/// The phones of all calls, each with a socket of its own.
#[derive(Debug)]
pub struct Phones {
    poll: Poll,
    /// The two sockets of each call that is not yet set up.
    waiting: Vec<[UdpSocket; 2]>,
    calls: Vec<Call>,
    /// Packets of the first so many calls are counted.
    counted: usize,
    buffer: Vec<u8>,
}

#[derive(Debug)]
struct Call {
    sockets: [UdpSocket; 2],
    legs: [Leg; 2],
}

/// The legs of phones that send to these addresses of the relay.
fn legs(
    number: u32,
    sockets: &[UdpSocket; 2],
    relay: [SocketAddr; 2],
    crypto: [Option<Crypto>; 2],
) -> io::Result<[Leg; 2]> {
    for (socket, relay) in sockets.iter().zip(relay) {
        socket.connect(relay)?;
    }
    Ok(Leg::pair(number, Instant::now(), crypto))
}

/// Acts every [`TICK`] for so long, and sleeps in between.
fn every_tick(duration: Duration, mut act: impl FnMut(Instant) -> anyhow::Result<()>) -> anyhow::Result<()> {
    let start = Instant::now();
    for tick in 1.. {
        let now = Instant::now();
        if now > start + duration {
            break;
        }
        act(now)?;
        thread::sleep((start + tick * TICK).saturating_duration_since(Instant::now()));
    }
    Ok(())
}

impl Phones {
    /// Opens the sockets of so many calls.
    ///
    /// # Errors
    /// There are not so many to be had.
    pub fn open(calls: usize) -> io::Result<Self> {
        let sockets = || (0..calls).map(|_| bind(0)).collect::<io::Result<_>>();
        Self::of([sockets()?, sockets()?])
    }

    /// The same, each side at its end of a street.
    ///
    /// # Errors
    /// There are not so many to be had.
    pub fn open_at(street: &Street, calls: usize) -> anyhow::Result<Self> {
        let sockets = |side: usize| {
            street.at(side, || {
                let each = (0..calls).map(|_| bind_at(PHONES[side], 0));
                Ok(each.collect::<io::Result<Vec<_>>>()?)
            })
        };
        Ok(Self::of([sockets(0)?, sockets(1)?])?)
    }

    /// With these sockets of callers and callees.
    fn of([callers, callees]: [Vec<std::net::UdpSocket>; 2]) -> io::Result<Self> {
        let poll = Poll::new()?;
        let mut waiting = Vec::new();
        for (call, pair) in callers.into_iter().zip(callees).enumerate() {
            let mut sockets = <[_; 2]>::from(pair).map(UdpSocket::from_std);
            for (side, socket) in sockets.iter_mut().enumerate() {
                poll.registry()
                    .register(socket, Token(2 * call + side), Interest::READABLE)?;
            }
            waiting.push(sockets);
        }
        // The last is taken first.
        waiting.reverse();
        Ok(Self {
            poll,
            waiting,
            calls: Vec::new(),
            counted: usize::MAX,
            buffer: vec![0; DATAGRAM_MAX],
        })
    }

    /// The sockets of the next call that will be set up, or of one that was.
    fn sockets(&self, of: Option<usize>) -> anyhow::Result<&[UdpSocket; 2]> {
        match of {
            Some(call) => Ok(&self.calls.get(call).context("no such call")?.sockets),
            None => self.waiting.last().context("more calls than phones"),
        }
    }

    /// Where the two phones of the next call are, or of one that is set up.
    ///
    /// # Errors
    /// There are none.
    pub fn addresses(&self, of: Option<usize>) -> anyhow::Result<[SocketAddr; 2]> {
        let [caller, callee] = self.sockets(of)?;
        Ok([caller.local_addr()?, callee.local_addr()?])
    }

    /// Lets the caller of the next call, or of another one, shake hands with the relay that wrote this answer.
    ///
    /// # Errors
    /// There is no such call, or there are no keys in time.
    pub fn shake_hands(&self, of: Option<usize>, answer: &[u8]) -> anyhow::Result<(SocketAddr, Crypto)> {
        shake_hands(&self.sockets(of)?[0], answer)
    }

    /// The next call is set up: its phones send to these addresses of the relay.
    ///
    /// # Errors
    /// All calls are set up, or the addresses cannot be reached.
    pub fn connect(&mut self, relay: [SocketAddr; 2], crypto: [Option<Crypto>; 2]) -> anyhow::Result<()> {
        let sockets = self.waiting.pop().context("more calls than phones")?;
        let number = u32::try_from(self.calls.len())?;
        let legs = legs(number, &sockets, relay, crypto)?;
        self.calls.push(Call { sockets, legs });
        Ok(())
    }

    /// The phones of a call, which is over, have another one, number `number`.
    ///
    /// # Errors
    /// There is no such call, or the addresses cannot be reached.
    pub fn connect_again(
        &mut self,
        call: usize,
        number: u32,
        relay: [SocketAddr; 2],
        crypto: [Option<Crypto>; 2],
    ) -> anyhow::Result<()> {
        let of = self.calls.get_mut(call).context("no such call")?;
        let legs = legs(number, &of.sockets, relay, crypto)?;
        let before = std::mem::replace(&mut of.legs, legs);
        for (leg, before) in of.legs.iter_mut().zip(before) {
            leg.follow(before);
        }
        Ok(())
    }

    /// Lets all phones of all calls talk for `duration`. What was sent before does not count.
    ///
    /// # Errors
    /// A socket fails: the relay is gone.
    pub fn run(&mut self, duration: Duration) -> anyhow::Result<PacketTally> {
        self.run_beside(duration, usize::MAX, || Ok(false))
    }

    /// The same while something else is done, a little at a time, and until `beside` says that it has nothing more to do;
    /// only packets of the first so many calls are counted.
    ///
    /// # Errors
    /// The same, and those of `beside`.
    pub fn run_beside(
        &mut self,
        duration: Duration,
        counted: usize,
        beside: impl FnMut() -> anyhow::Result<bool>,
    ) -> anyhow::Result<PacketTally> {
        self.counted = counted;
        let packet_time = packet_time(self.calls.len());
        self.talk(0..self.calls.len(), packet_time, duration, beside)
    }

    /// Lets all phones of all calls talk so fast that they send so many packets a second together.
    ///
    /// # Errors
    /// A socket fails: the relay is gone.
    pub fn run_at(&mut self, per_second: f64, duration: Duration) -> anyhow::Result<PacketTally> {
        self.counted = usize::MAX;
        let packet_time = self.packet_time_at(per_second);
        self.talk(0..self.calls.len(), packet_time, duration, || Ok(false))
    }

    /// Lets the phones of these calls talk for `duration`, and all others be silent.
    ///
    /// # Errors
    /// A socket fails: the relay is gone.
    pub fn run_some(&mut self, calls: Range<usize>, duration: Duration) -> anyhow::Result<PacketTally> {
        self.run_some_beside(calls, duration, || Ok(false))
    }

    /// The same while something else is done, as in [`run_beside`](Self::run_beside).
    ///
    /// # Errors
    /// The same, and those of `beside`.
    pub fn run_some_beside(
        &mut self,
        calls: Range<usize>,
        duration: Duration,
        beside: impl FnMut() -> anyhow::Result<bool>,
    ) -> anyhow::Result<PacketTally> {
        self.counted = usize::MAX;
        let packet_time = packet_time(calls.len());
        self.talk(calls, packet_time, duration, beside)
    }

    fn talk(
        &mut self,
        calls: Range<usize>,
        packet_time: Duration,
        duration: Duration,
        mut beside: impl FnMut() -> anyhow::Result<bool>,
    ) -> anyhow::Result<PacketTally> {
        let start = Instant::now();
        let mut stop = start + duration;
        for leg in self.calls.iter_mut().flat_map(|call| &mut call.legs) {
            leg.forget_sent();
        }
        let mut rotation = Rotation::new(2 * calls.len(), packet_time, start);
        let mut events = Events::with_capacity(EVENTS);
        let mut tally = PacketTally::default();
        loop {
            let now = Instant::now();
            if beside()? {
                stop = stop.max(now + duration);
            }
            if now > stop + LAST_PACKETS {
                return Ok(tally);
            }
            while now < stop
                && let Some(stream) = rotation.take_due(now)
            {
                self.send(2 * calls.start + stream, &mut tally)?;
            }
            self.poll.poll(&mut events, Some(Duration::ZERO))?;
            for event in &events {
                self.hear(event.token().0, &mut tally)?;
            }
        }
    }

    /// Lets all phones talk for `duration` without listening, and sleep in between, so that what they use is what sending
    /// takes. For phones that hear nothing anyway.
    ///
    /// # Errors
    /// A socket fails.
    pub fn talk_unheard(&mut self, duration: Duration) -> anyhow::Result<Unheard> {
        self.counted = usize::MAX;
        let clock = ClockId::CLOCK_THREAD_CPUTIME_ID;
        let mut tally = PacketTally::default();
        let (streams, before) = (2 * self.calls.len(), Duration::from(clock.now()?));
        let mut rotation = Rotation::new(streams, packet_time(self.calls.len()), Instant::now());
        every_tick(duration, |now| {
            while let Some(stream) = rotation.take_due(now) {
                self.send(stream, &mut tally)?;
            }
            Ok(())
        })?;
        Ok(Unheard {
            sent: tally.sent,
            used: Duration::from(clock.now()?).saturating_sub(before),
        })
    }

    /// Lets all phones of a street send so many packets a second together, as frames that are put on its links: so they can send more
    /// than by their sockets. For phones that hear nothing anyway. How many were sent.
    ///
    /// # Errors
    /// Frames cannot be sent.
    pub fn flood(
        &mut self,
        (street, sending): (&Street, Sending),
        per_second: f64,
        duration: Duration,
    ) -> anyhow::Result<u64> {
        let sender = |side: usize| FrameSender::open(street, side, sending);
        let mut senders = [sender(0)?, sender(1)?];
        let mut ways = Vec::new();
        for socket in self.calls.iter().flat_map(|call| &call.sockets) {
            ways.push((socket.local_addr()?, socket.peer_addr()?));
        }
        let mut rotation = Rotation::new(ways.len(), self.packet_time_at(per_second), Instant::now());
        let mut sent = 0;
        every_tick(duration, |now| {
            while let Some(stream) = rotation.take_due(now) {
                let (call, side) = (stream / 2, stream % 2);
                if let Some(packet) = self.calls[call].legs[side].packet(now) {
                    let (from, to) = ways[stream];
                    senders[side].put(from, to, packet)?;
                    sent += 1;
                }
            }
            senders.iter_mut().try_for_each(FrameSender::flush)
        })?;
        Ok(sent)
    }

    /// How long each phone waits between packets when all send so many a second together.
    fn packet_time_at(&self, per_second: f64) -> Duration {
        let streams = 2 * self.calls.len();
        Duration::from_secs_f64(streams as f64 / per_second)
    }

    fn send(&mut self, stream: usize, tally: &mut PacketTally) -> io::Result<()> {
        let call = &mut self.calls[stream / 2];
        let side = stream % 2;
        if let Some(packet) = call.legs[side].packet(Instant::now()) {
            call.sockets[side].send(packet)?;
            tally.sent += u64::from(stream / 2 < self.counted);
        }
        Ok(())
    }

    /// Takes everything that waits at one socket.
    fn hear(&mut self, stream: usize, tally: &mut PacketTally) -> io::Result<()> {
        // A socket whose call is not set up hears nothing that matters.
        let Some(call) = self.calls.get_mut(stream / 2) else {
            return Ok(());
        };
        let [first, second] = &mut call.legs;
        let (own, other) = if stream.is_multiple_of(2) {
            (first, second)
        } else {
            (second, first)
        };
        let socket = &call.sockets[stream % 2];
        while let Some(len) = received(socket.recv(&mut self.buffer))? {
            // What browsers hear besides media: checks of the path, and the end of the handshake.
            match classify(&self.buffer[..len]) {
                Kind::Rtp => {}
                Kind::Stun => {
                    if let Some(response) = response(&self.buffer[..len], socket.peer_addr()?) {
                        socket.send(&response)?;
                    }
                    continue;
                }
                Kind::Dtls | Kind::Rtcp => continue,
                _ => {}
            }
            let heard = own.hear(Instant::now(), &mut self.buffer[..len], other);
            if stream / 2 < self.counted {
                tally.count(heard);
            }
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Phones that are connected to each other hear each other: the loop itself loses nothing.
    #[test]
    fn what_is_sent_is_heard() {
        let mut phones = Phones::open(2).unwrap();
        for _ in 0..2 {
            let [caller, callee] = phones.addresses(None).unwrap();
            phones.connect([callee, caller], [None, None]).unwrap();
        }
        assert!(phones.addresses(None).is_err());
        let tally = phones.run(Duration::from_millis(100)).unwrap();
        assert!(tally.sent >= 4, "{tally:?}");
        assert_eq!((tally.received, tally.wrong, tally.repeated), (tally.sent, 0, 0));
        assert_eq!(tally.latencies.count() as u64, tally.sent);
    }

    #[test]
    fn phones_have_one_call_after_the_other_and_some_are_silent() {
        let mut phones = Phones::open(2).unwrap();
        for _ in 0..2 {
            let [caller, callee] = phones.addresses(None).unwrap();
            phones.connect([callee, caller], [None, None]).unwrap();
        }
        let [caller, callee] = phones.addresses(Some(1)).unwrap();
        phones
            .connect_again(1, 7, [callee, caller], [None, None])
            .unwrap();
        let tally = phones.run_some(1..2, Duration::from_millis(50)).unwrap();
        assert!(tally.sent >= 2, "{tally:?}");
        assert_eq!((tally.received, tally.wrong), (tally.sent, 0));
        assert!(phones.calls[0].legs.iter().all(Leg::is_silent), "nobody has sent");
        assert!(phones.addresses(Some(2)).is_err());
    }
}

//! NG commands to a relay, one at a time.
//!
//! Answers are looked for all the time, like everything that phones wait for: a relay would pay for waking who sleeps, and in a
//! virtual machine that costs more than the command.

use std::net::{SocketAddr, UdpSocket};
use std::thread;
use std::time::{Duration, Instant};

use anyhow::{Context, bail};
use viaduct_ng::{Encoding, Limits, OkReply, Packet, Reply, Request, encode_packet};

use super::{ADDRESS, DATAGRAM_MAX, received};
use crate::sample::Latencies;

/// How long an answer is waited for.
const PATIENCE: Duration = Duration::from_secs(2);

/// How long an answer to a ping of a relay that may not be there yet is waited for.
const PROBE_WAIT: Duration = Duration::from_millis(50);

/// Commands one relay.
#[derive(Debug)]
pub struct Commander {
    socket: UdpSocket,
    commands: u64,
    limits: Limits,
    buffer: Vec<u8>,
    /// How long each command but pings took.
    pub times: Latencies,
}

impl Commander {
    /// Of the relay that listens there.
    ///
    /// # Errors
    /// No socket can be had.
    pub fn open(relay: SocketAddr) -> std::io::Result<Self> {
        let socket = UdpSocket::bind((ADDRESS, 0))?;
        socket.connect(relay)?;
        socket.set_nonblocking(true)?;
        Ok(Self {
            socket,
            commands: 0,
            limits: Limits::default(),
            buffer: vec![0; DATAGRAM_MAX],
            times: Latencies::default(),
        })
    }

    /// Whether the relay answers a ping.
    ///
    /// # Errors
    /// The socket cannot be used.
    pub fn probe(&mut self) -> anyhow::Result<bool> {
        if let Ok(Reply::Pong) = self.ask(&Request::Ping, PROBE_WAIT) {
            return Ok(true);
        }
        // A port that nobody has opened yet refuses at once.
        thread::sleep(PROBE_WAIT);
        Ok(false)
    }

    /// Gives a command that is answered with an SDP.
    ///
    /// # Errors
    /// It is refused, or not answered in time.
    pub fn sdp(&mut self, request: &Request) -> anyhow::Result<Vec<u8>> {
        let begun = Instant::now();
        let reply = self.command(request)?;
        self.times.add(begun.elapsed());
        let sdp = reply.sdp.context("an answer without an SDP")?;
        Ok(sdp.as_bytes().to_vec())
    }

    /// Gives any command.
    ///
    /// # Errors
    /// It is refused, or not answered in time.
    pub fn command(&mut self, request: &Request) -> anyhow::Result<Box<OkReply>> {
        match self.ask(request, PATIENCE)? {
            Reply::Ok(content) => Ok(content),
            other => bail!("the relay refuses: {other:?}"),
        }
    }

    /// Gives a command and does not wait for the answer, which [`poll`](Self::poll) has when it is there.
    ///
    /// # Errors
    /// The socket cannot be used.
    pub fn begin(&mut self, request: &Request) -> anyhow::Result<()> {
        self.commands += 1;
        let cookie = self.cookie();
        self.socket.send(&encode_packet(
            cookie.as_bytes(),
            Encoding::Bencode,
            &request.to_value(),
        ))?;
        Ok(())
    }

    /// The answer to the last command that was begun, if it is there.
    ///
    /// # Errors
    /// The socket cannot be used, or the answer is none.
    pub fn poll(&mut self) -> anyhow::Result<Option<Reply>> {
        let heard = received(self.socket.recv(&mut self.buffer));
        let len = heard.context("the relay does not answer")?;
        len.map_or(Ok(None), |len| self.reply(len))
    }

    fn ask(&mut self, request: &Request, patience: Duration) -> anyhow::Result<Reply> {
        let deadline = Instant::now() + patience;
        self.begin(request)?;
        while Instant::now() < deadline {
            if let Some(reply) = self.poll()? {
                return Ok(reply);
            }
        }
        bail!("the relay does not answer")
    }

    /// The reply in so many octets of the buffer. `None` when it answers a ping that was given up.
    fn reply(&self, len: usize) -> anyhow::Result<Option<Reply>> {
        let packet = Packet::split(&self.buffer[..len], &self.limits)
            .map_err(|error| anyhow::anyhow!("an answer that is none: {error}"))?;
        if packet.cookie != self.cookie().as_bytes() {
            return Ok(None);
        }
        let value = packet.encoding.decode(packet.body, &self.limits)?;
        Ok(Some(Reply::from_value(&value)?))
    }

    /// That of the last command.
    fn cookie(&self) -> String {
        format!("bench{}_{}", std::process::id(), self.commands)
    }
}

//! What our programs say about themselves in `/metrics`.

use std::io::{Read as _, Write as _};
use std::net::{SocketAddr, TcpStream};
use std::time::{Duration, Instant};

use anyhow::{Context, bail};

use crate::usage::resident;

/// How long an answer may take.
const ANSWER_MAX: Duration = Duration::from_secs(5);

/// How often the gateway is looked at while it settles.
const LOOK_AGAIN: Duration = Duration::from_millis(500);

/// It has settled when its memory is the same so many times in a row: once in a while some of what was freed goes back to
/// the system.
const LOOKS: usize = 4;

/// A change of memory that is none, as a part of all of it.
const SAME: f64 = 0.002;

/// How long it may take to settle: transactions over UDP last for 32 s (64 times T1, RFC 3261 17.2.2).
const SETTLE_MAX: Duration = Duration::from_secs(60);

/// How many of each there are.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Gauges {
    /// Transactions, server and client.
    pub transactions: u64,
    /// Registered contacts.
    pub registrations: u64,
    /// Calls, ringing and answered.
    pub calls: u64,
    /// SIP connections.
    pub connections: u64,
}

impl Gauges {
    /// Asks the gateway that serves its metrics there.
    ///
    /// # Errors
    /// It cannot be asked, or says nothing of one of them.
    pub fn read(from: SocketAddr) -> anyhow::Result<Self> {
        Self::of(&metrics(from)?).context("a gauge is missing in /metrics")
    }

    fn of(text: &str) -> Option<Self> {
        let value = |name: &str| -> Option<u64> {
            let mut lines = text.lines();
            lines.find_map(|line| line.strip_prefix(name)?.strip_prefix(' ')?.trim().parse().ok())
        };
        Some(Self {
            transactions: value("viaduct_server_transactions")? + value("viaduct_client_transactions")?,
            registrations: value("viaduct_registrations")?,
            calls: value("viaduct_calls_now")?,
            connections: value("viaduct_sip_connections")?,
        })
    }
}

/// The page `/metrics` of one of our programs.
///
/// # Errors
/// It cannot be had.
pub fn metrics(from: SocketAddr) -> anyhow::Result<String> {
    let mut socket = TcpStream::connect_timeout(&from, ANSWER_MAX).context("asking for metrics")?;
    socket.set_read_timeout(Some(ANSWER_MAX))?;
    write!(
        socket,
        "GET /metrics HTTP/1.1\r\nHost: {from}\r\nConnection: close\r\n\r\n"
    )?;
    let mut text = String::new();
    socket.read_to_string(&mut text)?;
    Ok(text)
}

/// The sum of a figure of that page over all its labels.
#[must_use]
pub fn sum(text: &str, name: &str) -> u64 {
    let values = text.lines().filter_map(|line| {
        let (_, value) = line
            .strip_prefix(name)
            .filter(|rest| rest.starts_with([' ', '{']))?
            .rsplit_once(' ')?;
        value.parse::<u64>().ok()
    });
    values.sum()
}

/// Waits until the gateway has no transactions left and its memory stands still, then says how much that is, in octets.
/// `pass` lets so much time pass.
///
/// # Errors
/// It does not come to rest, or is gone.
pub fn settled_memory(
    pid: u32,
    metrics: SocketAddr,
    mut pass: impl FnMut(Duration) -> anyhow::Result<()>,
) -> anyhow::Result<(u64, Gauges)> {
    let end = Instant::now() + SETTLE_MAX;
    let (mut last, mut same) = (0, 0);
    loop {
        let gauges = Gauges::read(metrics)?;
        let memory = resident(pid)?;
        let is_same = memory.abs_diff(last) as f64 <= memory as f64 * SAME;
        same = if gauges.transactions == 0 && is_same {
            same + 1
        } else {
            0
        };
        last = memory;
        if same >= LOOKS {
            return Ok((memory, gauges));
        }
        if Instant::now() > end {
            bail!("it does not settle: {gauges:?}, {memory} octets of memory");
        }
        pass(LOOK_AGAIN)?;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn gauges_are_read_by_their_whole_names() {
        let text = "# TYPE viaduct_registrations gauge\nviaduct_registrations_total 9\nviaduct_registrations 7\n\
                    viaduct_server_transactions 2\nviaduct_client_transactions 3\nviaduct_calls_now 4\nviaduct_sip_connections 5\n";
        let gauges = Gauges {
            transactions: 5,
            registrations: 7,
            calls: 4,
            connections: 5,
        };
        assert_eq!(Gauges::of(text), Some(gauges));
        assert_eq!(Gauges::of("viaduct_registrations 7\n"), None);
    }

    #[test]
    fn figures_of_all_threads_are_summed_up() {
        let text = "a{worker=\"0\"} 3\na{worker=\"1\"} 4\na_total 9\nb 5\n";
        assert_eq!((sum(text, "a"), sum(text, "b"), sum(text, "c")), (7, 5, 0));
    }
}

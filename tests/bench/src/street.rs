//! Phones on links of their own: a network namespace for callers and one for callees, and between them ours, where relays
//! run.
//!
//! Packets pass real interfaces (veth) on both sides of a relay. Either side of it can be made deaf: what is sent there is thrown
//! away at the first look, after the driver and before routes, filters and sockets. What a relay costs in interrupts is the
//! difference that this makes. A program at the interfaces of phones does it there; what is sent to the relay, whose interfaces have
//! programs of its own, goes to a hardware address that nobody has.

use std::fs::{self, File};
use std::net::Ipv4Addr;
use std::os::fd::AsRawFd;
use std::path::PathBuf;
use std::process::Command;
use std::sync::atomic::{AtomicU32, Ordering};

use anyhow::{Context, ensure};
use nix::sched::{CloneFlags, setns, unshare};

/// Where the network namespace of a thread is.
const OWN: &str = "/proc/thread-self/ns/net";

/// The address that the relay has on both links; an interface has it on the callers'.
pub const RELAY: Ipv4Addr = Ipv4Addr::new(10, 1, 0, 1);

/// The relay's interfaces, towards callers and callees.
pub const INTERFACES: [&str; 2] = ["r1", "r2"];

/// Where callers and callees are.
pub const PHONES: [Ipv4Addr; 2] = [Ipv4Addr::new(10, 1, 0, 2), Ipv4Addr::new(10, 2, 0, 2)];

/// Callers and callees.
pub const SIDES: [usize; 2] = [0, 1];

/// The program that throws away all that comes in.
static DEAF: &[u8] = include_bytes!("../../../kmod-helper/ebpf/deaf.o");

/// Streets that this process has made.
static STREETS: AtomicU32 = AtomicU32::new(0);

/// The hardware address that nobody has.
const NOBODY: &str = "02:00:00:00:00:00";

/// Whose packets nobody hears.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Deaf {
    /// The relay's: phones hear nothing.
    Phones,
    /// The phones': the relay hears nothing.
    Relay,
}

/// See the module. There is one at a time in a network namespace.
#[derive(Debug)]
pub struct Street {
    own: File,
    sides: [File; 2],
    /// Where [`DEAF`] is.
    deaf: PathBuf,
}

impl Street {
    /// Makes the namespaces and their links.
    ///
    /// # Errors
    /// This process may not, or there is no `ip`.
    pub fn new() -> anyhow::Result<Self> {
        let own = File::open(OWN).context("finding the network namespace")?;
        let street = Self {
            sides: [namespace()?, namespace()?],
            deaf: std::env::temp_dir().join(format!(
                "viaduct-deaf-{}-{}.o",
                std::process::id(),
                STREETS.fetch_add(1, Ordering::Relaxed)
            )),
            own,
        };
        fs::write(&street.deaf, DEAF)?;
        setns(&street.own, CloneFlags::CLONE_NEWNET)?;
        for side in SIDES {
            let (net, [relay, phone]) = (side + 1, macs_in_text(side));
            let place = format!(
                "/proc/{}/fd/{}",
                std::process::id(),
                street.sides[side].as_raw_fd()
            );
            ip(&format!(
                "link add r{net} address {relay} type veth peer name p{net} address {phone} netns {place}"
            ))?;
            up(&format!("r{net}"), &format!("10.{net}.0.1"))?;
            street.at(side, || {
                up(&format!("p{net}"), &PHONES[side].to_string())?;
                ip(&format!("route add default via 10.{net}.0.1"))?;
                run("tc", &format!("qdisc add dev p{net} clsact"))
            })?;
            neighbour(&PHONES[side].to_string(), &phone, &format!("r{net}"))?;
        }
        street.set_deaf(Deaf::Relay, false)?;
        Ok(street)
    }

    /// Does something as the phones of a side: 0 those of callers, 1 those of callees.
    ///
    /// # Errors
    /// Those of `act`, and if the namespaces cannot be changed.
    pub fn at<T>(&self, side: usize, act: impl FnOnce() -> anyhow::Result<T>) -> anyhow::Result<T> {
        setns(&self.sides[side], CloneFlags::CLONE_NEWNET)?;
        let done = act();
        setns(&self.own, CloneFlags::CLONE_NEWNET)?;
        done
    }

    /// Makes everybody deaf on one side of the relay, or hearing again.
    ///
    /// # Errors
    /// The kernel refuses.
    pub fn set_deaf(&self, whom: Deaf, is_deaf: bool) -> anyhow::Result<()> {
        for side in SIDES {
            let net = side + 1;
            self.at(side, || match whom {
                Deaf::Phones if is_deaf => {
                    let program = self.deaf.display();
                    let filter = format!("bpf da obj {program} sec classifier");
                    run("tc", &format!("filter add dev p{net} ingress {filter}"))
                }
                Deaf::Phones => run("tc", &format!("filter del dev p{net} ingress")),
                Deaf::Relay => {
                    let [relay, _] = macs_in_text(side);
                    let at = if is_deaf { NOBODY } else { &relay };
                    neighbour(&format!("10.{net}.0.1"), at, &format!("p{net}"))
                }
            })?;
        }
        Ok(())
    }

    /// Packets that came to the links of phones, heard or not.
    ///
    /// # Errors
    /// The kernel does not tell.
    pub fn arrived(&self) -> anyhow::Result<u64> {
        let mut sum = 0;
        for side in SIDES {
            let interface = phones_interface(side);
            sum += self.at(side, || {
                let table = fs::read_to_string("/proc/thread-self/net/dev")?;
                received_of(&table, &interface)
                    .with_context(|| format!("no {interface} in the list of interfaces"))
            })?;
        }
        Ok(sum)
    }
}

#[cfg(test)]
impl Street {
    /// One in a network namespace of its own, which the thread of the test enters. `None`, and a line that says why the test is
    /// skipped, where that cannot be.
    pub(crate) fn of_a_test() -> Option<Self> {
        let street = unshare(CloneFlags::CLONE_NEWNET)
            .context("making a network namespace")
            .and_then(|()| Self::new());
        street
            .inspect_err(|error| {
                println!("skipped: this process may not make network namespaces: {error:#}");
            })
            .ok()
    }
}

impl Drop for Street {
    /// The kernel removes what a namespace had some time after the namespace; the next street has the same names.
    fn drop(&mut self) {
        for side in SIDES {
            // What cannot be removed is found by the next one.
            let _ = ip(&format!("link del r{}", side + 1));
        }
        let _ = fs::remove_file(&self.deaf);
    }
}

/// The interface of the phones of a side, in their network namespace.
#[must_use]
pub fn phones_interface(side: usize) -> String {
    format!("p{}", side + 1)
}

/// A new network namespace, entered.
fn namespace() -> anyhow::Result<File> {
    unshare(CloneFlags::CLONE_NEWNET).context("making a network namespace")?;
    ip("link set lo up")?;
    Ok(File::open(OWN)?)
}

/// The hardware addresses of a link: the relay's and the phones'.
#[must_use]
pub fn macs(side: usize) -> [[u8; 6]; 2] {
    [1, 2].map(|end| [2, 0, 0, 0, side as u8 + 1, end])
}

/// The same in text.
fn macs_in_text(side: usize) -> [String; 2] {
    macs(side).map(|octets| octets.map(|octet| format!("{octet:02x}")).join(":"))
}

fn up(interface: &str, address: &str) -> anyhow::Result<()> {
    // Only what phones send is to be counted. Without IPv6 there is nothing to switch off.
    let _ = fs::write(format!("/proc/sys/net/ipv6/conf/{interface}/disable_ipv6"), "1");
    ip(&format!("addr add {address}/24 dev {interface}"))?;
    ip(&format!("link set {interface} up"))
}

fn neighbour(address: &str, mac: &str, interface: &str) -> anyhow::Result<()> {
    ip(&format!(
        "neigh replace {address} lladdr {mac} dev {interface} nud permanent"
    ))
}

fn ip(words: &str) -> anyhow::Result<()> {
    run("ip", words)
}

fn run(program: &str, words: &str) -> anyhow::Result<()> {
    let output = Command::new(program)
        .args(words.split_whitespace())
        .output()
        .with_context(|| format!("running {program}"))?;
    let said = String::from_utf8_lossy(&output.stderr);
    ensure!(output.status.success(), "{program} {words}: {}", said.trim());
    Ok(())
}

/// The second column of `/proc/net/dev`: packets received.
fn received_of(table: &str, interface: &str) -> Option<u64> {
    let mut lines = table.lines();
    lines.find_map(|line| {
        let counts = line.trim_start().strip_prefix(interface)?.strip_prefix(':')?;
        counts.split_ascii_whitespace().nth(1)?.parse().ok()
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::net::UdpSocket;

    #[test]
    fn packets_are_counted_by_the_name_of_their_interface() {
        let table = "Inter-|   Receive            |  Transmit\n face |bytes    packets errs drop\n\
                     \x20   lo:     200       2    0    0\n   p1: 1000 10 0 0\n  p12: 5000 50 0 0\n";
        assert_eq!(received_of(table, "p1"), Some(10));
        assert_eq!(received_of(table, "p12"), Some(50));
        assert_eq!(received_of(table, "p"), None);
    }

    #[test]
    fn who_is_deaf_hears_nothing_and_its_packets_are_counted_all_the_same() {
        let Some(street) = Street::of_a_test() else { return };
        let bind = |address| Ok(UdpSocket::bind((address, 4_000))?);
        let relay = bind(RELAY).unwrap();
        let phones = [0, 1].map(|side| street.at(side, || bind(PHONES[side])).unwrap());
        let mut buffer = [0; 16];
        for phone in &phones {
            phone.send_to(b"hello", (RELAY, 4_000)).unwrap();
            let (len, from) = relay.recv_from(&mut buffer).unwrap();
            relay.send_to(&buffer[..len], from).unwrap();
            assert_eq!(phone.recv(&mut buffer).unwrap(), 5);
            phone.set_nonblocking(true).unwrap();
        }
        relay.set_nonblocking(true).unwrap();
        assert_eq!(street.arrived().unwrap(), 2);

        // What is sent over veth has arrived, or not, when the call that sends it returns.
        street.set_deaf(Deaf::Relay, true).unwrap();
        phones[1].send_to(b"hello", (RELAY, 4_000)).unwrap();
        assert!(relay.recv(&mut buffer).is_err());
        street.set_deaf(Deaf::Relay, false).unwrap();
        street.set_deaf(Deaf::Phones, true).unwrap();
        let call = || {
            for phone in PHONES {
                relay.send_to(b"hello", (phone, 4_000)).unwrap();
            }
        };
        call();
        assert!(phones.iter().all(|phone| phone.recv(&mut buffer).is_err()));
        assert_eq!(street.arrived().unwrap(), 4);
        street.set_deaf(Deaf::Phones, false).unwrap();
        call();
        assert!(phones.iter().all(|phone| phone.recv(&mut buffer).is_ok()));
    }
}

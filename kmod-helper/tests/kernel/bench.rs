//! Namespaces, interfaces and frames for a test.

use std::fs::File;
use std::io::ErrorKind;
use std::net::{IpAddr, SocketAddr, UdpSocket};
use std::os::fd::{AsRawFd, OwnedFd};
use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::{Duration, Instant};

use aya::programs::{SchedClassifier, TcAttachType};
use nix::mount::{MntFlags, MsFlags, mount, umount2};
use nix::sched::{CloneFlags, setns, unshare};
use nix::sys::socket::{
    AddressFamily, MsgFlags, SockFlag, SockProtocol, SockType, recv, setsockopt, socket, sockopt,
};
use nix::sys::time::TimeVal;
use viaduct_kmod_helper::{Config, Fast, Flow, FrameCount, FramesAt, Key, Mac, Refused, Steering};

/// How long a frame that must come may take on a machine that is busy with everything else.
pub(crate) const PATIENCE: Duration = Duration::from_secs(5);
/// Everything that a phone sends.
pub(crate) const ANY_PAYLOAD_TYPE: u128 = u128::MAX;

/// Alice and Bob, and the relay's ports towards them, over IPv4 and over IPv6.
pub(crate) const ALICE: [&str; 2] = ["10.1.0.2:4000", "[fd01::2]:4000"];
pub(crate) const TO_ALICE: [&str; 2] = ["10.1.0.1:30000", "[fd01::1]:30000"];
pub(crate) const BOB: [&str; 2] = ["10.2.0.2:5000", "[fd02::2]:5000"];
pub(crate) const TO_BOB: [&str; 2] = ["10.2.0.1:30002", "[fd02::1]:30002"];
/// IPv4 or IPv6 on Alice's side and on Bob's.
pub(crate) const FAMILIES: [(usize, usize); 4] = [(0, 0), (0, 1), (1, 0), (1, 1)];

/// A network namespace.
pub(crate) struct Namespace(File);

impl Namespace {
    /// Makes one and enters it, its loopback interface up.
    pub(crate) fn new() -> Option<Self> {
        unshare(CloneFlags::CLONE_NEWNET).ok()?;
        let namespace = Self(File::open("/proc/thread-self/ns/net").ok()?);
        ip("link set lo up");
        Some(namespace)
    }

    pub(crate) fn enter(&self) {
        setns(&self.0, CloneFlags::CLONE_NEWNET).unwrap();
    }

    /// For `ip link set … netns`.
    pub(crate) fn path(&self) -> String {
        format!("/proc/{}/fd/{}", std::process::id(), self.0.as_raw_fd())
    }
}

/// A BPF file system that goes with the test, however it ends: nobody but its thread, and what that starts, has it mounted.
pub(crate) struct Bpffs(PathBuf);

impl Bpffs {
    pub(crate) fn new() -> Option<Self> {
        static COUNT: AtomicU32 = AtomicU32::new(0);
        unshare(CloneFlags::CLONE_NEWNS).ok()?;
        let private = MsFlags::MS_REC | MsFlags::MS_PRIVATE;
        mount(None::<&str>, "/", None::<&str>, private, None::<&str>).ok()?;
        let number = COUNT.fetch_add(1, Ordering::Relaxed);
        let name = format!("viaduct-bpffs-{}-{number}", std::process::id());
        let path = std::env::temp_dir().join(name);
        std::fs::create_dir(&path).ok()?;
        let mounted = mount(Some("bpf"), &path, Some("bpf"), MsFlags::empty(), None::<&str>);
        if mounted.is_err() {
            let _ = std::fs::remove_dir(&path);
            return None;
        }
        Some(Self(path))
    }

    pub(crate) fn path(&self) -> &Path {
        &self.0
    }
}

#[test]
fn what_a_test_mounts_is_its_own() {
    let Some(bpffs) = Bpffs::new() else {
        println!("skipped: this process may not mount a BPF file system");
        return;
    };
    let path = bpffs.path().to_str().unwrap();
    // Those of the process's first thread, in which no test runs.
    let mounts = std::fs::read_to_string("/proc/self/mounts").unwrap();
    assert!(!mounts.contains(path), "{mounts}");
    let mounts = std::fs::read_to_string("/proc/thread-self/mounts").unwrap();
    assert!(mounts.contains(path), "{mounts}");
}

impl Drop for Bpffs {
    fn drop(&mut self) {
        // Who has a file open there, as a command does that is just being started, keeps it for so long.
        let _ = umount2(&self.0, MntFlags::MNT_DETACH);
        let _ = std::fs::remove_dir(&self.0);
    }
}

/// Where a relay and its program are: a namespace, entered, and a BPF file system.
pub(crate) struct Host {
    pub(crate) namespace: Namespace,
    pub(crate) bpffs: Bpffs,
}

impl Host {
    /// `None`, and a line that says why the test is skipped, where this process may not do that.
    pub(crate) fn new() -> Option<Self> {
        let bpffs = Bpffs::new();
        let namespace = Namespace::new();
        let (Some(bpffs), Some(namespace)) = (bpffs, namespace) else {
            println!("skipped: this process may not make network namespaces or mount a BPF file system");
            return None;
        };
        let host = Self { namespace, bpffs };
        match Fast::open(Instant::now(), &host.config()) {
            Ok(_) => Some(host),
            Err(refused @ (Refused::Capability(_) | Refused::NoBpffs(_))) => {
                println!("skipped: {refused}");
                None
            }
            Err(refused) => panic!("{refused}"),
        }
    }

    pub(crate) fn config(&self) -> Config {
        Config {
            bpffs: self.bpffs.path().to_owned(),
            ..Config::default()
        }
    }

    /// The kernel path, alive.
    pub(crate) fn open(&self) -> Fast {
        let mut fast = Fast::open(Instant::now(), &self.config()).unwrap();
        fast.heartbeat(Instant::now()).unwrap();
        fast
    }
}

/// Runs `ip` with these words, in the namespace of this thread.
pub(crate) fn ip(words: &str) {
    run("ip", words);
}

/// Runs `ethtool` with these words, in the namespace of this thread.
pub(crate) fn ethtool(words: &str) {
    run("ethtool", words);
}

/// Runs `tc` with these words, in the namespace of this thread.
pub(crate) fn tc(words: &str) {
    run("tc", words);
}

fn run(program: &str, words: &str) {
    let output = Command::new(program)
        .args(words.split_whitespace())
        .output()
        .unwrap();
    let error = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "{program} {words}: {error}");
}

/// Whether `ip` does it: some kernels lack what a test would like to have.
pub(crate) fn try_ip(words: &str) -> bool {
    let output = Command::new("ip").args(words.split_whitespace()).output();
    output.unwrap().status.success()
}

/// A flow from addresses in text.
pub(crate) fn flow(peer: &str, local: &str, source: &str, destination: &str) -> Flow {
    let [peer, local, source, destination] =
        [peer, local, source, destination].map(|text| text.parse::<SocketAddr>().unwrap());
    Flow {
        key: Key { local, peer },
        source,
        destination,
        tos: 0xb8,
        rtcp: false,
        payload_types: ANY_PAYLOAD_TYPE,
        tag: 7,
    }
}

/// What Alice sends to Bob.
pub(crate) fn call_flow((alice, bob): (usize, usize)) -> Flow {
    flow(ALICE[alice], TO_ALICE[alice], TO_BOB[bob], BOB[bob])
}

/// The packet of RTP with this sequence number, of PCMA, with a payload that no two packets share.
pub(crate) fn rtp(sequence: u16, payload_len: usize) -> Vec<u8> {
    let mut packet = vec![0x80, 8];
    packet.extend(sequence.to_be_bytes());
    packet.extend((u32::from(sequence) * 160).to_be_bytes());
    packet.extend([0xca, 0xfe, 0xba, 0xbe]);
    packet.extend((0..payload_len).map(|at| (at as u8).wrapping_mul(7) ^ sequence as u8));
    packet
}

/// A frame with a datagram, checksums right, to the zero address.
pub(crate) fn frame(from: SocketAddr, to: SocketAddr, payload: &[u8]) -> Vec<u8> {
    frame_between([[2, 0, 0, 0, 0, 9], [0; 6]], [from, to], payload)
}

/// The same from one hardware address to another.
pub(crate) fn frame_between(macs: [Mac; 2], [from, to]: [SocketAddr; 2], payload: &[u8]) -> Vec<u8> {
    let builder = etherparse::PacketBuilder::ethernet2(macs[0], macs[1]);
    let builder = match (from.ip(), to.ip()) {
        (IpAddr::V4(from), IpAddr::V4(to)) => builder.ipv4(from.octets(), to.octets(), 64),
        (IpAddr::V6(from), IpAddr::V6(to)) => builder.ipv6(from.octets(), to.octets(), 64),
        _ => panic!("a packet has one family"),
    };
    let mut frame = Vec::new();
    builder
        .udp(from.port(), to.port())
        .write(&mut frame, payload)
        .unwrap();
    frame
}

/// What a sender writes who leaves the sum of a datagram of this length to hardware: that of the addresses (RFC 768, and RFC 8200
/// section 8.1).
pub(crate) fn pseudo_header(from: IpAddr, to: IpAddr, len: u16) -> u16 {
    let octets = |ip: IpAddr| match ip {
        IpAddr::V4(ip) => ip.octets().to_vec(),
        IpAddr::V6(ip) => ip.octets().to_vec(),
    };
    let addresses = [octets(from), octets(to)].concat();
    let words = addresses
        .chunks(2)
        .map(|pair| u32::from(u16::from_be_bytes([pair[0], pair[1]])));
    let mut sum = words.sum::<u32>() + 17 + u32::from(len);
    while sum > 0xffff {
        sum = (sum & 0xffff) + (sum >> 16);
    }
    sum as u16
}

/// Two phones and a relay between them, which has an interface towards each.
pub(crate) struct Street {
    pub(crate) host: Host,
    pub(crate) alice: Namespace,
    pub(crate) bob: Namespace,
}

impl Street {
    /// The relay is 10.1.0.1 and fd01::1 towards Alice, who is 2 there, and 10.2.0.1 and fd02::1 towards Bob. Leaves the
    /// thread in the relay's namespace.
    pub(crate) fn new(mtu: u32) -> Option<Self> {
        let alice = Namespace::new();
        let bob = Namespace::new();
        let host = Host::new()?;
        let street = Self {
            host,
            alice: alice?,
            bob: bob?,
        };
        for (net, phone) in [(1, &street.alice), (2, &street.bob)] {
            let path = phone.path();
            ip(&format!(
                "link add r{net} mtu {mtu} type veth peer name p{net} mtu {mtu} netns {path}"
            ));
            configure(net, 1, &format!("r{net}"));
            phone.enter();
            configure(net, 2, &format!("p{net}"));
            ip(&format!("route add default via 10.{net}.0.1"));
            ip(&format!("-6 route add default via fd0{net}::1"));
            street.host.namespace.enter();
        }
        Some(street)
    }

    /// A socket of a phone or of the relay.
    pub(crate) fn socket(&self, at: &Namespace, address: &str) -> UdpSocket {
        at.enter();
        // Another test that begins a program holds all descriptors for a moment, those that were closed among them.
        let deadline = Instant::now() + PATIENCE;
        let socket = loop {
            match UdpSocket::bind(address) {
                Err(error) if error.kind() == ErrorKind::AddrInUse && Instant::now() < deadline => {
                    std::thread::yield_now();
                }
                bound => break bound.unwrap(),
            }
        };
        socket.set_read_timeout(Some(PATIENCE)).unwrap();
        self.host.namespace.enter();
        socket
    }

    /// What comes to the interfaces of a phone, frame by frame.
    pub(crate) fn tap(&self, at: &Namespace) -> Tap {
        at.enter();
        let kinds = (AddressFamily::Packet, SockType::Raw, SockFlag::SOCK_CLOEXEC);
        let tap = socket(kinds.0, kinds.1, kinds.2, SockProtocol::EthAll).unwrap();
        let patience = TimeVal::new(PATIENCE.as_secs() as i64, 0);
        setsockopt(&tap, sockopt::ReceiveTimeout, &patience).unwrap();
        self.host.namespace.enter();
        Tap(tap)
    }
}

/// Gives an interface its addresses, which are used at once.
pub(crate) fn configure(net: u32, host: u32, interface: &str) {
    ip(&format!("addr add 10.{net}.0.{host}/24 dev {interface}"));
    ip(&format!("addr add fd0{net}::{host}/64 dev {interface} nodad"));
    ip(&format!("link set {interface} up"));
}

/// Lets an interface hand its frames to workers. `None`, and a line that says why the test is skipped, where it cannot.
///
/// What had the interface before may be held a moment longer, by another test that begins a program, or that reads what the kernel
/// tells of all descriptors here.
pub(crate) fn hand_on(
    steering: &mut Steering,
    interface: &str,
    workers: usize,
    count: FrameCount,
) -> Option<Vec<Vec<FramesAt>>> {
    let deadline = Instant::now() + PATIENCE;
    loop {
        let refused = match steering.hand_on(interface, workers, count) {
            Ok(of_workers) => return Some(of_workers),
            Err(refused) => refused.to_string(),
        };
        let is_busy = refused.contains("(os error 16)");
        if !is_busy {
            println!("skipped: {refused}");
            return None;
        }
        assert!(Instant::now() < deadline, "{refused}");
        std::thread::yield_now();
    }
}

/// Programs at an interface.
pub(crate) fn attached(interface: &str, at: TcAttachType) -> usize {
    let (_, programs) = SchedClassifier::query_tcx(interface, at).unwrap();
    programs.len()
}

/// Waits until so many programs are attached: the kernel detaches one a little after its last pin is gone, and another test that
/// begins a program holds what was closed for a moment.
pub(crate) fn comes_to(interface: &str, at: TcAttachType, count: usize) -> bool {
    let deadline = Instant::now() + PATIENCE;
    while attached(interface, at) != count {
        if Instant::now() > deadline {
            return false;
        }
        std::thread::yield_now();
    }
    true
}

/// A copy of every frame.
pub(crate) struct Tap(OwnedFd);

impl Tap {
    /// The next frame with UDP to this port.
    pub(crate) fn next_to(&self, port: u16) -> Vec<u8> {
        let deadline = Instant::now() + PATIENCE;
        while Instant::now() < deadline {
            let mut frame = vec![0; 70_000];
            let len = recv(self.0.as_raw_fd(), &mut frame, MsgFlags::empty()).unwrap();
            frame.truncate(len);
            let parsed = etherparse::SlicedPacket::from_ethernet(&frame);
            let transport = parsed.ok().and_then(|packet| packet.transport);
            if let Some(etherparse::TransportSlice::Udp(udp)) = transport
                && udp.destination_port() == port
            {
                return frame;
            }
        }
        panic!("no frame to port {port}");
    }
}

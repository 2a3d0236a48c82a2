//! What the tests are made of.

pub(crate) mod bystanders;
pub(crate) mod conversation;
pub(crate) mod dns;
pub(crate) mod echo_call;
pub(crate) mod gateway;
pub(crate) mod http;
pub(crate) mod media;
pub(crate) mod phone;
pub(crate) mod program;
pub(crate) mod server;
pub(crate) mod service;
pub(crate) mod socket;
#[path = "../../../mediarelay/tests/relay/support/undisturbed.rs"]
pub(crate) mod undisturbed;
pub(crate) mod websocket;
pub(crate) mod wire;

use std::fmt::Debug;
use std::net::{IpAddr, Ipv4Addr, TcpListener, UdpSocket};
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicU16, AtomicU32, Ordering};
use std::time::{Duration, Instant};

/// How long anything may take before a test fails: long, for machines that are slow and busy.
pub(crate) const PATIENCE: Duration = Duration::from_secs(20);

/// An address of this machine that nobody else uses.
pub(crate) fn own_address() -> IpAddr {
    /// Blocks of 254 addresses that one process may use.
    const BLOCKS: u32 = 4;
    static NEXT: AtomicU32 = AtomicU32::new(0);
    let number = NEXT.fetch_add(1, Ordering::Relaxed);
    let (block, last) = (number / 254, number % 254 + 1);
    assert!(block < BLOCKS, "more than {} addresses", BLOCKS * 254);
    // Other test processes have other numbers; 127.0.x.x is left to everybody.
    let block = (std::process::id() * BLOCKS + block) % (254 << 8);
    let [.., second, third] = block.to_be_bytes();
    Ipv4Addr::new(127, second + 1, third, last as u8).into()
}

/// One of the many addresses of this machine that belong to nobody. A crowd of strangers comes from here.
pub(crate) fn strange_address(number: u16) -> IpAddr {
    let [high, low] = number.to_be_bytes();
    Ipv4Addr::new(127, 255, high, low.max(1)).into()
}

/// A port of an address of our own that is free for UDP and TCP, below those that the system gives by itself.
pub(crate) fn free_port(address: IpAddr) -> u16 {
    static NEXT: AtomicU16 = AtomicU16::new(20_000);
    loop {
        let port = NEXT.fetch_add(1, Ordering::Relaxed);
        assert!(port < 30_000, "no port is free");
        let local = (address, port);
        if let (Ok(_), Ok(_)) = (UdpSocket::bind(local), TcpListener::bind(local)) {
            return port;
        }
    }
}

/// Waits for a fact: looks until there is one. An error is what was seen instead.
pub(crate) fn wait_for<T, E: Debug>(what: &str, mut look: impl FnMut() -> Result<T, E>) -> T {
    let deadline = Instant::now() + PATIENCE;
    loop {
        match look() {
            Ok(fact) => return fact,
            Err(seen) => assert!(Instant::now() < deadline, "{what}: in vain, there is {seen:?}"),
        }
        // Whoever makes it so needs the processor more.
        std::thread::park_timeout(Duration::from_millis(5));
    }
}

/// A folder that goes when it is dropped.
pub(crate) struct Folder(PathBuf);

impl Folder {
    pub(crate) fn new() -> Self {
        static NEXT: AtomicU32 = AtomicU32::new(0);
        let number = NEXT.fetch_add(1, Ordering::Relaxed);
        let path = std::env::temp_dir().join(format!("viaduct-wire-{}-{number}", std::process::id()));
        std::fs::create_dir(&path).unwrap();
        Self(path)
    }

    pub(crate) fn path(&self) -> &Path {
        &self.0
    }

    /// Writes a file, and the folders above it.
    pub(crate) fn write(&self, name: &str, text: &str) -> PathBuf {
        let path = self.0.join(name);
        std::fs::create_dir_all(path.parent().unwrap()).unwrap();
        std::fs::write(&path, text).unwrap();
        path
    }
}

impl Drop for Folder {
    fn drop(&mut self) {
        // What cannot be removed is left to the system's own sweep.
        let _ = std::fs::remove_dir_all(&self.0);
    }
}

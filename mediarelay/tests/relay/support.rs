//! What the tests are made of.

pub(crate) mod browser;
pub(crate) mod call;
pub(crate) mod ng;
pub(crate) mod phone;
pub(crate) mod program;
pub(crate) mod secrets;
pub(crate) mod tcp;
pub(crate) mod undisturbed;

use std::net::{IpAddr, Ipv4Addr, TcpListener, UdpSocket};
use std::sync::atomic::{AtomicU8, AtomicU16, Ordering};
use std::time::{Duration, Instant};

use viaduct_mediarelay::{OnFailure, RelayConfig, RelayHandle, Snapshot};
use viaduct_settings::{Bind, Interface, InterfaceAddress, KernelMode, MediaSettings, PublicIp};

/// How long anything may take before a test fails: long, for machines that are slow and busy.
pub(crate) const PATIENCE: Duration = Duration::from_secs(30);

/// An address of this machine that nobody else uses.
pub(crate) fn own_address() -> IpAddr {
    static NEXT: AtomicU8 = AtomicU8::new(1);
    let number = NEXT.fetch_add(1, Ordering::Relaxed);
    assert_ne!(number, 0, "more than 255 addresses");
    // Other test processes have other numbers; 127.0.x.x is left to everybody.
    let [.., second, third] = (std::process::id() % (254 << 8)).to_be_bytes();
    Ipv4Addr::new(127, second + 1, third, number).into()
}

/// A port of an address of our own that is free for UDP and TCP, and none that media or the system would take.
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

/// Waits for a fact: looks until there is one.
pub(crate) fn wait_for<T>(what: &str, mut look: impl FnMut() -> Option<T>) -> T {
    let deadline = Instant::now() + PATIENCE;
    loop {
        if let Some(fact) = look() {
            return fact;
        }
        assert!(Instant::now() < deadline, "in vain: {what}");
        // Whoever makes it so needs the processor more.
        std::thread::park_timeout(Duration::from_millis(2));
    }
}

/// Settings of a relay at one address, with two workers and a browsers' port. Calls are deleted at once, and ports do
/// not rest.
pub(crate) fn settings(address: IpAddr) -> MediaSettings {
    let addresses = vec![InterfaceAddress::new(Bind::Address(address))];
    MediaSettings {
        interfaces: vec![Interface {
            name: "default".to_owned(),
            addresses,
        }],
        browser_port: Some(free_port(address)),
        workers: Some(2),
        port_rest: Duration::ZERO,
        delete_delay: Duration::ZERO,
        // What workers do is tried here.
        kernel: KernelMode::Off,
        ..MediaSettings::default()
    }
}

/// A relay within this process, and a runtime to ask it with.
pub(crate) struct InProcess {
    pub(crate) handle: RelayHandle,
    runtime: tokio::runtime::Runtime,
}

impl InProcess {
    /// At one address.
    pub(crate) fn start(address: IpAddr) -> Self {
        Self::start_with(settings(address))
    }

    pub(crate) fn start_with(media: MediaSettings) -> Self {
        Self::start_config(RelayConfig::in_process(media, PublicIp::Auto))
    }

    pub(crate) fn start_config(config: RelayConfig) -> Self {
        let on_failure = OnFailure::new(|failure| {
            eprintln!("{failure}");
            std::process::abort();
        });
        let handle = RelayHandle::start(RelayConfig { on_failure, ..config }).unwrap();
        let runtime = tokio::runtime::Builder::new_current_thread()
            .enable_time()
            .build()
            .unwrap();
        Self { handle, runtime }
    }

    pub(crate) fn ask(&self, request: viaduct_ng::Request) -> viaduct_ng::Reply {
        self.runtime.block_on(self.handle.ask(request)).unwrap()
    }

    pub(crate) fn snapshot(&self) -> Snapshot {
        self.runtime.block_on(self.handle.snapshot()).unwrap()
    }

    /// Waits until nothing of any call is left.
    pub(crate) fn wait_until_empty(&self) -> Snapshot {
        wait_for("an empty relay", || Some(self.snapshot()).filter(is_empty))
    }

    /// Waits for a fact in the figures.
    pub(crate) fn wait_for(&self, what: &str, is_so: impl Fn(&Snapshot) -> bool) -> Snapshot {
        wait_for(what, || Some(self.snapshot()).filter(|snapshot| is_so(snapshot)))
    }

    pub(crate) fn shut_down(self) {
        self.handle.shutdown(PATIENCE).unwrap();
    }
}

/// Whether all that calls bring is gone: what session has, what control has told, and what workers hold.
fn is_empty(snapshot: &Snapshot) -> bool {
    let flows: u64 = snapshot.workers.iter().map(|worker| worker.forward.flows).sum();
    let used: usize = snapshot
        .ports
        .iter()
        .map(|ports| ports.usage.used + ports.usage.opening)
        .sum();
    snapshot.gauges == viaduct_session::Gauges::default() && flows + snapshot.control.flows == 0 && used == 0
}

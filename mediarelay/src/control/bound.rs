//! Which ports sockets are bound to, the relay's own or others'.

use std::collections::HashMap;
use std::io;
use std::net::{SocketAddr, UdpSocket};
use std::time::{Duration, Instant};

use viaduct_kmod_helper::BoundPorts;

use crate::port_owner::collide;

/// How long what the kernel said is believed. Who binds a port within this time is as late as one who does so after the port was
/// looked at, which may lie in the stock for hours before a call has it.
const BELIEVED: Duration = Duration::from_secs(1);

/// The same where there are so many sockets that it takes long to name them: so many times as long as that took.
const BELIEVED_TIMES: u32 = 100;

/// See the module. The kernel names all sockets in less time than it takes to bind a few.
#[derive(Debug)]
pub(super) struct Bound {
    /// `None`: it does not tell, and each port is tried with a socket.
    ports: Option<BoundPorts>,
    by_port: HashMap<u16, Vec<SocketAddr>>,
    until: Option<Instant>,
}

impl Bound {
    pub(super) fn new() -> Self {
        Self {
            ports: BoundPorts::open().ok(),
            by_port: HashMap::new(),
            until: None,
        }
    }

    /// Refuses a port that a socket has.
    ///
    /// # Errors
    /// As of binding it.
    pub(super) fn see_whether_free(&mut self, now: Instant, local: SocketAddr) -> io::Result<()> {
        if self.until.is_none_or(|until| until <= now) {
            self.ask(now);
        }
        if self.ports.is_none() {
            return UdpSocket::bind(local).map(drop);
        }
        let on_port = self.by_port.get(&local.port());
        let is_taken = on_port.is_some_and(|all| all.iter().any(|theirs| collide(*theirs, local)));
        match is_taken {
            true => Err(io::Error::from_raw_os_error(nix::libc::EADDRINUSE)),
            false => Ok(()),
        }
    }

    fn ask(&mut self, now: Instant) {
        let Some(ports) = &mut self.ports else { return };
        let began = Instant::now();
        match ports.list() {
            Ok(bound) => {
                self.by_port.clear();
                for address in bound {
                    self.by_port.entry(address.port()).or_default().push(address);
                }
                self.until = Some(now + BELIEVED.max(BELIEVED_TIMES * began.elapsed()));
            }
            Err(error) => {
                tracing::debug!("the kernel does not say which ports are bound: {error}");
                self.ports = None;
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_port_is_refused_while_a_socket_has_it_and_the_same_on_another_address_is_not() {
        let holder = UdpSocket::bind("127.0.0.1:0").unwrap();
        let local = holder.local_addr().unwrap();
        let elsewhere = SocketAddr::new([127, 0, 0, 77].into(), local.port());
        for mut bound in [
            Bound::new(),
            Bound {
                ports: None,
                ..Bound::new()
            },
        ] {
            let now = Instant::now();
            let refused = bound.see_whether_free(now, local).unwrap_err();
            assert_eq!(refused.kind(), io::ErrorKind::AddrInUse);
            bound.see_whether_free(now, elsewhere).unwrap();
        }
        let any = UdpSocket::bind("0.0.0.0:0").unwrap();
        let port = any.local_addr().unwrap().port();
        let refused = Bound::new().see_whether_free(Instant::now(), ([127, 0, 0, 1], port).into());
        assert_eq!(refused.unwrap_err().kind(), io::ErrorKind::AddrInUse);
    }

    #[test]
    fn what_the_kernel_said_is_asked_anew_after_a_while() {
        let holder = UdpSocket::bind("127.0.0.1:0").unwrap();
        let local = holder.local_addr().unwrap();
        let (mut bound, now) = (Bound::new(), Instant::now());
        assert!(bound.see_whether_free(now, local).is_err());
        drop(holder);
        // Another test that begins a program may hold it for a moment.
        let deadline = now + Duration::from_secs(5);
        while bound
            .see_whether_free(Instant::now() + 2 * BELIEVED, local)
            .is_err()
        {
            assert!(Instant::now() < deadline);
            bound.until = None;
        }
    }
}

//! What a program tells systemd that it was started by (`sd_notify(3)`): that it serves, that it is alive, that it ends.
//!
//! One datagram each, to the socket that the environment names. Without one, nothing is said.

use std::convert::Infallible;
use std::io;
use std::os::linux::net::SocketAddrExt;
use std::os::unix::ffi::OsStrExt;
use std::os::unix::net::{SocketAddr, UnixDatagram};
use std::path::Path;
use std::time::Duration;

/// The way to systemd.
#[derive(Debug)]
pub struct ServiceManager {
    socket: UnixDatagram,
    to: SocketAddr,
    /// How often it wants to hear that the program is alive.
    watchdog: Option<Duration>,
}

impl ServiceManager {
    /// The one that has started this process; `None` if none has that wants to hear anything (`NOTIFY_SOCKET`).
    #[must_use]
    pub fn of_environment() -> Option<Self> {
        let path = std::env::var_os("NOTIFY_SOCKET").filter(|path| !path.is_empty())?;
        let variable = |name: &str| std::env::var(name).ok();
        let watchdog = watchdog(
            variable("WATCHDOG_USEC").as_deref(),
            variable("WATCHDOG_PID").as_deref(),
        );
        match Self::at(path.as_bytes(), watchdog) {
            Ok(manager) => Some(manager),
            Err(error) => {
                tracing::warn!("systemd cannot be told anything: {error}");
                None
            }
        }
    }

    /// The one whose socket has this path; `@` at its beginning stands for an abstract name.
    fn at(path: &[u8], watchdog: Option<Duration>) -> io::Result<Self> {
        let to = match path.strip_prefix(b"@") {
            Some(name) => SocketAddr::from_abstract_name(name)?,
            None => SocketAddr::from_pathname(Path::new(std::ffi::OsStr::from_bytes(path)))?,
        };
        let socket = UnixDatagram::unbound()?;
        // Whoever does not read must not hold us up.
        socket.set_nonblocking(true)?;
        Ok(Self { socket, to, watchdog })
    }

    /// Tells it that the program is alive, twice in the time that it allows, whenever `lives` finds that it is. Says nothing
    /// if that is not asked for.
    pub async fn tell_alive(&self, lives: impl AsyncFn() -> bool) -> Infallible {
        let Some(allowed) = self.watchdog else {
            return std::future::pending().await;
        };
        let mut occasions = tokio::time::interval(allowed / 2);
        loop {
            occasions.tick().await;
            if lives().await {
                self.alive();
            }
        }
    }

    /// It serves.
    pub fn ready(&self) {
        self.say("READY=1");
    }

    /// It is alive.
    fn alive(&self) {
        self.say("WATCHDOG=1");
    }

    /// It ends in order.
    pub fn stopping(&self) {
        self.say("STOPPING=1");
    }

    fn say(&self, what: &str) {
        if let Err(error) = self.socket.send_to_addr(what.as_bytes(), &self.to) {
            tracing::debug!("telling systemd {what}: {error}");
        }
    }
}

/// The time in which systemd wants to hear of this process, from `WATCHDOG_USEC` and `WATCHDOG_PID`.
fn watchdog(microseconds: Option<&str>, process: Option<&str>) -> Option<Duration> {
    let is_ours = process.is_none_or(|process| process == std::process::id().to_string());
    let microseconds = microseconds?.parse().ok().filter(|time| *time > 0)?;
    is_ours.then(|| Duration::from_micros(microseconds))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_said_arrives_on_either_kind_of_socket() {
        let name = format!("viaduct-systemd-{}", std::process::id());
        let path = std::env::temp_dir().join(&name);
        let _ = std::fs::remove_file(&path);
        let of_file = UnixDatagram::bind(&path).unwrap();
        let of_name = UnixDatagram::bind_addr(&SocketAddr::from_abstract_name(&name).unwrap()).unwrap();
        let abstract_name = format!("@{name}");
        for (listener, at) in [
            (of_file, path.as_os_str().as_bytes()),
            (of_name, abstract_name.as_bytes()),
        ] {
            let manager = ServiceManager::at(at, None).unwrap();
            manager.ready();
            manager.alive();
            manager.stopping();
            for said in ["READY=1", "WATCHDOG=1", "STOPPING=1"] {
                let mut buffer = [0; 64];
                let len = listener.recv(&mut buffer).unwrap();
                assert_eq!(&buffer[..len], said.as_bytes());
            }
        }
        std::fs::remove_file(&path).unwrap();
        // Nobody is there any more, which is no fault of ours.
        ServiceManager::at(path.as_os_str().as_bytes(), None)
            .unwrap()
            .ready();
    }

    #[test]
    fn the_watchdog_is_for_the_process_that_it_names() {
        let own = std::process::id().to_string();
        assert_eq!(
            watchdog(Some("2000000"), Some(&own)),
            Some(Duration::from_secs(2))
        );
        assert_eq!(watchdog(Some("2000000"), None), Some(Duration::from_secs(2)));
        assert_eq!(watchdog(Some("2000000"), Some("1")), None);
        assert_eq!(watchdog(Some("0"), None), None);
        assert_eq!(watchdog(Some("soon"), None), None);
        assert_eq!(watchdog(None, None), None);
    }
}

//! What an agent is made with.

use std::time::Duration;

use viaduct_sip::{Uri, UriError};
use viaduct_txn as txn;

use crate::Family;

/// What an [`Agent`](crate::Agent) is made with.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Config {
    host: String,
    /// How long things last.
    pub times: Times,
    /// Bounds.
    pub limits: Limits,
    /// The address family of our media when the INVITE brings no offer that would say. IPv4.
    pub offer_family: Family,
}

impl Config {
    /// Defaults, and the host (with a port if need be) for Contact, Via and Warning. Nobody outside this process reaches
    /// a service by it: requests come along the route that was recorded.
    ///
    /// # Errors
    /// [`UriError`] when no SIP URI can be made of `host`.
    pub fn new(host: &str) -> Result<Self, UriError> {
        let contact = format!("sip:echo@{host}");
        let uri = Uri::parse(&contact)?;
        // What would be read as a parameter or a second user is no host.
        if !uri.params().as_str().is_empty() || !uri.headers().is_empty() || host.contains('@') {
            return Err(UriError::BadHost);
        }
        Ok(Self {
            host: host.to_owned(),
            times: Times::default(),
            limits: Limits::default(),
            offer_family: Family::V4,
        })
    }

    /// The host for Contact, Via and Warning.
    pub fn host(&self) -> &str {
        &self.host
    }
}

/// How long things last.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Times {
    /// The timers of transactions; T1 and T2 also pace the repeats of a 2xx (RFC 3261 section 13.3.1.4).
    pub timing: txn::Timing,
    /// How long a call may last, from its 200 on; a BYE ends it. 1 h.
    pub session_max: Duration,
    /// How long the shell may take to open media before the call is refused. 5 s.
    pub media_open_max: Duration,
}

impl Default for Times {
    fn default() -> Self {
        Self {
            timing: txn::Timing::default(),
            session_max: Duration::from_secs(3_600),
            media_open_max: Duration::from_secs(5),
        }
    }
}

/// Bounds of one agent. Each has a counter in [`Counters`](crate::Counters).
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Limits {
    /// Calls at a time, those whose media is still being opened included; one beyond is answered 486. Dialogs that we
    /// ended and whose BYE is not yet answered are held to the same number. 256.
    pub sessions_max: usize,
    /// Octets of a body that is read; a longer one is answered 413. 65,536.
    pub body_octets_max: usize,
    /// Octets that one dialog keeps of its INVITE: Call-ID, From, To, Contact and Record-Route together; more is
    /// answered 400. 8,192.
    pub dialog_octets_max: usize,
    /// What a caller is told to wait when there is no room, Retry-After in seconds. 10.
    pub retry_after_s: u32,
    /// Bounds of one SDP.
    pub sdp: viaduct_sdp::Limits,
    /// Bounds of the transactions.
    pub transactions: txn::Limits,
}

impl Default for Limits {
    fn default() -> Self {
        Self {
            sessions_max: 256,
            body_octets_max: 65_536,
            dialog_octets_max: 8_192,
            retry_after_s: 10,
            sdp: viaduct_sdp::Limits::default(),
            transactions: txn::Limits::default(),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_host_must_fit_a_uri() {
        for host in ["example.com", "192.0.2.1:5060", "[2001:db8::1]"] {
            assert_eq!(Config::new(host).unwrap().host(), host);
        }
        for host in ["", "a b", "a\r\nVia: x", "a;lr", "a?x=y", "x@y", "2001:db8::1"] {
            assert!(Config::new(host).is_err(), "{host:?}");
        }
    }
}

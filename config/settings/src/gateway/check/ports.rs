//! Listeners, certificates and the media side.

use crate::check::{Bound, MediaCheck, overlaps, public_addresses};
use crate::code::Code;
use crate::diagnostic::{Diagnostic, Place};
use crate::gateway::listen::Scheme;
use crate::gateway::relay::RelayMode;
use crate::listener::{Layer, is_local};
use crate::relay_limits::RELAY_CALLS_MAX;

use super::Check;

/// Ports that a call between two phones takes: RTP and RTCP on each side.
const PORTS_PER_CALL: u32 = 4;

impl Check<'_> {
    pub(super) fn ports(&mut self) {
        let bound = self.bound();
        overlaps(&bound, self.reporter);
        public_addresses(
            &self.file.site.public_ip,
            &["site", "public_ip"],
            self.positions,
            self.reporter,
        );
        match self.file.relay.mode {
            RelayMode::BuiltIn => {
                let mut media = MediaCheck {
                    media: &self.file.relay.media,
                    public_ip: &self.file.site.public_ip,
                    path: &["relay"],
                    positions: self.positions,
                    reporter: self.reporter,
                };
                media.run(&bound);
                self.port_count();
                self.relay_calls();
            }
            RelayMode::Ng(_) => self.unused_keys("relay.mode names another one"),
            RelayMode::None => {
                self.unused_keys("relay.mode is `none`");
                self.no_relay();
            }
        }
        self.metrics_exposed();
    }

    fn bound(&self) -> Vec<Bound> {
        let listeners = self.file.listen.iter().map(|(index, listener)| Bound {
            name: format!("{}://{}", listener.scheme, listener.address),
            layer: listener.scheme.layer(),
            address: listener.address,
            place: self.listener_place(*index),
            carried_by: match listener.scheme {
                Scheme::Ws => Some(("http:", "delete this line: `http` has SIP over WebSocket at /sip")),
                Scheme::Wss => Some((
                    "https:",
                    "delete this line: `https` has SIP over WebSocket at /sip",
                )),
                _ => None,
            },
        });
        let metrics = self.file.metrics.listen.map(|address| Bound {
            name: format!("metrics at {address}"),
            layer: Layer::Tcp,
            address,
            place: self.positions.value(&["metrics", "listen"]),
            carried_by: None,
        });
        let mut bound: Vec<Bound> = listeners.chain(metrics).collect();
        // What is written gives way to defaults, so that a mistake is shown where it can be mended.
        bound.sort_by_key(|bound| bound.place.is_some());
        bound
    }

    fn listener_place(&self, index: usize) -> Option<Place> {
        let index = index.to_string();
        let url = self.positions.value(&["listen", &index, "url"]);
        url.or_else(|| self.positions.value(&["listen", &index]))
    }

    fn port_count(&mut self) {
        let media = &self.file.relay.media;
        let addresses = media.interfaces.iter().flat_map(|interface| &interface.addresses);
        let own = addresses.filter_map(|address| Some(address.rtp_ports?.count()));
        // Which interface calls will use is not known.
        let ports = own.fold(media.rtp_ports.count(), u32::max);
        let calls = self.file.limits.calls;
        let enough_for = ports / PORTS_PER_CALL;
        if enough_for >= calls {
            return;
        }
        let range = self.positions.value(&["relay", "rtp_ports"]);
        let place = range.or_else(|| self.positions.value(&["limits", "calls"]));
        let message = format!(
            "{ports} RTP ports are enough for {enough_for} calls between phones, but limits.calls is {calls}"
        );
        let diagnostic = Diagnostic::new(Code::FewPorts, message)
            .at(place)
            .note("further calls would be refused although the limit is not reached")
            .note("fix: widen relay.rtp_ports, or lower limits.calls");
        self.report(diagnostic);
    }

    fn relay_calls(&mut self) {
        let calls = self.file.limits.calls as usize;
        let own = self.file.relay.media.limits.calls;
        let most = RELAY_CALLS_MAX as usize;
        let room = own.unwrap_or(most);
        if calls <= room {
            return;
        }
        let fix = match own {
            Some(_) if calls <= most => "fix: raise relay.limits.calls, or lower limits.calls",
            _ => "fix: lower limits.calls; more calls need several relays",
        };
        let message = format!("the built-in relay has room for {room} calls, but limits.calls is {calls}");
        let diagnostic = Diagnostic::new(Code::FewRelayCalls, message)
            .at(self.positions.nearest(&["limits", "calls"]))
            .note("further calls would be refused although the limit is not reached")
            .note(fix);
        self.report(diagnostic);
    }

    /// Browsers send SRTP with ICE and DTLS, phones RTP: only a relay joins them.
    fn no_relay(&mut self) {
        let diagnostic = Diagnostic::new(Code::NoRelay, "without a relay, browsers and phones cannot talk")
            .at(self.positions.nearest(&["relay", "mode"]))
            .note("media goes from end to end; phones behind different NATs hear nothing either");
        self.report(diagnostic);
    }

    /// Keys of the built-in relay where it is not used.
    fn unused_keys(&mut self, why: &str) {
        let positions = self.positions;
        let media_keys = positions
            .names(&["relay"])
            .filter(|name| !matches!(*name, "mode" | "timeout"));
        for name in media_keys {
            let diagnostic = Diagnostic::new(Code::Unused, format!("relay.{name} has no effect"))
                .at(positions.key(&["relay", name]))
                .note(format!("it belongs to the built-in relay, but {why}"))
                .note("fix: delete it here and set it at the relay that carries the media");
            self.reporter.report_consequence(diagnostic);
        }
    }

    fn metrics_exposed(&mut self) {
        let Some(address) = self.file.metrics.listen.filter(|address| !is_local(address.ip())) else {
            return;
        };
        let message = format!("metrics at {address} can be reached from other machines");
        let diagnostic = Diagnostic::new(Code::ControlExposed, message)
            .at(self.positions.nearest(&["metrics", "listen"]))
            .note("they tell strangers how many calls there are and how the gateway is set up")
            .note("fix: `127.0.0.1`, or a firewall that lets only the monitoring in");
        self.report(diagnostic);
    }
}

//! What is counted: for metrics, and for NG `statistics`.

use std::collections::BTreeMap;
use std::net::IpAddr;
use std::time::Duration;

use viaduct_ng::Request;

/// Counts since the relay began.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Counters {
    /// Calls that were created.
    pub calls: u64,
    /// Offers that were refused because of [`Config::max_sessions`](crate::Config::max_sessions) or
    /// [`Limits::calls`](crate::Limits::calls).
    pub calls_refused: u64,
    /// Those of them that were refused because the machine has too much to do, see
    /// [`Relay::set_overload`](crate::Relay::set_overload).
    pub calls_refused_for_load: u64,
    /// Calls of an earlier relay that went on here.
    pub calls_rebuilt: u64,
    /// Calls of an earlier relay that could not go on.
    pub calls_not_rebuilt: u64,
    /// Calls that became part of another one (NG `connect`).
    pub calls_merged: u64,
    /// Clips that were begun, one for each party that hears it (NG `play media`).
    pub clips_played: u64,
    /// Packets of clips that were sent.
    pub played_packets: u64,
    /// Fax gateways that were begun (NG `T.38`).
    pub fax_gateways: u64,
    /// Datagrams of theirs that were sent.
    pub fax_datagrams: u64,
    /// Keys that were pressed in the name of a party (NG `play DTMF`).
    pub keys_pressed: u64,
    /// Those that were given up, since the party said nothing that they could take the place of.
    pub keys_unpressed: u64,
    /// RTCP compounds of our own that were sent (NG `generate-RTCP`).
    pub reports_sent: u64,
    /// Calls ended by `delete`.
    pub ended_regularly: u64,
    /// Calls ended for want of media.
    pub ended_by_media_timeout: u64,
    /// The same, on hold.
    pub ended_by_silent_timeout: u64,
    /// Calls that were never answered.
    pub ended_by_offer_timeout: u64,
    /// Calls ended for their length.
    pub ended_by_final_timeout: u64,
    /// Ended calls, answered before, in which nobody sent anything.
    pub zero_way_calls: u64,
    /// Ended calls, answered before, in which one side alone sent.
    pub one_way_calls: u64,
    /// How long the ended calls lasted, together.
    pub ended_duration: Duration,
    /// Packets of ended calls.
    pub relayed_packets: u64,
    /// Octets of ended calls.
    pub relayed_octets: u64,
    /// Those of the packets that the kernel forwarded.
    pub relayed_kernel_packets: u64,
    /// Their octets.
    pub relayed_kernel_octets: u64,
    /// Packets of ended calls that could not be forwarded.
    pub relay_errors: u64,
    /// Offers and answers that were the same as the ones before, and got the same reply.
    pub repeats: u64,
    /// SDPs that could not be used.
    pub sdp_unusable: u64,
    /// Offers that found no ports.
    pub out_of_ports: u64,
    /// Pairs of ports that the shell could not open.
    pub ports_failed: u64,
    /// Endpoints that were not those of the SDP.
    pub endpoints_learnt: u64,
    /// Endpoints of SDPs, and learnt ones, that are another leg's on the same port.
    pub addresses_taken: u64,
    /// Packets of unknown sources that were not the peer's.
    pub strangers: u64,
    /// Legs on which ICE found a path.
    pub ice_connected: u64,
    /// Legs on which it found none, or lost it.
    pub ice_failed: u64,
    /// Candidates with a name, a transport other than UDP, or no port.
    pub candidates_unreachable: u64,
    /// Handshakes that gave keys.
    pub dtls_connected: u64,
    /// Handshakes that did not.
    pub dtls_failed: u64,
    /// Those of them in which the certificate was not the one of the SDP.
    pub dtls_wrong_fingerprint: u64,
    /// Handed-up packets and reports about legs that are gone.
    pub stale: u64,
    /// What went over a limit.
    pub limits: LimitCounters,
    /// Commands by client.
    pub clients: Clients,
}

/// How often each field of [`Limits`](crate::Limits) was hit.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct LimitCounters {
    /// [`Limits::calls`](crate::Limits::calls)
    pub calls: u64,
    /// [`Limits::name_octets`](crate::Limits::name_octets)
    pub name_octets: u64,
    /// [`LISTENERS_MAX`](viaduct_forward::LISTENERS_MAX) of one m-line.
    pub listeners: u64,
    /// [`Limits::parties_per_call`](crate::Limits::parties_per_call)
    pub parties_per_call: u64,
    /// [`Limits::aliases_per_party`](crate::Limits::aliases_per_party)
    pub aliases_per_party: u64,
    /// [`Limits::sdp_octets`](crate::Limits::sdp_octets), [`Limits::medias_per_party`](crate::Limits::medias_per_party)
    /// and the other bounds of an SDP.
    pub sdp: u64,
    /// [`Limits::candidates_per_media`](crate::Limits::candidates_per_media)
    pub candidates_per_media: u64,
    /// [`Limits::paths_per_leg`](crate::Limits::paths_per_leg)
    pub paths_per_leg: u64,
    /// [`Limits::former_ports_per_leg`](crate::Limits::former_ports_per_leg)
    pub former_ports_per_leg: u64,
    /// [`Limits::sources_per_call`](crate::Limits::sources_per_call)
    pub sources_per_call: u64,
    /// [`Limits::dtls_associations`](crate::Limits::dtls_associations)
    pub dtls_associations: u64,
    /// `message_octets` of [`Limits::dtls`](crate::Limits::dtls)
    pub dtls_message_octets: u64,
    /// `pending_octets` of [`Limits::dtls`](crate::Limits::dtls)
    pub dtls_pending_octets: u64,
    /// `messages_ahead` of [`Limits::dtls`](crate::Limits::dtls)
    pub dtls_messages_ahead: u64,
    /// `early_records` of [`Limits::dtls`](crate::Limits::dtls)
    pub dtls_early_records: u64,
    /// Handshakes that took too long: `handshake` of [`Limits::dtls`](crate::Limits::dtls).
    pub dtls_handshake: u64,
    /// [`Limits::players`](crate::Limits::players)
    pub players: u64,
    /// [`Limits::fax_gateways`](crate::Limits::fax_gateways)
    pub fax_gateways: u64,
    /// [`Limits::clip_octets`](crate::Limits::clip_octets)
    pub clip_octets: u64,
    /// [`Limits::fragments_waiting`](crate::Limits::fragments_waiting)
    pub fragments_waiting: u64,
    /// [`Limits::commands_kept`](crate::Limits::commands_kept): calls that would not survive a restart.
    pub commands_kept: u64,
    /// [`Limits::state_waiting`](crate::Limits::state_waiting)
    pub state_waiting: u64,
}

impl LimitCounters {
    pub(crate) fn count_dtls(&mut self, hits: viaduct_dtls::LimitHits) {
        let viaduct_dtls::LimitHits {
            message_octets,
            pending_octets,
            messages_ahead,
            early_records,
        } = hits;
        self.dtls_message_octets += message_octets;
        self.dtls_pending_octets += pending_octets;
        self.dtls_messages_ahead += messages_ahead;
        self.dtls_early_records += early_records;
    }
}

/// Commands by client.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Clients {
    by_address: BTreeMap<IpAddr, ClientCounters>,
    others: ClientCounters,
}

impl Clients {
    /// The counters of a client, or those of all further clients once `max` are known.
    pub(crate) fn of(&mut self, address: Option<IpAddr>, max: usize) -> &mut ClientCounters {
        let Some(address) = address else {
            return &mut self.others;
        };
        if self.by_address.len() >= max && !self.by_address.contains_key(&address) {
            return &mut self.others;
        }
        self.by_address.entry(address).or_default()
    }

    /// The clients by address, and `None` for those without one of their own.
    pub fn iter(&self) -> impl Iterator<Item = (Option<IpAddr>, &ClientCounters)> {
        let known = self
            .by_address
            .iter()
            .map(|(address, counters)| (Some(*address), counters));
        known.chain(std::iter::once((None, &self.others)))
    }
}

/// The commands of one client.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct ClientCounters {
    /// `ping`
    pub pings: u64,
    /// `offer`
    pub offers: u64,
    /// `answer`
    pub answers: u64,
    /// `delete`
    pub deletes: u64,
    /// `query`
    pub queries: u64,
    /// `list`
    pub lists: u64,
    /// `statistics`
    pub statistics: u64,
    /// All others.
    pub others: u64,
    /// Those answered with an error.
    pub errors: u64,
}

impl ClientCounters {
    pub(crate) fn count(&mut self, request: &Request) {
        *match request {
            Request::Ping => &mut self.pings,
            Request::Offer(_) => &mut self.offers,
            Request::Answer(_) => &mut self.answers,
            Request::Delete(_) => &mut self.deletes,
            Request::Query(_) => &mut self.queries,
            Request::List(_) => &mut self.lists,
            Request::Statistics => &mut self.statistics,
            Request::Publish(_)
            | Request::SubscribeRequest(_)
            | Request::SubscribeAnswer(_)
            | Request::Unsubscribe(_)
            | Request::Other(_) => &mut self.others,
        } += 1;
    }
}

/// What exists at one moment. When all calls are gone and their ports have rested, everything but the idle ports is 0.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Gauges {
    /// Calls, those that wait for their deletion among them.
    pub calls: usize,
    /// Those of them that have IPv4 on every side.
    pub calls_ipv4: usize,
    /// Those of them that have IPv6 on every side.
    pub calls_ipv6: usize,
    /// Those of them in which both meet.
    pub calls_mixed: usize,
    /// Transports: one for each m-line of each party, or for each bundle.
    pub legs: usize,
    /// Flows that the workers have.
    pub flows: usize,
    /// SRTP contexts.
    pub crypto: usize,
    /// ICE username fragments.
    pub ufrags: usize,
    /// Addresses that may send DTLS.
    pub dtls_tuples: usize,
    /// DTLS associations.
    pub dtls_associations: usize,
    /// Ports with a rule.
    pub ports_in_use: usize,
    /// Pairs of addresses that somebody is found by.
    pub tuples: usize,
    /// Flows and legs whose counters are about to be forgotten.
    pub retired: usize,
    /// Calls with a timer.
    pub timers: usize,
    /// Trickled fragments that wait for their party.
    pub fragments: usize,
    /// Parties that something is played to.
    pub players: usize,
    /// Faxes that sound is made of, or that are made of sound.
    pub fax_gateways: usize,
}

use std::collections::BTreeMap;

/// What a shard has counted since it was made. All only rise.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, serde::Serialize)]
pub struct Counters {
    /// SIP messages received.
    pub messages: u64,
    /// Octets received that were no SIP message.
    pub bad_messages: u64,
    /// Requests dropped because nobody could recognise an answer, and responses that cannot be read.
    pub dropped: u64,
    /// Messages that could not be sent.
    pub sends_failed: u64,
    /// REGISTER requests that changed or told bindings.
    pub registers: u64,
    /// Requests that failed authentication with credentials.
    pub auth_failures: u64,
    /// Requests refused by the proxy itself, challenges not counted. Each is also in
    /// [`Proxy::refused_for`](crate::Proxy::refused_for).
    pub refusals: u64,
    /// Requests refused because their source sends more than
    /// [`GuardLimits::requests`](crate::GuardLimits::requests).
    pub requests_over_rate: u64,
    /// Requests refused because they had waited longer than [`Times::queue_max`](crate::Times::queue_max).
    pub requests_late: u64,
    /// Requests dropped because of [`AuthConfig::dropped_user_agents`](crate::AuthConfig::dropped_user_agents).
    pub requests_of_scanners: u64,
    /// Passwords not looked at because too many before were wrong.
    pub passwords_paused: u64,
    /// Requests that waited for a source of users.
    pub lookups: u64,
    /// Requests that a hook was to decide about.
    pub decisions: u64,
    /// Requests about which it did not decide.
    pub decisions_failed: u64,
    /// Requests that it refused.
    pub rejected_by_hook: u64,
    /// Calls begun.
    pub calls: u64,
    /// Calls answered.
    pub calls_answered: u64,
    /// Calls refused because of [`Limits::calls_max`](crate::Limits::calls_max).
    pub calls_over_limit: u64,
    /// Calls refused because of [`Limits::calls_per_user_max`](crate::Limits::calls_per_user_max).
    pub calls_over_user_limit: u64,
    /// Requests refused because of [`Limits::requests_waiting_max`](crate::Limits::requests_waiting_max).
    pub waiting_over_limit: u64,
    /// Targets left out because of [`Limits::branches_max`](crate::Limits::branches_max).
    pub branches_over_limit: u64,
    /// Requests refused because Max-Breadth, or [`Limits::breadth_max`](crate::Limits::breadth_max), was too small.
    pub breadth_over_limit: u64,
    /// Empty lines sent to phones behind NATs.
    pub udp_pings: u64,
    /// Answers dropped because of [`Limits::answers_waiting_max`](crate::Limits::answers_waiting_max).
    pub answers_over_limit: u64,
    /// Requests to the relay.
    pub relay_requests: u64,
    /// Requests to the relay that failed, or were refused.
    pub relay_failures: u64,
    /// Calls and probes refused because calls are only finished: [`Proxy::set_draining`](crate::Proxy::set_draining).
    pub refused_draining: u64,
    /// Calls that the proxy ended.
    pub calls_ended_by_proxy: u64,
    /// Next hops that had no address.
    pub hops_unresolved: u64,
    /// Requests sent to a further address because the one before was dead or answered 503 (RFC 3263 section 4.3).
    pub hops_failed_over: u64,
    /// Datagrams to next hops of which the network said that it cannot deliver them.
    pub hops_undelivered: u64,
    /// Requests sent over TCP because they are too large for a datagram (RFC 3261 section 18.1.1).
    pub hops_udp_to_tcp: u64,
}

impl std::ops::Add for Counters {
    type Output = Self;

    fn add(self, other: Self) -> Self {
        Self {
            messages: self.messages + other.messages,
            bad_messages: self.bad_messages + other.bad_messages,
            dropped: self.dropped + other.dropped,
            sends_failed: self.sends_failed + other.sends_failed,
            registers: self.registers + other.registers,
            auth_failures: self.auth_failures + other.auth_failures,
            refusals: self.refusals + other.refusals,
            requests_over_rate: self.requests_over_rate + other.requests_over_rate,
            requests_late: self.requests_late + other.requests_late,
            requests_of_scanners: self.requests_of_scanners + other.requests_of_scanners,
            passwords_paused: self.passwords_paused + other.passwords_paused,
            lookups: self.lookups + other.lookups,
            decisions: self.decisions + other.decisions,
            decisions_failed: self.decisions_failed + other.decisions_failed,
            rejected_by_hook: self.rejected_by_hook + other.rejected_by_hook,
            calls: self.calls + other.calls,
            calls_answered: self.calls_answered + other.calls_answered,
            calls_over_limit: self.calls_over_limit + other.calls_over_limit,
            calls_over_user_limit: self.calls_over_user_limit + other.calls_over_user_limit,
            waiting_over_limit: self.waiting_over_limit + other.waiting_over_limit,
            branches_over_limit: self.branches_over_limit + other.branches_over_limit,
            breadth_over_limit: self.breadth_over_limit + other.breadth_over_limit,
            udp_pings: self.udp_pings + other.udp_pings,
            answers_over_limit: self.answers_over_limit + other.answers_over_limit,
            relay_requests: self.relay_requests + other.relay_requests,
            relay_failures: self.relay_failures + other.relay_failures,
            refused_draining: self.refused_draining + other.refused_draining,
            calls_ended_by_proxy: self.calls_ended_by_proxy + other.calls_ended_by_proxy,
            hops_unresolved: self.hops_unresolved + other.hops_unresolved,
            hops_failed_over: self.hops_failed_over + other.hops_failed_over,
            hops_undelivered: self.hops_undelivered + other.hops_undelivered,
            hops_udp_to_tcp: self.hops_udp_to_tcp + other.hops_udp_to_tcp,
        }
    }
}

/// How often each reason led to something. A reason is the label of a variant, so there are not many.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Reasons(BTreeMap<&'static str, u64>);

impl Reasons {
    /// Every reason so far, in alphabetical order, and how often.
    pub fn iter(&self) -> impl Iterator<Item = (&'static str, u64)> {
        self.0.iter().map(|(reason, count)| (*reason, *count))
    }

    /// Adds what another shard has counted.
    pub fn add(&mut self, other: &Self) {
        for (reason, count) in other.iter() {
            *self.0.entry(reason).or_default() += count;
        }
    }

    pub(crate) fn count(&mut self, reason: &'static str) {
        *self.0.entry(reason).or_default() += 1;
    }
}

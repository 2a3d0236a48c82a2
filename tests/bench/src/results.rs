//! What was measured, of whom, in which run.

use std::collections::BTreeMap;

use clap::ValueEnum;

use crate::sample::Spread;

/// What was done.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, ValueEnum)]
pub enum Work {
    /// Registrations without a password.
    Register,
    /// Registrations with a password.
    RegisterDigest,
    /// Calls without media and without a password.
    Call,
    /// The same calls, ever more a second until one fails.
    CallRate,
    /// What registrations and calls leave in memory.
    Memory,
    /// Phones that stay connected over WebSocket, without TLS and with it.
    Wss,
    /// Instructions, counted one by one.
    Instructions,
    /// Media, RTP on both sides.
    Plain,
    /// Media, SRTP on one side and RTP on the other.
    Sdes,
    /// Media, SRTP with keys of a handshake on one side, as browsers have it, and RTP on the other.
    Dtls,
    /// Media, RTP on both sides, ever more packets a second until one is lost.
    MediaRate,
    /// Calls that come and go at a relay where many more go on.
    Churn,
    /// Media, RTP on both sides, between phones on links of their own: our relay has the kernel forward it.
    Kernel,
}

/// What was measured.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Figure {
    /// Processor time for one operation or packet at a given pace, in microseconds.
    Processor,
    /// The part of it that was spent in the kernel, in percent. For operations, at full load.
    Kernel,
    /// Delay that half of the operations or packets do not exceed, in microseconds.
    HalfWithin,
    /// Delay that 99 of 100 do not exceed, in microseconds.
    MostWithin,
    /// Operations that failed.
    Failed,
    /// Packets that did not come, in percent.
    Lost,
    /// Packets that came twice, or were not what was sent.
    Wrong,
    /// As `Processor`, when there is something to do all the time.
    SteadyProcessor,
    /// As `HalfWithin`, then.
    SteadyHalfWithin,
    /// As `MostWithin`, then.
    SteadyMostWithin,
    /// As `Failed`, then.
    SteadyFailed,
    /// Operations a second as fast as they go.
    Rate,
    /// SIP messages a second then, in and out.
    Messages,
    /// Processor time for one operation then, in microseconds.
    FullProcessor,
    /// The part of its processor that was in use then, in percent.
    Busy,
    /// As `HalfWithin`, then.
    FullHalfWithin,
    /// As `MostWithin`, then.
    FullMostWithin,
    /// As `Failed`, then.
    FullFailed,
    /// Operations a second at half load: half of `Rate`.
    MidRate,
    /// As `Processor`, at half load.
    MidProcessor,
    /// As `HalfWithin`, at half load.
    MidHalfWithin,
    /// As `MostWithin`, at half load.
    MidMostWithin,
    /// Time in the proxy that half of the messages do not exceed at half load, in microseconds.
    MidHopHalfWithin,
    /// The same for 99 of 100.
    MidHopMostWithin,
    /// The same for 999 of 1000.
    MidHopNearlyAllWithin,
    /// As `Failed`, at half load.
    MidFailed,
    /// As `Others`, at half load.
    MidOthers,
    /// How long the program's threads could have run at half load and had no processor, in percent of the time.
    MidWaited,
    /// The part of their processor that the phones used, in percent.
    PhonesBusy,
    /// The highest rate, in operations a second, at which none failed.
    HeldRate,
    /// The lowest rate at which one did.
    FailedRate,
    /// Resident memory for one registration that came in a burst, in octets.
    BurstRegistration,
    /// The same for one that came slowly.
    SlowRegistration,
    /// Resident memory for one call that goes on, in octets.
    LiveCall,
    /// Resident memory for a registered phone that stays connected over WS, in octets.
    WsConnection,
    /// The same over WSS.
    WssConnection,
    /// Phones that registered over WSS.
    WssClients,
    /// Those of them that were not there any more at the end, or whose refresh was not answered.
    WssLost,
    /// Processor time for a connection over WSS with its handshakes and its first registration, in microseconds.
    WssSetUp,
    /// Processor time for a refresh over WSS, in microseconds.
    WssRefresh,
    /// Delay of a refresh over WSS that 99 of 100 do not exceed, in microseconds.
    WssRefreshMostWithin,
    /// Instructions for a REGISTER without a password.
    RegisterInstructions,
    /// Instructions for a registration with a password: two REGISTER.
    RegisterDigestInstructions,
    /// Instructions for a call.
    CallInstructions,
    /// What other programs used of the machine meanwhile, in percent of all processors.
    Others,
    /// The same at full load.
    FullOthers,
    /// Processor time of the program's own threads for one packet, in microseconds.
    OwnProcessor,
    /// Processor time of interrupts for one packet, in microseconds.
    Interrupts,
    /// Packets that did not come while processor time was measured, in percent.
    UnheardLost,
    /// Packets that the kernel forwarded, in percent.
    InKernel,
    /// Delay that 999 of 1000 packets do not exceed, in microseconds.
    NearlyAllWithin,
    /// Delay of the slowest packet while calls were offered again, in microseconds.
    OfferedAgain,
    /// The same while recorders came.
    RecorderCame,
    /// The same while recorders went.
    RecorderWent,
    /// Packets that did not come, came twice, or were damaged meanwhile.
    ChangedWrong,
    /// Resident memory for one call, in KiB.
    Memory,
    /// Processor time for setting up one call, in microseconds.
    SetUp,
    /// Processor time for ending one call, in microseconds.
    Deletion,
    /// Delay of an offer or answer that half do not exceed, in microseconds.
    CommandHalfWithin,
    /// The same for 99 of 100.
    CommandMostWithin,
}

impl Figure {
    /// Whether it says something to divide one program's by another's.
    #[must_use]
    pub fn is_comparable(self) -> bool {
        !matches!(
            self,
            Self::Kernel
                | Self::Busy
                | Self::PhonesBusy
                | Self::Others
                | Self::InKernel
                | Self::FullOthers
                | Self::MidOthers
                | Self::MidWaited
        )
    }
}

/// Figures of all runs.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Results {
    runs: BTreeMap<(Work, Figure, &'static str), Vec<f64>>,
    /// Why operations failed, and how many for each reason.
    pub reasons: BTreeMap<String, u64>,
}

impl Results {
    /// One more run of `peer`.
    pub fn add(&mut self, work: Work, figure: Figure, peer: &'static str, value: f64) {
        self.runs.entry((work, figure, peer)).or_default().push(value);
    }

    /// The figure of every run, in order.
    #[must_use]
    pub fn runs(&self, work: Work, figure: Figure, peer: &'static str) -> &[f64] {
        self.runs.get(&(work, figure, peer)).map_or(&[], Vec::as_slice)
    }

    /// The figure over all runs.
    #[must_use]
    pub fn spread(&self, work: Work, figure: Figure, peer: &'static str) -> Option<Spread> {
        Spread::of(self.runs(work, figure, peer))
    }

    /// Ours divided by theirs, run by run, and the median of that: what slows the machine down slows neighbours down
    /// alike. `None` where a figure is missing or nothing.
    #[must_use]
    pub fn ratio(&self, work: Work, figure: Figure, ours: &'static str, theirs: &'static str) -> Option<f64> {
        let pairs = self
            .runs(work, figure, ours)
            .iter()
            .zip(self.runs(work, figure, theirs));
        let ratios: Vec<f64> = pairs.map(|(ours, theirs)| ours / theirs).collect();
        Spread::of(&ratios)
            .map(|spread| spread.median)
            .filter(|ratio| ratio.is_finite())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ratios_are_those_of_neighbouring_runs() {
        let mut results = Results::default();
        // The machine is three times slower in the second run, for both.
        for (ours, theirs) in [(1.0, 2.0), (3.0, 6.0), (1.0, 2.2)] {
            results.add(Work::Call, Figure::Processor, "a", ours);
            results.add(Work::Call, Figure::Processor, "b", theirs);
        }
        assert_eq!(results.ratio(Work::Call, Figure::Processor, "a", "b"), Some(0.5));
        assert_eq!(results.ratio(Work::Call, Figure::Rate, "a", "b"), None);
        results.add(Work::Call, Figure::Failed, "a", 0.0);
        results.add(Work::Call, Figure::Failed, "b", 0.0);
        assert_eq!(results.ratio(Work::Call, Figure::Failed, "a", "b"), None);
        let spread = results.spread(Work::Call, Figure::Processor, "a").unwrap();
        assert_eq!((spread.min, spread.median, spread.max), (1.0, 1.0, 3.0));
    }
}

//! Why a flow is not in the kernel.

use viaduct_forward::{FlowRule, Out, Select};
use viaduct_kmod_helper::InstallError;

macro_rules! outside {
    ($($(#[$doc:meta])* $variant:ident, $name:literal, $text:literal;)+) => {
        /// Why a flow is for the workers alone.
        #[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
        pub enum Outside {
            $($(#[$doc])* $variant,)+
        }

        impl Outside {
            /// All, in their order.
            pub const ALL: &'static [Self] = &[$(Self::$variant,)+];

            /// How many there are.
            pub const COUNT: usize = Self::ALL.len();

            /// A name for metrics, stable.
            #[must_use]
            pub fn name(self) -> &'static str {
                match self {
                    $(Self::$variant => $name,)+
                }
            }

            /// For people.
            #[must_use]
            pub fn text(self) -> &'static str {
                match self {
                    $(Self::$variant => $text,)+
                }
            }
        }
    };
}

outside! {
    /// RTCP, T.38, or whatever comes.
    NotRtp, "not_rtp", "it carries something else than RTP";
    /// There are keys, and it does not pass unopened.
    Secure, "secure", "it is encrypted on one side, or on both with different keys, or is to be opened";
    /// Several m-lines share the port.
    Bundle, "bundle", "several m-lines share its port";
    /// It goes nowhere: on hold, blocked.
    NoOutput, "no_output", "it goes nowhere: on hold, blocked, or its receiver is not known yet";
    /// Somebody listens.
    Listener, "listener", "somebody listens: a recorder or a subscriber";
    /// Header extensions are changed.
    Extensions, "extensions", "header extensions are changed on its way";
    /// Its codec is changed.
    Recoded, "recoded", "it is told in the other law of G.711";
    /// Something else is said in its place.
    Altered, "altered", "it is silenced, a digit is played in its place, its numbers are others after a clip, or a fax is made of it";
    /// It goes back to where it comes from.
    Echo, "echo", "it goes back to where it comes from";
    /// It may come back, and is to be watched for that.
    Loop, "loop", "it may be looping, and is watched for that";
    /// No packet has been seen since it was last changed.
    Unheard, "unheard", "no packet was heard since it was last changed";
    /// There is no room in the kernel's table.
    Full, "full", "the kernel's table is full (limits.forwarding.kernel_flows)";
    /// The kernel path does not reach its receiver.
    Unreached, "unreached", "its receiver is not reached by the kernel path: no route, a link-local address, or this host";
    /// The kernel does not take it.
    Refused, "refused", "the kernel refuses it";
}

impl From<&InstallError> for Outside {
    fn from(error: &InstallError) -> Self {
        match error {
            InstallError::Full => Self::Full,
            InstallError::Route(_) | InstallError::Address | InstallError::LocalFamily => Self::Unreached,
            InstallError::Kernel(_) => Self::Refused,
        }
    }
}

/// Where the RTP of a rule goes that asks for nothing else.
pub(super) fn plain(rule: &FlowRule) -> Result<Out, Outside> {
    if !rule.accept.rtp || rule.accept.raw {
        return Err(Outside::NotRtp);
    }
    let [route] = &rule.routes[..] else {
        return Err(Outside::Bundle);
    };
    if rule.may_loop {
        return Err(Outside::Loop);
    }
    if route.select != Select::default() {
        return Err(Outside::Bundle);
    }
    if !route.listeners.is_empty() {
        return Err(Outside::Listener);
    }
    if route.extensions.is_some() || route.mid.is_some() {
        return Err(Outside::Extensions);
    }
    if route.recode.is_some() {
        return Err(Outside::Recoded);
    }
    if route.silence.is_some() || route.key_press.is_some() || route.resume.is_some() || route.to_control {
        return Err(Outside::Altered);
    }
    if (rule.unprotect.is_some() || route.protect.is_some()) && !rule.passes() {
        return Err(Outside::Secure);
    }
    let out = route
        .rtp_out
        .filter(|_| route.block.is_none())
        .ok_or(Outside::NoOutput)?;
    if out.remote == rule.key.remote {
        return Err(Outside::Echo);
    }
    Ok(out)
}

#[cfg(test)]
mod tests {
    use std::collections::HashSet;
    use std::net::SocketAddr;

    use viaduct_forward::{
        Accept, BlockReason, CryptoId, FlowId, FlowKey, LegId, Listener, MidSelector, Route,
    };

    use super::*;

    fn rule() -> FlowRule {
        let [local, remote, source, receiver] =
            [1, 2, 3, 4].map(|port| SocketAddr::from(([192, 0, 2, 1], port)));
        let out = Out {
            local: source,
            remote: receiver,
        };
        FlowRule::new(
            FlowId(1),
            FlowKey { local, remote },
            LegId(1),
            vec![Route::to(out)],
        )
    }

    fn changed(change: impl FnOnce(&mut FlowRule)) -> Result<Out, Outside> {
        let mut rule = rule();
        change(&mut rule);
        plain(&rule)
    }

    #[test]
    fn what_asks_for_new_addresses_alone_is_plain() {
        assert!(changed(|_| ()).is_ok());
        assert!(changed(|rule| rule.events = vec![101]).is_ok());
    }

    /// Under one key from end to end, SRTP is to the kernel what RTP is.
    #[test]
    fn what_passes_unopened_is_plain() {
        let passing = |rule: &mut FlowRule| {
            rule.unprotect = Some(CryptoId(1));
            rule.routes[0].protect = Some(CryptoId(2));
            rule.routes[0].same_key = true;
            rule.may_pass = true;
        };
        assert!(changed(passing).is_ok());
        let checked = |rule: &mut FlowRule| {
            passing(rule);
            rule.may_pass = false;
        };
        assert_eq!(changed(checked), Err(Outside::Secure));
        let with_other_keys = |rule: &mut FlowRule| {
            passing(rule);
            rule.routes[0].same_key = false;
        };
        assert_eq!(changed(with_other_keys), Err(Outside::Secure));
        let named = |rule: &mut FlowRule| {
            passing(rule);
            rule.routes[0].extensions = Some(viaduct_forward::Extensions::Without(1));
        };
        assert_eq!(changed(named), Err(Outside::Extensions));
    }

    #[test]
    fn what_needs_a_worker_stays_with_it() {
        let mid = MidSelector {
            extension_id: 1,
            mid: "0".to_owned(),
        };
        let listener = Listener {
            rtp_out: None,
            rtcp_out: None,
            protect: None,
            mid: None,
        };
        assert_eq!(
            changed(|rule| rule.routes[0].recode = Some(viaduct_rtp::g711::Law::A)),
            Err(Outside::Recoded)
        );
        assert_eq!(
            changed(|rule| rule.routes[0].silence = Some(Vec::new())),
            Err(Outside::Altered)
        );
        let resume = viaduct_forward::Resume {
            id: 1,
            ssrc: 2,
            sequence: 3,
            timestamp: 4,
            at: viaduct_forward::Tick::ZERO,
            known: None,
        };
        assert_eq!(
            changed(|rule| rule.routes[0].resume = Some(resume)),
            Err(Outside::Altered)
        );
        assert_eq!(changed(|rule| rule.accept = Accept::RTCP), Err(Outside::NotRtp));
        assert_eq!(changed(|rule| rule.accept = Accept::RAW), Err(Outside::NotRtp));
        assert_eq!(
            changed(|rule| rule.unprotect = Some(CryptoId(1))),
            Err(Outside::Secure)
        );
        assert_eq!(
            changed(|rule| rule.routes[0].protect = Some(CryptoId(1))),
            Err(Outside::Secure)
        );
        assert_eq!(
            changed(|rule| rule.routes.push(rule.routes[0].clone())),
            Err(Outside::Bundle)
        );
        assert_eq!(
            changed(|rule| rule.routes[0].select.ssrcs = vec![7]),
            Err(Outside::Bundle)
        );
        assert_eq!(
            changed(|rule| rule.routes[0].listeners = vec![listener]),
            Err(Outside::Listener)
        );
        assert_eq!(
            changed(|rule| rule.routes[0].mid = Some(mid)),
            Err(Outside::Extensions)
        );
        assert_eq!(
            changed(|rule| rule.routes[0].rtp_out = None),
            Err(Outside::NoOutput)
        );
        let hold = Some(BlockReason::Direction);
        assert_eq!(
            changed(|rule| rule.routes[0].block = hold),
            Err(Outside::NoOutput)
        );
        assert_eq!(changed(|rule| rule.may_loop = true), Err(Outside::Loop));
        let echo = |rule: &mut FlowRule| {
            rule.routes[0].rtp_out = Some(Out {
                local: rule.key.local,
                remote: rule.key.remote,
            });
        };
        assert_eq!(changed(echo), Err(Outside::Echo));
    }

    #[test]
    fn reasons_are_counted_by_their_place_and_named_apart() {
        let names: HashSet<_> = Outside::ALL.iter().map(|why| why.name()).collect();
        let texts: HashSet<_> = Outside::ALL.iter().map(|why| why.text()).collect();
        assert_eq!((names.len(), texts.len()), (Outside::COUNT, Outside::COUNT));
        for (at, why) in Outside::ALL.iter().enumerate() {
            assert_eq!(at, *why as usize);
        }
    }
}

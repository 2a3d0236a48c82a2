//! SRTP contexts, shared by all workers of a relay.
//!
//! A context belongs to one master key and one direction, not to a flow. A leg's RTP and RTCP ports, the m-lines of its
//! bundle, and both paths of an ICE switch all use the same key, and may be served by different workers; were each to
//! have a context of its own, two packets of one SSRC could get the same index, which repeats key stream (sending), or
//! a recorded packet could be played once per flow (receiving). So there is one context behind one lock. The lock is
//! held for one packet's cryptography, some hundred nanoseconds, and only flows of the same leg ever meet at it; without
//! a meeting it costs about 20 ns.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use viaduct_rtp::Tick;
use viaduct_rtp::srtp::{
    ProtectError, RTCP_GROWTH_MAX, RTP_GROWTH_MAX, ReceiveContext, SendContext, SrtpKeyMaterial, SrtpLimits,
    SsrcIndices,
};

use crate::address::CryptoId;
use crate::verdict::MediaKind;

/// A context that flows share.
pub(crate) type SharedSend = Arc<Mutex<SendContext>>;
/// A context that flows share.
pub(crate) type SharedReceive = Arc<Mutex<ReceiveContext>>;

/// Takes a context's lock. A panic elsewhere cannot leave a context half-changed: indices are noted in one step after
/// the cryptography, so a poisoned lock is as good as another.
pub(crate) fn lock<T>(context: &Mutex<T>) -> MutexGuard<'_, T> {
    context.lock().unwrap_or_else(PoisonError::into_inner)
}

/// How many contexts there are, and how large each may grow.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct CryptoLimits {
    /// Contexts. Default 65,536.
    pub contexts: usize,
    /// SSRCs of each.
    pub srtp: SrtpLimits,
}

impl Default for CryptoLimits {
    fn default() -> Self {
        Self {
            contexts: 65_536,
            srtp: SrtpLimits::default(),
        }
    }
}

/// Which way a context's packets go.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum CryptoDirection {
    /// To the peer: protects.
    Send,
    /// From the peer: unprotects.
    Receive,
}

/// A change of the table, as the session core emits it. Applied before the rules that name the context.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum CryptoCommand {
    /// A context for a key.
    Install {
        /// Its name.
        id: CryptoId,
        /// Its direction.
        direction: CryptoDirection,
        /// Its key.
        keys: SrtpKeyMaterial,
    },
    /// A context goes on where an earlier one with its key has stopped, before any rule names it: see
    /// [`SendContext::resume`] and [`ReceiveContext::resume`].
    Resume {
        /// Which.
        id: CryptoId,
        /// Where the SSRCs stood.
        indices: Vec<SsrcIndices>,
        /// Where RTCP of other SSRCs begins; means nothing for a receive context.
        rtcp_first: u32,
    },
    /// No rule will name the context again; those that do keep it alive until they are replaced.
    Remove {
        /// Which.
        id: CryptoId,
    },
}

/// Why a command changed nothing.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum CryptoError {
    /// The name is in use. A context is never replaced: its indices would begin again.
    #[error("crypto context {} exists", .0.0)]
    Exists(CryptoId),
    /// There is no such context.
    #[error("there is no crypto context {}", .0.0)]
    Unknown(CryptoId),
    /// [`CryptoLimits::contexts`] are in the table.
    #[error("too many crypto contexts")]
    Full,
}

/// Why a packet cannot go out under a context.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum EmitError {
    /// There is no such context.
    #[error("there is no crypto context {} to send with", .0.0)]
    Unknown(CryptoId),
    /// It takes no more packets.
    #[error(transparent)]
    Protect(#[from] ProtectError),
}

#[derive(Debug, Clone)]
enum Context {
    Send(SharedSend),
    Receive(SharedReceive),
}

/// All contexts by name. A handle: clones share the table. Workers look into it only when a rule is installed.
#[derive(Debug, Clone, Default)]
pub struct CryptoTable {
    limits: CryptoLimits,
    contexts: Arc<Mutex<BTreeMap<CryptoId, Context>>>,
}

impl CryptoTable {
    /// An empty table.
    #[must_use]
    pub fn new(limits: CryptoLimits) -> Self {
        Self {
            limits,
            contexts: Arc::default(),
        }
    }

    /// Adds or removes a context.
    ///
    /// # Errors
    /// [`CryptoError`]; the table is unchanged.
    pub fn apply(&self, command: &CryptoCommand) -> Result<(), CryptoError> {
        match command {
            CryptoCommand::Install { id, direction, keys } => {
                // Key derivation takes microseconds: not under the table's lock.
                let srtp = self.limits.srtp;
                let context = match direction {
                    CryptoDirection::Send => {
                        Context::Send(Arc::new(Mutex::new(SendContext::new(keys, srtp))))
                    }
                    CryptoDirection::Receive => {
                        Context::Receive(Arc::new(Mutex::new(ReceiveContext::new(keys, srtp))))
                    }
                };
                let mut contexts = lock(&self.contexts);
                if contexts.contains_key(id) {
                    return Err(CryptoError::Exists(*id));
                }
                if contexts.len() >= self.limits.contexts {
                    return Err(CryptoError::Full);
                }
                contexts.insert(*id, context);
            }
            CryptoCommand::Resume {
                id,
                indices,
                rtcp_first,
            } => match self.find(*id).ok_or(CryptoError::Unknown(*id))? {
                Context::Send(context) => lock(&context).resume(indices, *rtcp_first),
                Context::Receive(context) => lock(&context).resume(indices),
            },
            CryptoCommand::Remove { id } => {
                lock(&self.contexts).remove(id).ok_or(CryptoError::Unknown(*id))?;
            }
        }
        Ok(())
    }

    /// Where the SSRCs of a context stand; nothing if there is no such context.
    #[must_use]
    pub fn indices(&self, id: CryptoId) -> Vec<SsrcIndices> {
        match self.find(id) {
            Some(Context::Send(context)) => lock(&context).indices(),
            Some(Context::Receive(context)) => lock(&context).indices(),
            None => Vec::new(),
        }
    }

    /// Makes SRTP of an RTP packet that is none of a flow's, or SRTCP of RTCP.
    ///
    /// # Errors
    /// There is no such context, or it takes no more packets.
    pub fn protect(
        &self,
        now: Tick,
        id: CryptoId,
        kind: MediaKind,
        mut packet: Vec<u8>,
    ) -> Result<Vec<u8>, EmitError> {
        let context = self.send(id).ok_or(EmitError::Unknown(id))?;
        let len = packet.len();
        packet.resize(len + RTP_GROWTH_MAX.max(RTCP_GROWTH_MAX), 0);
        let len = match kind {
            MediaKind::Rtp => lock(&context).protect_rtp(now, &mut packet, len)?,
            MediaKind::Rtcp => lock(&context).protect_rtcp(now, &mut packet, len)?,
        };
        packet.truncate(len);
        Ok(packet)
    }

    /// Contexts in the table.
    #[must_use]
    pub fn len(&self) -> usize {
        lock(&self.contexts).len()
    }

    /// Whether there is none.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    fn find(&self, id: CryptoId) -> Option<Context> {
        lock(&self.contexts).get(&id).cloned()
    }

    pub(crate) fn send(&self, id: CryptoId) -> Option<SharedSend> {
        match lock(&self.contexts).get(&id)? {
            Context::Send(context) => Some(Arc::clone(context)),
            Context::Receive(_) => None,
        }
    }

    pub(crate) fn receive(&self, id: CryptoId) -> Option<SharedReceive> {
        match lock(&self.contexts).get(&id)? {
            Context::Receive(context) => Some(Arc::clone(context)),
            Context::Send(_) => None,
        }
    }
}

#[cfg(test)]
mod tests {
    use viaduct_rtp::srtp::SrtpProfile;

    use super::*;

    fn install(id: u64, direction: CryptoDirection) -> CryptoCommand {
        let keys = SrtpKeyMaterial::new(SrtpProfile::AeadAes128Gcm, &[1; 16], &[2; 12]).unwrap();
        CryptoCommand::Install {
            id: CryptoId(id),
            direction,
            keys,
        }
    }

    #[test]
    fn contexts_are_found_by_name_and_direction() {
        let table = CryptoTable::default();
        assert_eq!(table.apply(&install(1, CryptoDirection::Send)), Ok(()));
        assert_eq!(table.apply(&install(2, CryptoDirection::Receive)), Ok(()));
        assert!(table.send(CryptoId(1)).is_some() && table.receive(CryptoId(1)).is_none());
        assert!(table.receive(CryptoId(2)).is_some() && table.send(CryptoId(2)).is_none());
        assert_eq!(table.apply(&CryptoCommand::Remove { id: CryptoId(1) }), Ok(()));
        assert_eq!(
            table.apply(&CryptoCommand::Remove { id: CryptoId(1) }),
            Err(CryptoError::Unknown(CryptoId(1)))
        );
        assert_eq!(table.clone().len(), 1);
    }

    #[test]
    fn a_context_is_never_replaced() {
        let table = CryptoTable::default();
        table.apply(&install(1, CryptoDirection::Send)).unwrap();
        let before = table.send(CryptoId(1)).unwrap();
        for direction in [CryptoDirection::Send, CryptoDirection::Receive] {
            assert_eq!(
                table.apply(&install(1, direction)),
                Err(CryptoError::Exists(CryptoId(1)))
            );
        }
        assert!(Arc::ptr_eq(&before, &table.send(CryptoId(1)).unwrap()));
    }

    #[test]
    fn a_context_goes_on_where_another_has_stopped() {
        let table = CryptoTable::default();
        let indices = vec![SsrcIndices {
            ssrc: 7,
            rtp_next: 1 << 17,
            rtcp_next: 9,
        }];
        for (id, direction) in [(1, CryptoDirection::Send), (2, CryptoDirection::Receive)] {
            let resume = CryptoCommand::Resume {
                id: CryptoId(id),
                indices: indices.clone(),
                rtcp_first: 5,
            };
            assert_eq!(table.apply(&resume), Err(CryptoError::Unknown(CryptoId(id))));
            table.apply(&install(id, direction)).unwrap();
            assert_eq!(table.indices(CryptoId(id)), []);
            table.apply(&resume).unwrap();
            assert_eq!(table.indices(CryptoId(id)), indices);
        }
        assert_eq!(table.indices(CryptoId(3)), []);
    }

    #[test]
    fn the_table_is_bounded() {
        let table = CryptoTable::new(CryptoLimits {
            contexts: 1,
            ..CryptoLimits::default()
        });
        table.apply(&install(1, CryptoDirection::Send)).unwrap();
        assert_eq!(
            table.apply(&install(2, CryptoDirection::Send)),
            Err(CryptoError::Full)
        );
    }
}

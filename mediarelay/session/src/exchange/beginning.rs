//! What begins with an offer, before anybody has answered it, where the operator wants that: checks and handshakes with its
//! sender, which rtpengine begins at once.

use super::{Exchange, TowardOfferer};
use crate::call::Call;
use crate::core::Core;
use crate::describe::RemoteMedia;
use crate::leg::{IceRole, Leg};

impl Call {
    /// Begins with the sender of a first offer what the answer will conclude.
    pub(super) fn begin_with_offerer(&mut self, core: &mut Core, exchange: &Exchange<'_>) {
        if !core.config.begin_at_offer {
            return;
        }
        let toward = self.dialogues[exchange.dialogue].toward_offerer;
        self.choose_ice(core, exchange.sender);
        for (position, remote) in self.live_leaders(exchange.sender) {
            let sender = self.party(exchange.sender);
            if sender.medias[position].direct {
                continue;
            }
            let lite = sender.ice_lite && !remote.ice.as_ref().is_some_and(|ice| ice.lite);
            if let Some(leg) = self.leg_of_mut(exchange.sender, position) {
                begin(leg, core, exchange, toward, lite, &remote);
            }
        }
    }
}

fn begin(
    leg: &mut Leg,
    core: &mut Core,
    exchange: &Exchange<'_>,
    toward: TowardOfferer,
    lite: bool,
    remote: &RemoteMedia,
) {
    if leg.ice.is_some() || leg.dtls.is_some() || leg.sdes.is_agreed() {
        return;
    }
    if let Some(ice) = remote.ice.as_deref().cloned().filter(|_| !toward.reject_ice) {
        let role = IceRole::toward_offerer(lite, ice.lite);
        leg.ensure_ice(core, role);
        leg.set_remote_ice(exchange.now, core, ice);
        leg.begun_early = Some(exchange.now);
    }
    let by_dtls = remote.protocol.is_secure() && (remote.cryptos.is_empty() || !toward.prefer_sdes);
    if let Some(dtls) = remote.dtls.as_deref().cloned().filter(|_| by_dtls) {
        leg.is_no_browser = !remote.protocol.has_feedback();
        leg.set_remote_dtls(core, dtls);
        let passive = toward.dtls_passive.unwrap_or(core.config.dtls_passive);
        leg.ensure_dtls(core).fix_role_to_offerer(passive);
        leg.begun_early = Some(exchange.now);
    }
}

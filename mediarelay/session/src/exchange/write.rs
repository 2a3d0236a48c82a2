//! The SDP for the reader.

mod media;
mod origin;

use viaduct_ng::{Bundle, Flag, Options, SdpAttr, SdpSection};
use viaduct_sdp::{AttributeEdits, Group, MediaOut, SessionOut};

use super::{Exchange, Kind};
use crate::call::Call;
use crate::core::Core;

impl Call {
    /// Writes what the sender said, with the reader's leg in the place of the sender's addresses.
    pub(super) fn write(&mut self, core: &mut Core, exchange: &Exchange<'_>) -> Vec<u8> {
        let mut out = SessionOut::from_sender(exchange.session);
        if exchange.has(Flag::LoopProtect) {
            out.loop_marker = Some(core.instance_id.clone());
        }
        let count = self.party(exchange.reader).medias.len();
        out.medias = (0..count)
            .map(|position| self.write_media(core, exchange, position))
            .collect();
        out.ice_lite = self.party(exchange.reader).ice_lite && self.tells_lite(exchange, &out);
        out.groups = match self.groups_through(core, exchange) {
            Some(groups) => groups,
            None => self.groups(exchange, &out),
        };
        out.edits = edits(exchange.options, SdpSection::Global);
        self.write_origin(exchange, out)
    }

    /// Whether some leg of the reader has a lite agent, and its SDP shows ICE.
    fn tells_lite(&self, exchange: &Exchange<'_>, out: &SessionOut) -> bool {
        let lite = |at: usize| {
            let leg = self.leg_of(exchange.reader, at);
            leg.and_then(|leg| leg.ice.as_ref())
                .is_some_and(|ice| ice.is_lite())
        };
        out.medias
            .iter()
            .enumerate()
            .any(|(at, media)| media.ice.is_some() && lite(at))
    }

    /// The bundle that the reader has, or is offered: the m-lines on the leg of the first one.
    fn groups(&mut self, exchange: &Exchange<'_>, out: &SessionOut) -> Vec<Group> {
        let is_offer = exchange.kind == Kind::Offer;
        // m-lines with ports of their own may share one if the reader likes.
        let may_share = is_offer && exchange.options.bundle.contains(Bundle::Offer);
        let offers = is_offer && self.bundles_to(exchange) || may_share;
        let reader = self.party_mut(exchange.reader);
        reader.offered_bundle = offers || exchange.kind == Kind::Offer && reader.bundles;
        if !offers && !reader.bundles {
            return Vec::new();
        }
        let live = |at: &usize| !out.medias[*at].rejected && reader.medias[*at].leg.is_some();
        let Some(first) = (0..out.medias.len()).find(live) else {
            return Vec::new();
        };
        let on_leg =
            |at: &usize| live(at) && (may_share || reader.medias[*at].leg == reader.medias[first].leg);
        let mids: Vec<String> = (first..out.medias.len())
            .filter(on_leg)
            .filter_map(|at| out.medias[at].mid.clone())
            .collect();
        if mids.is_empty() {
            return Vec::new();
        }
        vec![Group::bundle(mids)]
    }
}

/// NG's `sdp-attr` for a section.
pub(super) fn edits(options: &Options, section: SdpSection) -> AttributeEdits {
    let octets = |texts: &[String]| texts.iter().map(|text| text.clone().into_bytes()).collect();
    let of_section = |attr: &&SdpAttr| attr.section == section;
    options
        .sdp_attr
        .iter()
        .find(of_section)
        .map_or_else(AttributeEdits::default, |attr| AttributeEdits {
            remove: octets(&attr.remove),
            substitute: attr
                .substitute
                .iter()
                .map(|(from, to)| (from.clone().into_bytes(), to.clone().into_bytes()))
                .collect(),
            add: octets(&attr.add),
        })
}

/// A rejected m-line of this kind.
fn rejected(
    kind: &str,
    protocol: &str,
    formats: Vec<String>,
    family: viaduct_sdp::AddressFamily,
) -> MediaOut {
    let mut out = MediaOut::new(kind, 0, protocol, viaduct_sdp::Connection::zero(family));
    out.formats = formats;
    out.rejected = true;
    out
}

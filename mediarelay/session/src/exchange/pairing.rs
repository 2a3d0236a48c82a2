//! Which m-lines of two parties belong together, and what requests ask for that lasts.

use viaduct_ng::{AddressFamily, Bundle, DtlsRequest, Flag, IceLite, MediaEcho, MediaType};
use viaduct_sdp::{HashFunction, MediaKind};

use super::{Exchange, Kind, TowardOfferer};
use crate::call::Call;
use crate::config::Interface;
use crate::core::Core;
use crate::describe::Description;
use crate::party::{Media, Wishes};

impl Call {
    /// Gives every m-line of an offer its counterpart at the reader, except those that are to be removed.
    pub(super) fn pair_offer(&mut self, core: &mut Core, exchange: &Exchange<'_>, description: &Description) {
        self.pair(core, exchange, description, |kind| {
            exchange.options.sdp_media_remove.contains(media_type(kind))
        });
    }

    /// Answers only number what was offered; more m-lines than that have no counterpart.
    pub(super) fn pair_answer(
        &mut self,
        core: &mut Core,
        exchange: &Exchange<'_>,
        description: &Description,
    ) {
        self.pair(core, exchange, description, |_| true);
    }

    fn pair(
        &mut self,
        core: &mut Core,
        exchange: &Exchange<'_>,
        description: &Description,
        leave_out: impl Fn(MediaKind) -> bool,
    ) {
        let (sender, reader) = (exchange.sender, exchange.reader);
        let known = self.party(sender).medias.len().max(description.medias.len());
        let medias = &mut self.party_mut(sender).medias;
        medias.reserve_exact(known - medias.len());
        medias.resize_with(known, Media::default);
        for (position, media) in description.medias.iter().enumerate() {
            let dialogue = &self.dialogues[exchange.dialogue];
            if dialogue.opposite(sender, position).is_some() || leave_out(media.kind) {
                continue;
            }
            // An m-line of the reader that has no counterpart yet, from a time with another peer, else a new one.
            let free = (0..self.party(reader).medias.len()).find(|at| {
                let of_reader = &self.party(reader).medias[*at];
                let same_kind = of_reader
                    .remote
                    .as_ref()
                    .is_none_or(|remote| remote.kind_text == media.kind_text);
                same_kind && dialogue.opposite(reader, *at).is_none()
            });
            let is_full = self.party(reader).medias.len() >= core.config.limits.medias_per_party;
            let Some(opposite) = free.or_else(|| (!is_full).then(|| self.party_mut(reader).add_media()))
            else {
                core.counters.limits.sdp += 1;
                continue;
            };
            self.dialogues[exchange.dialogue].join(sender, position, opposite);
        }
    }

    /// Keeps what holds for later SDPs as well.
    pub(super) fn note_wishes(&mut self, core: &mut Core, exchange: &Exchange<'_>) {
        let options = exchange.options;
        let (from, to) = (options.from_interface.as_deref(), options.to_interface.as_deref());
        let families = [from, to].map(|name| name.and_then(|name| family(core, name)));
        let from = from.filter(|_| families[0].is_none());
        let to = to.filter(|_| families[1].is_none());
        let from = from.map(|name| interface(core, name));
        let to = to.map(|name| interface(core, name));
        if exchange.kind == Kind::Offer {
            self.dialogues[exchange.dialogue].toward_offerer = TowardOfferer::read(options);
            let sender = self.party_mut(exchange.sender);
            let asks = !options.sdes.is_empty();
            sender.offer_sdes = asks.then(|| Box::new(options.sdes.clone()));
            sender.wishes.interface = from.or(sender.wishes.interface);
            sender.wishes.family = families[0].or(sender.wishes.family);
            let word = |word| options.bundle.contains(word);
            let asked = [Bundle::Accept, Bundle::Offer, Bundle::Require, Bundle::Strict]
                .into_iter()
                .any(word);
            let asked = (word(Bundle::Reject) || asked).then_some(asked && !word(Bundle::Reject));
            sender.wishes.bundle = asked.or(sender.wishes.bundle);
            sender.wishes.ice_lite = match options.ice.lite {
                Some(IceLite::Backward | IceLite::Both) => Some(true),
                Some(IceLite::Off) => Some(false),
                Some(IceLite::Forward) | None => sender.wishes.ice_lite,
            };
        }
        if let Some(echo) = options.media_echo {
            let of = |own| Some(echo == MediaEcho::Both || echo == own);
            self.party_mut(exchange.sender).echo = of(MediaEcho::Backward);
            self.party_mut(exchange.reader).echo = of(MediaEcho::Forward);
        }
        if let Some(label) = &options.label {
            self.party_mut(exchange.sender).label = Some(label.clone());
        }
        if let Some(label) = &options.set_label {
            self.party_mut(exchange.reader).label = Some(label.clone());
        }
        let reader = self.party_mut(exchange.reader);
        let wishes = &mut reader.wishes;
        if exchange.kind == Kind::Offer {
            wishes.interface = to.or(wishes.interface);
            wishes.family = families[1].or(wishes.family);
            let word = |word| options.bundle.contains(word);
            wishes.bundle_only |= word(Bundle::Require) || word(Bundle::Strict);
            wishes.bundle_only &= !word(Bundle::Reject);
            wishes.ice_lite = match options.ice.lite {
                Some(IceLite::Forward | IceLite::Both) => Some(true),
                Some(IceLite::Off) => Some(false),
                Some(IceLite::Backward) | None => wishes.ice_lite,
            };
            if exchange.has(Flag::Reset) {
                *wishes = Wishes {
                    interface: wishes.interface,
                    ..Wishes::default()
                };
            }
        }
        wishes.family = options.address_family.or(wishes.family);
        wishes.ice = options.ice.mode.or(wishes.ice);
        wishes.fingerprint = options.dtls_fingerprint.map(hash).or(wishes.fingerprint);
        if !options.sdes.is_empty() {
            wishes.sdes = Some(Box::new(options.sdes.clone()));
        }
        if let Some(wish) = options.dtls {
            wishes.dtls_off = Some(wish == DtlsRequest::Off);
        }
    }
}

/// The address family that `direction` means by a name: `internal` is IPv4 and `external` IPv6, where no interface is
/// called so.
fn family(core: &Core, name: &str) -> Option<AddressFamily> {
    let is_named = core
        .config
        .interfaces
        .iter()
        .any(|interface| interface.name.split(':').next() == Some(name));
    match name {
        "internal" if !is_named => Some(AddressFamily::Ip4),
        "external" if !is_named => Some(AddressFamily::Ip6),
        _ => None,
    }
}

/// The interface with a name; of a group `name:suffix` any. The default where there is none.
fn interface(core: &mut Core, name: &str) -> usize {
    use rand::RngExt;
    let interfaces = &core.config.interfaces;
    if let Some(exact) = interfaces.iter().position(|interface| interface.name == name) {
        return exact;
    }
    let of_group = |interface: &Interface| {
        interface
            .name
            .strip_prefix(name)
            .is_some_and(|rest| rest.starts_with(':'))
    };
    let members: Vec<usize> = (0..interfaces.len())
        .filter(|at| of_group(&interfaces[*at]))
        .collect();
    if members.is_empty() {
        tracing::warn!(name, "unknown interface; the default is used");
        return 0;
    }
    members[core.rng.random_range(0..members.len())]
}

pub(super) fn media_type(kind: MediaKind) -> MediaType {
    match kind {
        MediaKind::Audio => MediaType::Audio,
        MediaKind::Video => MediaType::Video,
        MediaKind::Image => MediaType::Image,
        MediaKind::Message => MediaType::Message,
        MediaKind::Text => MediaType::Text,
        MediaKind::Application => MediaType::Application,
        MediaKind::Other => MediaType::Other,
    }
}

fn hash(hash: viaduct_ng::FingerprintHash) -> HashFunction {
    use viaduct_ng::FingerprintHash as Ng;
    match hash {
        Ng::Sha1 => HashFunction::Sha1,
        Ng::Sha224 => HashFunction::Sha224,
        Ng::Sha256 => HashFunction::Sha256,
        Ng::Sha384 => HashFunction::Sha384,
        Ng::Sha512 => HashFunction::Sha512,
    }
}

//! Fax in an exchange: a party that speaks T.38 on its wire, and G.711 to everybody else (NG `T.38`).
//!
//! Its SDPs are read as if their m-lines of T.38 were audio, and what is written to it has them as they were. In between there
//! is nothing but audio: codecs, directions, holds and forks are those of any call.

use viaduct_fax::parameters::{Options as Modems, Parameters};
use viaduct_fax::udptl::ErrorCorrection;
use viaduct_ng::{T38, Word};
use viaduct_rtp::g711::Law;
use viaduct_sdp::{Direction, Media, MediaKind, MediaOut, Protocol, Session};

use super::{Exchange, Kind};
use crate::call::Call;
use crate::core::Core;
use crate::describe::RemoteMedia;
use crate::leg::Wire;
use crate::party::{Fax, PartyId};

/// The format of T.38's m-lines (RFC 3362).
const FORMAT: &str = "t38";

/// An SDP whose m-lines of T.38 are audio.
#[derive(Debug)]
pub(crate) struct Voiced {
    pub(crate) sdp: Vec<u8>,
    /// For each m-line what was said of T.38, where it is audio now.
    pub(crate) faxes: Vec<Option<Parameters>>,
}

/// Makes audio of m-lines of T.38. `laws` says in which laws of G.711; with none an m-line stays. `None` if nothing changes.
pub(crate) fn voice(sdp: &[u8], session: &Session, laws: impl Fn(Media<'_>) -> Vec<Law>) -> Option<Voiced> {
    let laws = |media: Media<'_>| if is_fax(media) { laws(media) } else { Vec::new() };
    let made: Vec<Vec<Law>> = session.medias().map(laws).collect();
    if made.iter().all(Vec::is_empty) {
        return None;
    }
    let mut section = None;
    let mut voiced = Vec::with_capacity(sdp.len());
    for line in sdp.split_inclusive(|octet| *octet == b'\n') {
        if line.starts_with(b"m=") {
            section = Some(section.map_or(0, |at: usize| at + 1));
        }
        let laws = section
            .and_then(|at| made.get(at))
            .filter(|laws| !laws.is_empty());
        match laws {
            Some(laws) if line.starts_with(b"m=") => voiced.extend(audio_line(line, laws)),
            Some(_) if is_about_fax(line) => {}
            _ => voiced.extend_from_slice(line),
        }
    }
    let faxes = session.medias().zip(&made).map(|(media, laws)| {
        let attributes = media.attributes();
        let text = |value| std::str::from_utf8(value).ok();
        let texts = attributes.iter().map(|of| (of.name, of.value.and_then(text)));
        (!laws.is_empty()).then(|| Parameters::read(texts))
    });
    Some(Voiced {
        faxes: faxes.collect(),
        sdp: voiced,
    })
}

/// Whether an m-line is one of T.38 over UDPTL, and taken.
fn is_fax(media: Media<'_>) -> bool {
    media.kind() == MediaKind::Image
        && media.protocol() == Protocol::Udptl
        && !media.is_rejected()
        && media.formats().any(|format| format.eq_ignore_ascii_case(FORMAT))
}

/// `a=T38…`
fn is_about_fax(line: &[u8]) -> bool {
    line.get(..5)
        .is_some_and(|start| start.eq_ignore_ascii_case(b"a=T38"))
}

/// `m=image 6000 udptl t38` as audio.
fn audio_line(line: &[u8], laws: &[Law]) -> Vec<u8> {
    let port = line.split(|octet| *octet == b' ').nth(1).unwrap_or(b"0");
    let mut audio = [b"m=audio ", port, b" RTP/AVP"].concat();
    for law in laws {
        audio.extend(format!(" {}", law.payload_type()).into_bytes());
    }
    let end: &[u8] = if line.ends_with(b"\r\n") { b"\r\n" } else { b"\n" };
    audio.extend_from_slice(end);
    audio
}

/// The laws of G.711 among texts of NG's `codec`, in their order.
fn laws_named(names: &[String]) -> impl Iterator<Item = Law> {
    names.iter().filter_map(|name| Law::named(name))
}

impl Exchange<'_> {
    /// What the sender says of T.38 on an m-line that was made audio.
    pub(super) fn fax(&self, position: usize) -> Option<&Parameters> {
        self.faxes.get(position)?.as_ref()
    }

    fn asks_for(&self, word: T38) -> bool {
        self.options.t38.contains(word)
    }

    /// Whether an offer of audio is told as one of T.38.
    pub(super) fn forces_fax(&self, core: &Core, remote: &RemoteMedia) -> bool {
        self.may_fax && self.wants_fax(core, remote)
    }

    /// Whether it is to be.
    pub(super) fn wants_fax(&self, core: &Core, remote: &RemoteMedia) -> bool {
        self.kind == Kind::Offer
            && core.config.fax
            && self.asks_for(T38::Force)
            && !self.asks_for(T38::Stop)
            && remote.kind_text == "audio"
            && remote.is_rtp()
            && remote.is_live()
            && remote
                .payload_types
                .iter()
                .any(|of| Law::of_payload_type(*of).is_some())
    }

    /// Which modems a gateway may use.
    pub(super) fn modems(&self) -> Modems {
        let mut modems = Modems::default();
        for word in self.options.t38.iter() {
            modems.forbid(word.name());
        }
        modems
    }

    /// What the sender of an offer is told in return for its T.38.
    pub(super) fn fax_of_offer(&self, position: usize, before: Option<&Fax>) -> Option<Box<Fax>> {
        let theirs = self.fax(position)?.clone();
        let mut ours = theirs.answer();
        ours.version = self.options.t38_version.unwrap_or(ours.version);
        Some(Box::new(Fax {
            agreed: before.is_some_and(|before| before.agreed && before.theirs == theirs),
            theirs,
            ours,
            modems: self.modems(),
        }))
    }

    /// What a reader is offered of T.38.
    pub(super) fn fax_to_offer(&self, before: Option<&Fax>) -> Box<Fax> {
        let mut ours = Parameters::default();
        ours.version = self.options.t38_version.unwrap_or(ours.version);
        if self.asks_for(T38::Fec) {
            ours.error_correction = ErrorCorrection::Fec;
        }
        let before = before.filter(|before| before.agreed);
        Box::new(Fax {
            theirs: before.map_or_else(|| ours.clone(), |before| before.theirs.clone()),
            ours,
            modems: self.modems(),
            agreed: before.is_some(),
        })
    }
}

impl Call {
    /// Makes audio of what an offer has of T.38, if that is asked for and possible here.
    pub(crate) fn voice_offer(
        &self,
        core: &mut Core,
        options: &viaduct_ng::Options,
        sdp: &[u8],
        session: &Session,
    ) -> Option<Voiced> {
        let asks = |word| options.t38.contains(word);
        if !core.config.fax || !asks(T38::Decode) || asks(T38::Stop) || asks(T38::Force) {
            return None;
        }
        let codec = &options.codec;
        let asked: Vec<Law> = laws_named(&codec.transcode)
            .chain(laws_named(&codec.offer))
            .collect();
        let laws = if asked.is_empty() {
            vec![Law::Mu, Law::A]
        } else {
            asked
        };
        let voiced = voice(sdp, session, |_| laws.clone())?;
        if !self.may_fax(core) {
            core.counters.limits.fax_gateways += 1;
            return None;
        }
        Some(voiced)
    }

    /// Makes audio of what an answer has of T.38 where that was offered in the place of audio.
    pub(crate) fn voice_answer(
        &self,
        dialogue: usize,
        sender: PartyId,
        reader: PartyId,
        sdp: &[u8],
        session: &Session,
    ) -> Option<Voiced> {
        voice(sdp, session, |media| {
            let position = media.index();
            let of = self.party(sender).medias.get(position);
            let opposite = self.dialogues[dialogue].opposite(sender, position);
            let asker = opposite.and_then(|at| self.party(reader).medias.get(at)?.remote.as_ref());
            let offered = asker.filter(|_| of.is_some_and(|media| media.fax.is_some()));
            let laws = offered.into_iter().flat_map(|remote| &remote.payload_types);
            laws.copied().find_map(Law::of_payload_type).into_iter().collect()
        })
    }

    /// An answer has come: what was said of T.38 holds.
    pub(super) fn agree_on_fax(&mut self, party: PartyId) {
        for position in 0..self.party(party).medias.len() {
            let Some(fax) = &mut self.party_mut(party).medias[position].fax else {
                continue;
            };
            fax.agreed = true;
            if let Some(leg) = self.leg_of_mut(party, position) {
                leg.wire = Wire::Udptl;
            }
        }
    }
}

/// Makes T.38 of an m-line of audio again.
pub(super) fn write_fax(out: &mut MediaOut, fax: &Fax) {
    let line = MediaOut::new("image", out.port, "udptl", out.connection.clone());
    let attributes = fax.ours.attributes().map(|(name, value)| match value {
        Some(value) => format!("{name}:{value}").into_bytes(),
        None => name.as_bytes().to_vec(),
    });
    *out = MediaOut {
        formats: vec![FORMAT.to_owned()],
        rejected: out.rejected,
        mid: out.mid.take(),
        label: out.label.take(),
        bandwidths: std::mem::take(&mut out.bandwidths),
        passed: if out.rejected {
            Vec::new()
        } else {
            attributes.collect()
        },
        direction: out.direction.or(Some(Direction::SendRecv)),
        ..line
    };
}

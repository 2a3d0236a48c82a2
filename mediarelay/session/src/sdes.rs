//! SRTP keys in SDP (RFC 4568): what we offer, what we accept.
//!
//! Keys of ours are our own on every leg and stay the same over re-offers while their suite does, and media is decrypted,
//! verified and encrypted again, also where both sides use the same suite. Only where we are to be like rtpengine
//! ([`SdesMode::Rtpengine`]) a key that one side gives is told to the other, and SRTP may pass unopened.

use rand::Rng;
use viaduct_ng::{Sdes as Wishes, SdesWord};
use viaduct_rtp::srtp::{Mki, SrtpKeyMaterial, SrtpKeyPair, SrtpProfile};
use viaduct_sdp::{Crypto, CryptoSuite, Lifetime, MasterKey};

use crate::config::SdesMode;
use crate::secrets;

/// Lines of ours in one offer; a sender's own lines count among them.
const OFFERED_MAX: usize = 16;

/// One line of ours.
#[derive(Debug, Clone, PartialEq, Eq)]
struct Own {
    tag: u32,
    key: SrtpKeyMaterial,
}

/// What a peer's line says, if we can do it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Theirs {
    pub(crate) tag: u32,
    pub(crate) key: SrtpKeyMaterial,
}

impl Theirs {
    /// Reads a line. `None` for suites, session parameters and key identifiers that we do not have.
    pub(crate) fn read(crypto: &Crypto) -> Option<Self> {
        let profile = SrtpProfile::from_sdes_name(crypto.suite.name())?;
        let [key] = &crypto.keys[..] else { return None };
        if !crypto.session_params.is_empty() {
            return None;
        }
        let mki = match key.mki {
            Some(mki) => Some(Mki::new(mki.value, mki.octets.into())?),
            None => None,
        };
        Some(Self {
            tag: crypto.tag,
            key: SrtpKeyMaterial::from_sdes(profile, &key.key.0)
                .ok()?
                .with_mki(mki),
        })
    }

    pub(crate) fn profile(&self) -> SrtpProfile {
        self.key.profile()
    }
}

/// SDES of one leg.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(crate) struct Sdes {
    /// What we have told the peer: the lines of our offer, or the one of our answer.
    own: Vec<Own>,
    /// The tag of our line and the peer's key, once both sides have spoken.
    agreed: Option<Box<(u32, SrtpKeyMaterial)>>,
}

impl Sdes {
    /// Whether both sides have keys.
    pub(crate) fn is_agreed(&self) -> bool {
        self.agreed.is_some()
    }

    pub(crate) fn clear(&mut self) {
        *self = Self::default();
    }

    /// The suite in use.
    pub(crate) fn profile(&self) -> Option<SrtpProfile> {
        self.peer_key().map(SrtpKeyMaterial::profile)
    }

    /// Whether we send under a key of another party's by a suite with AES-GCM. What we pass on must be what that party has
    /// sent, octet for octet: two different packets with one key and index would give the key away (RFC 5116 section 5.1.1).
    pub(crate) fn passes_on_gcm(&self) -> bool {
        let own = self
            .agreed
            .as_deref()
            .and_then(|(tag, _)| self.own.iter().find(|own| own.tag == *tag));
        own.is_some_and(|own| own.key.is_shared() && own.key.profile().is_aead())
    }

    /// The peer's key, once both sides have spoken.
    pub(crate) fn peer_key(&self) -> Option<&SrtpKeyMaterial> {
        self.agreed.as_deref().map(|(_, key)| key)
    }

    /// The lines of an offer. `sender` has the lines of the other side's SDP: its suites come first and keep their
    /// tags; what is missing follows.
    pub(crate) fn offer(
        &mut self,
        sender: &[Theirs],
        wishes: &Wishes,
        mode: SdesMode,
        rng: &mut impl Rng,
    ) -> Vec<Crypto> {
        // What came in and nothing else beats what shall be left out.
        let only_theirs = wishes.words.contains(SdesWord::NoNew);
        let mut wanted: Vec<(u32, SrtpProfile)> = Vec::new();
        for theirs in sender {
            if (only_theirs && mode.accepts(theirs.profile()) || may_offer(wishes, mode, theirs.profile()))
                && wanted.iter().all(|(_, known)| *known != theirs.profile())
            {
                wanted.push((theirs.tag, theirs.profile()));
            }
        }
        let mut next_tag = wanted.iter().map(|(tag, _)| *tag).max().unwrap_or(0) + 1;
        // What the peer has been told before comes before what it has not.
        for own in &self.own {
            let profile = own.key.profile();
            if may_offer(wishes, mode, profile) && wanted.iter().all(|(_, known)| *known != profile) {
                wanted.push((own.tag.max(next_tag), profile));
                next_tag = own.tag.max(next_tag) + 1;
            }
        }
        for profile in mode.offers().iter().filter(|_| !only_theirs) {
            if may_offer(wishes, mode, *profile) && wanted.iter().all(|(_, known)| known != profile) {
                wanted.push((next_tag, *profile));
                next_tag += 1;
            }
        }
        wanted.truncate(OFFERED_MAX);
        order(&mut wanted, &wishes.order, |(_, profile)| *profile);
        self.own = wanted
            .into_iter()
            .map(|(tag, profile)| {
                let of_sender = sender.iter().find(|theirs| theirs.profile() == profile);
                self.own_line(tag, profile, of_sender.map(|theirs| &theirs.key), mode, rng)
            })
            .collect();
        self.own.iter().map(|own| own.line(wishes)).collect()
    }

    /// Takes the line of an answer. The keys of both directions, if it answers one of ours.
    pub(crate) fn accept(&mut self, answered: &[Theirs]) -> Option<SrtpKeyPair> {
        let (own, theirs) = answered.iter().find_map(|theirs| {
            let own = self.own.iter().find(|own| own.tag == theirs.tag)?;
            (own.key.profile() == theirs.profile()).then_some((own, theirs))
        })?;
        self.agreed = Some(Box::new((own.tag, theirs.key.clone())));
        Some(SrtpKeyPair {
            send: own.key.clone(),
            receive: theirs.key.clone(),
        })
    }

    /// Chooses among the lines of an offer: the suite in use if the wishes say so, what the wishes prefer, the suite
    /// that the other side uses, or the first. The keys of both directions.
    pub(crate) fn choose(
        &mut self,
        offered: &[Theirs],
        other_side: &OtherSide,
        wishes: &Wishes,
        mode: SdesMode,
        rng: &mut impl Rng,
    ) -> Option<SrtpKeyPair> {
        let allowed = |profile| mode.accepts(profile) && names(&wishes.only, profile);
        let has_allowed = offered.iter().any(|theirs| allowed(theirs.profile()));
        let may_be = |profile: SrtpProfile| match (wishes.only.is_empty(), has_allowed) {
            (true, _) => mode.accepts(profile) && !names(&wishes.no, profile),
            (false, true) => allowed(profile),
            (false, false) => mode.accepts(profile),
        };
        let mut offered = offered.iter().filter(|theirs| may_be(theirs.profile()));
        let of = |profile: SrtpProfile| offered.clone().find(|theirs| theirs.profile() == profile);
        let in_use = self.profile().filter(|_| wishes.words.contains(SdesWord::Static));
        let preferred = wishes
            .offerer_pref
            .iter()
            .filter_map(|name| SrtpProfile::from_sdes_name(name))
            .find_map(of);
        let theirs = in_use
            .and_then(of)
            .or(preferred)
            .or_else(|| other_side.suite.and_then(of))
            .or_else(|| offered.next())?;
        let profile = theirs.profile();
        let own = self.own_line(theirs.tag, profile, other_side.key.as_ref(), mode, rng);
        let pair = SrtpKeyPair {
            send: own.key.clone(),
            receive: theirs.key.clone(),
        };
        self.agreed = Some(Box::new((own.tag, theirs.key.clone())));
        self.own = vec![own];
        Some(pair)
    }

    /// The line of our answer.
    pub(crate) fn answer(&self, wishes: &Wishes) -> Option<Crypto> {
        let (tag, _) = self.agreed.as_deref()?;
        self.own
            .iter()
            .find(|own| own.tag == *tag)
            .map(|own| own.line(wishes))
    }

    /// A line with the key that the other side gives, or with the one that we have told before for this suite, or with
    /// another.
    fn own_line(
        &self,
        tag: u32,
        profile: SrtpProfile,
        given: Option<&SrtpKeyMaterial>,
        mode: SdesMode,
        rng: &mut impl Rng,
    ) -> Own {
        let given = given.filter(|key| mode == SdesMode::Rtpengine && key.profile() == profile);
        if let Some(key) = given {
            let key = key.clone().shared();
            return Own { tag, key };
        }
        let known = self.own.iter().find(|own| own.key.profile() == profile);
        let key = known.map_or_else(|| new_key(profile, rng), |own| own.key.clone());
        Own { tag, key }
    }
}

/// What the other side of a call has agreed on.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(crate) struct OtherSide {
    /// The suite in use, by whichever kind of keying.
    pub(crate) suite: Option<SrtpProfile>,
    /// The key that it sends under, by SDES.
    pub(crate) key: Option<SrtpKeyMaterial>,
}

impl SdesMode {
    /// What is offered where nothing else is asked for.
    fn offers(self) -> &'static [SrtpProfile] {
        match self {
            Self::OwnKeys => &SrtpProfile::ALL,
            Self::Rtpengine => &SrtpProfile::SDES,
        }
    }

    fn accepts(self, profile: SrtpProfile) -> bool {
        let encrypts = !matches!(profile, SrtpProfile::NullSha1_80 | SrtpProfile::NullSha1_32);
        encrypts || self == Self::Rtpengine
    }
}

impl Own {
    fn line(&self, wishes: &Wishes) -> Crypto {
        let suite = CryptoSuite::from_name(self.key.profile().sdes_name());
        let key = [self.key.master_key(), self.key.master_salt()].concat();
        let mut crypto = Crypto::new(self.tag, suite, MasterKey(key));
        for key in &mut crypto.keys {
            key.mki = self.key.mki().map(|mki| viaduct_sdp::Mki {
                value: mki.value(),
                octets: mki.len() as u8,
            });
            key.padded = wishes.words.contains(SdesWord::Pad);
            key.lifetime = wishes
                .words
                .contains(SdesWord::Lifetime)
                .then_some(Lifetime::PowerOfTwo(31));
        }
        crypto
    }
}

fn new_key(profile: SrtpProfile, rng: &mut impl Rng) -> SrtpKeyMaterial {
    let octets = secrets::octets(rng, profile.key_len() + profile.salt_len());
    #[expect(
        clippy::expect_used,
        reason = "made with the profile's own length on the line above"
    )]
    SrtpKeyMaterial::from_sdes(profile, &octets).expect("a key of the profile's length")
}

fn may_offer(wishes: &Wishes, mode: SdesMode, profile: SrtpProfile) -> bool {
    if !mode.accepts(profile) {
        false
    } else if wishes.only.is_empty() {
        !names(&wishes.no, profile)
    } else {
        names(&wishes.only, profile)
    }
}

fn names(suites: &[String], profile: SrtpProfile) -> bool {
    let mut suites = suites.iter();
    suites.any(|suite| suite.eq_ignore_ascii_case(profile.sdes_name()))
}

/// Puts those named first, in the order they are named.
fn order<T>(list: &mut [T], names: &[String], profile: impl Fn(&T) -> SrtpProfile) {
    let place = |item: &T| {
        names
            .iter()
            .position(|name| name.eq_ignore_ascii_case(profile(item).sdes_name()))
            .unwrap_or(names.len())
    };
    // Stable: those not named stay as they are.
    list.sort_by_key(place);
}

#[cfg(test)]
mod tests {
    use rand::SeedableRng;
    use rand::rngs::StdRng;

    use super::*;

    fn rng() -> StdRng {
        StdRng::seed_from_u64(3)
    }

    fn theirs(lines: &[Crypto]) -> Vec<Theirs> {
        lines.iter().filter_map(Theirs::read).collect()
    }

    fn wishes(members: &[&str]) -> Wishes {
        let value = viaduct_ng::Value::Dict(
            [
                ("command".into(), viaduct_ng::Value::text("offer")),
                ("sdp".into(), viaduct_ng::Value::text("v=0")),
                ("call-id".into(), viaduct_ng::Value::text("c")),
                ("from-tag".into(), viaduct_ng::Value::text("f")),
                ("SDES".into(), viaduct_ng::Value::texts(members.iter().copied())),
            ]
            .into_iter()
            .collect(),
        );
        match viaduct_ng::Request::from_value(&value).unwrap().request {
            viaduct_ng::Request::Offer(offer) => offer.options.sdes,
            other => panic!("{other:?}"),
        }
    }

    fn tags(lines: &[Crypto]) -> Vec<(u32, &str)> {
        lines.iter().map(|line| (line.tag, line.suite.name())).collect()
    }

    #[test]
    fn both_ends_get_each_others_keys() {
        let mut rng = rng();
        let (mut offerer, mut answerer) = (Sdes::default(), Sdes::default());
        let offer = offerer.offer(&[], &Wishes::default(), SdesMode::OwnKeys, &mut rng);
        let theirs_pair = answerer
            .choose(
                &theirs(&offer),
                &OtherSide::default(),
                &Wishes::default(),
                SdesMode::OwnKeys,
                &mut rng,
            )
            .unwrap();
        let answer = answerer.answer(&Wishes::default()).unwrap();
        assert_eq!((answer.tag, answer.suite.name()), (1, "AEAD_AES_256_GCM"));
        let pair = offerer.accept(&theirs(&[answer])).unwrap();
        assert_eq!(
            (&pair.send, &pair.receive),
            (&theirs_pair.receive, &theirs_pair.send)
        );
    }

    #[test]
    fn the_senders_suites_come_first_with_their_tags_but_not_their_keys() {
        let mut rng = rng();
        let mut sender = Sdes::default();
        let only = wishes(&["only-AES_CM_128_HMAC_SHA1_80"]);
        let mut lines = sender.offer(&[], &only, SdesMode::OwnKeys, &mut rng);
        lines[0].tag = 7;
        let offer = Sdes::default().offer(&theirs(&lines), &Wishes::default(), SdesMode::OwnKeys, &mut rng);
        assert_eq!(
            tags(&offer),
            [
                (7, "AES_CM_128_HMAC_SHA1_80"),
                (8, "AEAD_AES_256_GCM"),
                (9, "AEAD_AES_128_GCM"),
                (10, "AES_CM_128_HMAC_SHA1_32"),
            ]
        );
        assert_ne!(offer[0].keys, lines[0].keys);
        let nonew = Sdes::default().offer(&theirs(&lines), &wishes(&["nonew"]), SdesMode::OwnKeys, &mut rng);
        assert_eq!(tags(&nonew), [(7, "AES_CM_128_HMAC_SHA1_80")]);
    }

    #[test]
    fn wishes_choose_and_order_suites() {
        let mut rng = rng();
        let some = wishes(&[
            "no-AEAD_AES_256_GCM",
            "order:AES_CM_128_HMAC_SHA1_32;AES_CM_128_HMAC_SHA1_80",
        ]);
        let offer = Sdes::default().offer(&[], &some, SdesMode::OwnKeys, &mut rng);
        assert_eq!(
            tags(&offer),
            [
                (3, "AES_CM_128_HMAC_SHA1_32"),
                (2, "AES_CM_128_HMAC_SHA1_80"),
                (1, "AEAD_AES_128_GCM")
            ]
        );
        let prefer = wishes(&["offerer_pref:AES_CM_128_HMAC_SHA1_80"]);
        let mut sdes = Sdes::default();
        sdes.choose(
            &theirs(&offer),
            &OtherSide::default(),
            &prefer,
            SdesMode::OwnKeys,
            &mut rng,
        )
        .unwrap();
        assert_eq!(sdes.profile(), Some(SrtpProfile::Aes128CmSha1_80));
        let mut same = Sdes::default();
        same.choose(
            &theirs(&offer),
            &OtherSide {
                suite: Some(SrtpProfile::AeadAes128Gcm),
                key: None,
            },
            &Wishes::default(),
            SdesMode::OwnKeys,
            &mut rng,
        )
        .unwrap();
        assert_eq!(same.profile(), Some(SrtpProfile::AeadAes128Gcm));
    }

    /// Proxies written for rtpengine may rely on it (NG `SDES`).
    #[test]
    fn like_rtpengine_a_key_is_told_to_the_other_side_with_its_suite() {
        let (mut rng, mode) = (rng(), SdesMode::Rtpengine);
        let only = wishes(&["only-AES_256_CM_HMAC_SHA1_80"]);
        let lines = Sdes::default().offer(&[], &only, mode, &mut rng);
        let (mut caller_leg, mut callee_leg) = (Sdes::default(), Sdes::default());
        let offer = callee_leg.offer(&theirs(&lines), &Wishes::default(), mode, &mut rng);
        assert_eq!(offer[0], lines[0]);
        assert_eq!(offer.len(), SrtpProfile::SDES.len());
        let last = offer.last().unwrap();
        assert_eq!((last.tag, last.suite.name()), (12, "NULL_HMAC_SHA1_32"));
        let mut answer = offer[0].clone();
        answer.keys[0].key.0.fill(9);
        callee_leg.accept(&theirs(std::slice::from_ref(&answer))).unwrap();
        let other = OtherSide {
            suite: callee_leg.profile(),
            key: callee_leg.peer_key().cloned(),
        };
        caller_leg
            .choose(&theirs(&lines), &other, &Wishes::default(), mode, &mut rng)
            .unwrap();
        assert_eq!(caller_leg.answer(&Wishes::default()), Some(answer));
    }

    /// RFC 5116 section 5.1.1: packets of ours under another's key have to be that other's packets.
    #[test]
    fn a_foreign_key_of_gcm_is_known_for_one() {
        let mut rng = rng();
        for (suite, mode, is_foreign) in [
            ("only-AEAD_AES_128_GCM", SdesMode::Rtpengine, true),
            ("only-AEAD_AES_128_GCM", SdesMode::OwnKeys, false),
            ("only-AES_CM_128_HMAC_SHA1_80", SdesMode::Rtpengine, false),
        ] {
            let only = wishes(&[suite]);
            let lines = Sdes::default().offer(&[], &only, mode, &mut rng);
            let mut sdes = Sdes::default();
            let offer = sdes.offer(&theirs(&lines), &only, mode, &mut rng);
            assert!(!sdes.passes_on_gcm(), "nothing is agreed on");
            sdes.accept(&theirs(&offer[..1])).unwrap();
            assert_eq!(sdes.passes_on_gcm(), is_foreign, "{suite} {mode:?}");
        }
    }

    #[test]
    fn media_that_is_not_encrypted_is_neither_offered_nor_accepted() {
        let mut rng = rng();
        let null = wishes(&["only-NULL_HMAC_SHA1_80"]);
        let lines = Sdes::default().offer(&[], &null, SdesMode::Rtpengine, &mut rng);
        let mut sdes = Sdes::default();
        let none = sdes.offer(&theirs(&lines), &null, SdesMode::OwnKeys, &mut rng);
        assert_eq!(none, []);
        let (other, wishes) = (OtherSide::default(), Wishes::default());
        let chosen = sdes.choose(&theirs(&lines), &other, &wishes, SdesMode::OwnKeys, &mut rng);
        assert_eq!(chosen, None);
    }

    /// NG `SDES`: `nonew` beats `only`; what an offer leaves out or prefers counts toward its sender as well.
    #[test]
    fn what_shall_be_left_out_is_left_out_on_both_sides() {
        let mut rng = rng();
        let lines = Sdes::default().offer(&[], &Wishes::default(), SdesMode::OwnKeys, &mut rng);
        let mut sdes = Sdes::default();
        let all = wishes(&["nonew", "only-AES_CM_128_HMAC_SHA1_80"]);
        let kept = sdes.offer(&theirs(&lines), &all, SdesMode::OwnKeys, &mut rng);
        assert_eq!(tags(&kept), tags(&lines));
        let none = Sdes::default().offer(&[], &all, SdesMode::OwnKeys, &mut rng);
        assert_eq!(none, []);
        let no = wishes(&["no-AEAD_AES_256_GCM"]);
        let other = OtherSide::default();
        let mut toward = Sdes::default();
        toward
            .choose(&theirs(&lines), &other, &no, SdesMode::OwnKeys, &mut rng)
            .unwrap();
        assert_eq!(toward.profile(), Some(SrtpProfile::AeadAes128Gcm));
        let only = wishes(&["only-AES_CM_128_HMAC_SHA1_32"]);
        let fresh = sdes.offer(&theirs(&lines[..2]), &only, SdesMode::OwnKeys, &mut rng);
        assert_eq!(tags(&fresh), [(4, "AES_CM_128_HMAC_SHA1_32")], "told as before");
    }

    #[test]
    fn keys_stay_over_re_offers() {
        let mut rng = rng();
        let mut sdes = Sdes::default();
        let first = sdes.offer(&[], &Wishes::default(), SdesMode::OwnKeys, &mut rng);
        assert_eq!(
            sdes.offer(&[], &Wishes::default(), SdesMode::OwnKeys, &mut rng),
            first
        );
    }

    #[test]
    fn what_the_peer_has_been_told_is_offered_first() {
        let mut rng = rng();
        let only = wishes(&["only-AES_CM_128_HMAC_SHA1_80"]);
        let lines = Sdes::default().offer(&[], &only, SdesMode::OwnKeys, &mut rng);
        let mut sdes = Sdes::default();
        let (other, none) = (OtherSide::default(), Wishes::default());
        sdes.choose(&theirs(&lines), &other, &none, SdesMode::OwnKeys, &mut rng)
            .unwrap();
        let offer = sdes.offer(&[], &none, SdesMode::OwnKeys, &mut rng);
        assert_eq!(offer[0], sdes.own[0].line(&none));
        assert_eq!(
            tags(&offer),
            [
                (1, "AES_CM_128_HMAC_SHA1_80"),
                (2, "AEAD_AES_256_GCM"),
                (3, "AEAD_AES_128_GCM"),
                (4, "AES_CM_128_HMAC_SHA1_32"),
            ]
        );
    }

    #[test]
    fn a_line_that_we_cannot_do_is_passed_over() {
        let line = |text: &str| {
            use viaduct_sdp::TypedAttribute;
            Theirs::read(&Crypto::parse_value(text).unwrap())
        };
        let key = "inline:WVNfX19zZW1jdGwgKCkgewkyMjA7fQp9CnVubGVz";
        assert!(line(&format!("1 AES_CM_128_HMAC_SHA1_80 {key}|2^20")).is_some());
        assert!(
            line(&format!("1 AES_CM_128_HMAC_SHA1_80 {key}|1:33")).is_none(),
            "an MKI that is too long"
        );
        assert!(line(&format!("1 AES_CM_128_HMAC_SHA1_80 {key} UNENCRYPTED_SRTP")).is_none());
        assert!(line(&format!("1 F8_128_HMAC_MD5_80 {key}")).is_none());
    }

    #[test]
    fn an_answer_to_something_else_gives_no_keys() {
        let mut rng = rng();
        let mut offerer = Sdes::default();
        let offer = offerer.offer(&[], &Wishes::default(), SdesMode::OwnKeys, &mut rng);
        let mut wrong_suite = offer[1].clone();
        wrong_suite.tag = offer[0].tag;
        assert_eq!(offerer.accept(&theirs(&[wrong_suite])), None);
        assert!(!offerer.is_agreed());
    }

    #[test]
    fn padding_and_lifetime_are_printed_when_asked_for() {
        let line = Sdes::default().offer(
            &[],
            &wishes(&["pad", "lifetime", "only-AEAD_AES_128_GCM"]),
            SdesMode::OwnKeys,
            &mut rng(),
        );
        let text = line[0].to_string();
        assert!(text.ends_with("=|2^31"), "{text}");
    }
}

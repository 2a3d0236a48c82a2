//! Laws: no octets make a reader panic; what was not edited is not touched; what is printed reads the same.

use proptest::prelude::*;
use viaduct_sdp::{
    AnswerProblem, AttributeEdits, Candidate, CodecList, CodecPattern, CodecRules, CodecSelector, Crypto,
    Edits, Extmap, Fingerprint, Fmtp, Group, IceOptions, IcePwd, IceUfrag, Label, MaxPtime, MediaOut, Mid,
    Msid, Ptime, RemoteCandidates, Rid, Rtcp, RtcpFb, RtpMap, SdpFragment, Session, SessionOut, Setup,
    Simulcast, Ssrc, SsrcGroup, TlsId, TypedAttribute, check_answer,
};

const SEEDS: [&[u8]; 9] = [
    include_bytes!("data/chromium-offer.sdp"),
    include_bytes!("data/firefox-offer.sdp"),
    include_bytes!("data/jssip-offer.sdp"),
    include_bytes!("data/sdes.sdp"),
    include_bytes!("data/t38-msrp-bfcp.sdp"),
    include_bytes!("data/latin-1.sdp"),
    include_bytes!("data/ipv6-multicast.sdp"),
    include_bytes!("data/trickle.sdpfrag"),
    include_bytes!("data/unknown-attributes.sdp"),
];

/// A document with octets changed, cut out or doubled.
fn mutated() -> impl Strategy<Value = Vec<u8>> {
    let edit = (any::<prop::sample::Index>(), any::<u8>(), 0..5_u8, 1..40_usize);
    (
        prop::sample::select(&SEEDS[..]),
        prop::collection::vec(edit, 0..12),
    )
        .prop_map(|(seed, edits)| {
            let mut octets = seed.to_vec();
            for (at, octet, kind, length) in edits {
                if octets.is_empty() {
                    break;
                }
                let at = at.index(octets.len());
                let end = (at + length).min(octets.len());
                match kind {
                    0 => octets[at] = octet,
                    1 => octets.insert(at, octet),
                    2 => drop(octets.drain(at..end)),
                    3 => {
                        let copy = octets[at..end].to_vec();
                        octets.splice(at..at, copy);
                    }
                    _ => octets[at] ^= 0x20,
                }
            }
            octets
        })
}

/// Asks everything that can be asked.
fn read_all(session: &Session) {
    let _ = (
        session.origin(),
        session.connection(),
        session.bundle_groups(),
        format!("{session:?}"),
    );
    session.bandwidths().for_each(drop);
    for media in session.medias() {
        let _ = (
            media.effective_connection(),
            media.effective_setup(),
            media.effective_tls_id(),
        );
        let _ = (
            media.effective_ice(),
            media.effective_ice_options(),
            media.effective_fingerprints(),
        );
        let _ = (
            media.rtcp(),
            media.mid(),
            media.effective_direction(),
            media.kind(),
            media.protocol(),
        );
        let mut codecs = media.codecs();
        let _ = codecs.common(&codecs.clone());
        codecs.apply(&CodecRules {
            strip: vec![CodecSelector::All],
            ..CodecRules::default()
        });
        let attributes = media.attributes();
        attributes.all::<RtcpFb>().for_each(drop);
        attributes.all::<Extmap>().for_each(drop);
        attributes.all::<Ssrc>().for_each(drop);
        media.candidates().for_each(drop);
        media.cryptos().for_each(drop);
        media.bandwidths().for_each(drop);
    }
}

/// Everything of the document that a relay would write anew.
fn rewrite(session: &Session) -> Vec<u8> {
    let mut out = SessionOut::from_sender(session);
    out.medias = session.medias().map(MediaOut::from_sender).collect();
    out.to_bytes()
}

/// If the text reads as a `T`, what it prints reads as the same.
fn prints_back<T: TypedAttribute + PartialEq + std::fmt::Debug>(value: &str) -> Result<(), TestCaseError> {
    if let Ok(read) = T::parse_value(value) {
        prop_assert_eq!(T::parse_value(&read.to_string()), Ok(read));
    }
    Ok(())
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(2_000))]

    #[test]
    fn random_octets_never_panic(octets in prop::collection::vec(any::<u8>(), 0..300)) {
        if let Ok(session) = Session::parse(&octets) {
            read_all(&session);
        }
        let _ = SdpFragment::parse(&octets);
    }

    #[test]
    fn mutated_documents_never_panic_and_come_out_as_they_went_in(octets in mutated()) {
        if let Ok(session) = Session::parse(&octets) {
            prop_assert_eq!(session.source(), &octets[..]);
            prop_assert_eq!(Edits::new(&session).apply(), octets.clone());
            read_all(&session);
            // A document is an answer to itself, but for the direction and formats every answer must have.
            for problem in check_answer(&session, &session) {
                let excused =
                    matches!(problem, AnswerProblem::Direction { .. } | AnswerProblem::NoFormat { .. });
                prop_assert!(excused, "{problem}");
            }
        }
        if let Ok(fragment) = SdpFragment::parse(&octets) {
            let again = SdpFragment::parse(fragment.to_string().as_bytes()).unwrap();
            prop_assert_eq!((again.session, again.medias), (fragment.session, fragment.medias));
        }
    }

    #[test]
    fn rewriting_is_parseable_and_settles_at_once(octets in mutated()) {
        if let Ok(session) = Session::parse(&octets) {
            let once = rewrite(&session);
            let again = Session::parse(&once).unwrap();
            prop_assert_eq!(again.medias().len(), session.medias().len());
            // An empty format list is written as `0`, which reads as PCMU.
            if session.medias().any(|media| media.codecs().is_empty()) {
                return Ok(());
            }
            for (before, after) in session.medias().zip(again.medias()) {
                prop_assert_eq!(before.codecs(), after.codecs());
            }
            let twice = rewrite(&again);
            prop_assert!(twice == once, "{}\n{}", once.escape_ascii(), twice.escape_ascii());
        }
    }

    #[test]
    fn edit_of_one_line_leaves_all_others(octets in mutated(), at in any::<prop::sample::Index>(), text in "[ -~]{1,30}") {
        let Ok(session) = Session::parse(&octets) else { return Ok(()) };
        let number = at.index(session.lines().count()) + 1;
        if number == 1 || text.starts_with("v=") || text.starts_with("m=") {
            return Ok(());
        }
        let mut edits = Edits::new(&session);
        edits.replace(number, &text);
        let edited = edits.apply();
        let Ok(edited) = Session::parse(&edited) else { return Ok(()) };
        let lines = |session: &Session| session.lines().map(|line| line.content.to_vec()).collect::<Vec<_>>();
        let mut expected = lines(&session);
        expected[number - 1] = text.into_bytes();
        prop_assert_eq!(lines(&edited), expected);
    }

    #[test]
    fn typed_values_print_what_reads_the_same(value in "[ -~]{0,60}") {
        let value = value.trim();
        prints_back::<Candidate>(value)?;
        prints_back::<Crypto>(value)?;
        prints_back::<Extmap>(value)?;
        prints_back::<Fingerprint>(value)?;
        prints_back::<Fmtp>(value)?;
        prints_back::<Group>(value)?;
        prints_back::<IceOptions>(value)?;
        prints_back::<IcePwd>(value)?;
        prints_back::<IceUfrag>(value)?;
        prints_back::<Label>(value)?;
        prints_back::<MaxPtime>(value)?;
        prints_back::<Mid>(value)?;
        prints_back::<Msid>(value)?;
        prints_back::<Ptime>(value)?;
        prints_back::<RemoteCandidates>(value)?;
        prints_back::<Rid>(value)?;
        prints_back::<Rtcp>(value)?;
        prints_back::<RtcpFb>(value)?;
        prints_back::<RtpMap>(value)?;
        prints_back::<Setup>(value)?;
        prints_back::<Simulcast>(value)?;
        prints_back::<Ssrc>(value)?;
        prints_back::<SsrcGroup>(value)?;
        prints_back::<TlsId>(value)?;
    }

    #[test]
    fn near_misses_of_candidates_and_keys_print_back_too(
        candidate in "[0-9a-f]{1,4} [12] (UDP|tcp) [0-9]{1,10} (192.0.2.1|::1|x.local) [0-9]{1,5} typ (host|srflx|x)( raddr 10.0.0.1 rport 1)?( tcptype so)?( a b)?",
        crypto in "[0-9]{1,9} (S|AES_CM_128_HMAC_SHA1_80) inline:[A-Za-z0-9+/]{2,40}={0,2}(\\|2\\^[0-9]{1,2})?(\\|[0-9]{1,3}:[0-9]{1,3})?( KDR=1)?",
        rtpmap in "[0-9]{1,3} [A-Za-z-]{1,8}/[0-9]{1,6}(/[0-9a-z]{1,2})?",
        extmap in "[0-9]{1,4}(/sendonly)? urn:x( y z)?",
    ) {
        prints_back::<Candidate>(&candidate)?;
        prints_back::<Crypto>(&crypto)?;
        prints_back::<RtpMap>(&rtpmap)?;
        prints_back::<Extmap>(&extmap)?;
    }

    #[test]
    fn codec_patterns_print_what_reads_the_same(text in "[A-Za-z0-9]{1,6}(/[0-9]{0,5}){0,5}(/[a-z=;]{0,6})?") {
        let pattern = CodecPattern::parse(&text);
        prop_assert_eq!(CodecPattern::parse(&pattern.to_string()), pattern);
    }

    #[test]
    fn rules_only_take_away_and_put_back(
        strip in prop::collection::vec("all|opus|PCMU|PCMA|telephone-event|G722/8000", 0..3),
        except in prop::collection::vec("opus|PCMU", 0..2),
        offer in prop::collection::vec("PCMA|opus/48000|CN|iLBC", 0..3),
    ) {
        let session = Session::parse(SEEDS[0]).unwrap();
        let before = session.media(0).unwrap().codecs();
        let mut after = before.clone();
        let removed = after.apply(&CodecRules {
            strip: strip.iter().map(|text| CodecSelector::parse(text)).collect(),
            mask: Vec::new(),
            except: except.iter().map(|text| CodecPattern::parse(text)).collect(),
            offer: offer.iter().map(|text| CodecPattern::parse(text)).collect(),
        });
        let mut formats: Vec<_> = after.iter().chain(&removed.stripped).map(|codec| codec.format.clone()).collect();
        formats.sort();
        let sorted = |list: &CodecList| {
            let mut formats: Vec<_> = list.iter().map(|codec| codec.format.clone()).collect();
            formats.sort();
            formats
        };
        prop_assert_eq!(formats, sorted(&before));
    }

    #[test]
    fn no_value_brings_a_line_of_its_own(name in prop::collection::vec(any::<u8>(), 0..40), added in prop::collection::vec(any::<u8>(), 0..40)) {
        let edits = AttributeEdits { add: vec![added], ..AttributeEdits::default() };
        let out = SessionOut { name, edits, ..SessionOut::default() };
        let lines = out.to_bytes().iter().filter(|octet| **octet == b'\n').count();
        prop_assert_eq!(lines, 5);
    }
}

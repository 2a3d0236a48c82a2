//! SDP documents and trickle ICE fragments.

use std::fmt::Debug;
use std::net::{IpAddr, Ipv4Addr};

use viaduct_sdp::{
    AnswerProblem, Attributes, Candidate, CodecRules, CodecSelector, Connection, Crypto, Edits, Extmap,
    Fingerprint, Fmtp, Group, HashFunction, IceCredentials, IceOptions, IcePwd, IceUfrag, Label, Limits,
    MaxPtime, Media, MediaOut, Mid, Msid, Ptime, RemoteCandidates, Rid, Rtcp, RtcpFb, RtpMap, SdpFragment,
    Session, SessionOut, Setup, Simulcast, Ssrc, SsrcGroup, TlsId, TypedAttribute, check_answer,
};

/// Limits that a small input can pass.
const TIGHT: Limits = Limits {
    octets_max: 1_500,
    lines_max: 40,
    medias_max: 2,
    formats_max: 8,
    attributes_max: 20,
    candidates_max: 3,
};

/// Our port, in documents that are written for the other side.
const PORT: u16 = 30_000;

/// Reads octets as a document and as a fragment.
///
/// Laws: what is not edited comes out octet for octet; every typed value prints what reads the same; what is written for
/// the other side can be read, names no address, key or candidate but ours, and is stable when it is written again.
pub fn sdp(data: &[u8]) {
    if let Ok(session) = Session::parse(data) {
        assert_eq!(session.source(), data);
        assert_eq!(Edits::new(&session).apply(), data);
        read_everything(&session);
        one_edit_changes_one_line(&session, data);
        is_an_answer_to_itself(&session);
        copies_settle(&session);
        hides_the_sender(&session);
    }
    if let Ok(session) = Session::parse_within(data, &TIGHT) {
        assert!(data.len() <= TIGHT.octets_max && session.lines().count() <= TIGHT.lines_max);
        assert!(session.medias().len() <= TIGHT.medias_max);
        for media in session.medias() {
            assert!(media.formats().count() <= TIGHT.formats_max);
            assert!(media.attributes().iter().count() <= TIGHT.attributes_max);
            assert!(media.candidates().count() <= TIGHT.candidates_max);
        }
        assert_eq!(Session::parse(data), Ok(session));
    }
    if let Ok(fragment) = SdpFragment::parse(data) {
        let again = SdpFragment::parse(fragment.to_string().as_bytes()).unwrap();
        assert_eq!((again.session, again.medias), (fragment.session, fragment.medias));
    }
}

fn read_everything(session: &Session) {
    let _ = format!("{session:?}");
    prints_back_text(session.origin().ok().flatten(), |origin| {
        let document = format!("v=0\r\no={origin}\r\n");
        Session::parse(document.as_bytes()).unwrap().origin().unwrap()
    });
    connections_print_back(session.connection().ok().flatten());
    session.bandwidths().for_each(drop);
    typed_values_print_back(session.attributes());
    assert_eq!(session.lines().next().map(|line| line.number), Some(1));
    for media in session.medias() {
        read_media(media);
    }
}

fn read_media(media: Media<'_>) {
    connections_print_back(media.effective_connection().ok().flatten());
    typed_values_print_back(media.attributes());
    let _ = (
        media.kind(),
        media.protocol(),
        media.port_count(),
        media.effective_setup(),
        media.effective_tls_id(),
    );
    let _ = (
        media.effective_ice(),
        media.effective_ice_options(),
        media.effective_direction(),
        media.rtcp(),
    );
    media.bandwidths().for_each(drop);
    media.cryptos().for_each(drop);
    let codecs = media.codecs();
    // Every codec is common to the list and itself, and stripping all leaves none.
    assert!(codecs.common(&codecs).len() <= codecs.iter().count());
    let mut stripped = codecs.clone();
    let removed = stripped.apply(&CodecRules {
        strip: vec![CodecSelector::All],
        ..CodecRules::default()
    });
    assert_eq!(
        stripped.iter().count() + removed.stripped.len(),
        codecs.iter().count()
    );
}

fn connections_print_back(connection: Option<Connection>) {
    prints_back_text(connection, |connection| {
        let document = format!("v=0\r\nc={connection}\r\n");
        Session::parse(document.as_bytes()).unwrap().connection().unwrap()
    });
}

/// What `print_and_read` gives for the value is the value.
fn prints_back_text<T: Clone + PartialEq + Debug>(
    value: Option<T>,
    print_and_read: impl FnOnce(&T) -> Option<T>,
) {
    if let Some(value) = value {
        let again = print_and_read(&value);
        assert_eq!(again, Some(value));
    }
}

fn typed_values_print_back(attributes: Attributes<'_>) {
    print_back::<Candidate>(attributes);
    print_back::<Crypto>(attributes);
    print_back::<Extmap>(attributes);
    print_back::<Fingerprint>(attributes);
    print_back::<Fmtp>(attributes);
    print_back::<Group>(attributes);
    print_back::<IceOptions>(attributes);
    print_back::<IcePwd>(attributes);
    print_back::<IceUfrag>(attributes);
    print_back::<Label>(attributes);
    print_back::<MaxPtime>(attributes);
    print_back::<Mid>(attributes);
    print_back::<Msid>(attributes);
    print_back::<Ptime>(attributes);
    print_back::<RemoteCandidates>(attributes);
    print_back::<Rid>(attributes);
    print_back::<Rtcp>(attributes);
    print_back::<RtcpFb>(attributes);
    print_back::<RtpMap>(attributes);
    print_back::<Setup>(attributes);
    print_back::<Simulcast>(attributes);
    print_back::<Ssrc>(attributes);
    print_back::<SsrcGroup>(attributes);
    print_back::<TlsId>(attributes);
}

fn print_back<T: TypedAttribute + PartialEq + Debug>(attributes: Attributes<'_>) {
    for value in attributes.all::<T>().flatten() {
        assert_eq!(T::parse_value(&value.to_string()), Ok(value));
    }
}

fn one_edit_changes_one_line(session: &Session, data: &[u8]) {
    let count = session.lines().count();
    let number = 1 + data.len() % count;
    let is_structure = session
        .lines()
        .nth(number - 1)
        .is_some_and(|line| matches!(line.letter(), Some(b'v' | b'm')));
    if is_structure {
        return;
    }
    let text = "a=put-in:here";
    let mut edits = Edits::new(session);
    edits.replace(number, text);
    let Ok(edited) = Session::parse(&edits.apply()) else {
        // One attribute more may pass the limit of a section.
        return;
    };
    for (before, after) in session.lines().zip(edited.lines()) {
        let expected = if before.number == number {
            text.as_bytes()
        } else {
            before.content
        };
        assert_eq!(after.content, expected);
    }
    assert_eq!(edited.lines().count(), count);
}

/// But for the direction and the formats that every answer must have.
fn is_an_answer_to_itself(session: &Session) {
    for problem in check_answer(session, session) {
        let excused = matches!(
            problem,
            AnswerProblem::Direction { .. } | AnswerProblem::NoFormat { .. }
        );
        assert!(excused, "{problem}");
    }
}

fn copies_settle(session: &Session) {
    let once = copy(session).to_bytes();
    let again = Session::parse_within(&once, &roomy()).unwrap();
    assert_eq!(again.medias().len(), session.medias().len());
    // An empty format list is written as `0`, which reads as PCMU.
    if session.medias().any(|media| media.codecs().is_empty()) {
        return;
    }
    for (before, after) in session.medias().zip(again.medias()) {
        assert_eq!(before.codecs(), after.codecs());
        assert_eq!(
            (before.kind_text(), before.mid()),
            (after.kind_text(), after.mid())
        );
    }
    let twice = copy(&again).to_bytes();
    assert!(twice == once, "{}\n{}", once.escape_ascii(), twice.escape_ascii());
}

/// A document written as the relay writes it: the sender's session in our name.
fn hides_the_sender(session: &Session) {
    let address = IpAddr::V4(Ipv4Addr::new(192, 0, 2, 99));
    let candidate = Candidate::host("1", 1, 2_130_706_431, address, PORT);
    let fingerprint = Fingerprint::new(HashFunction::Sha256, &[0xab; 32]).unwrap();
    let ice = IceCredentials {
        ufrag: "ours".to_owned(),
        pwd: "0123456789abcdefABCDEF".to_owned(),
    };
    let mut out = copy(session);
    for media in &mut out.medias {
        media.port = PORT;
        media.connection = Connection::unicast(address);
        media.ice = Some(ice.clone());
        media.candidates = vec![candidate.clone()];
        media.fingerprints = vec![fingerprint.clone()];
        media.setup = Some(Setup::Passive);
    }
    let written = Session::parse_within(&out.to_bytes(), &roomy()).unwrap();
    assert_eq!(written.connection(), Ok(None));
    for media in written.medias() {
        assert_eq!(
            (media.port(), media.effective_setup()),
            (PORT, Ok(Some(Setup::Passive)))
        );
        assert_eq!(
            media.effective_connection(),
            Ok(Some(Connection::unicast(address)))
        );
        assert_eq!(media.candidates().collect::<Vec<_>>(), [Ok(candidate.clone())]);
        assert_eq!(media.effective_fingerprints(), std::slice::from_ref(&fingerprint));
        assert_eq!(media.effective_ice(), Ok(Some(ice.clone())));
        assert_eq!(
            (media.cryptos().count(), media.rtcp(), media.rtcp_mux()),
            (0, Ok(None), false)
        );
    }
}

fn copy(session: &Session) -> SessionOut {
    let mut out = SessionOut::from_sender(session);
    out.medias = session.medias().map(MediaOut::from_sender).collect();
    out
}

/// Limits for documents that were made from one within the default limits.
fn roomy() -> Limits {
    let Limits {
        octets_max,
        lines_max,
        medias_max,
        formats_max,
        attributes_max,
        candidates_max,
    } = Limits::default();
    Limits {
        octets_max: 4 * octets_max,
        lines_max: 4 * lines_max,
        medias_max,
        formats_max,
        attributes_max: 4 * attributes_max,
        candidates_max,
    }
}

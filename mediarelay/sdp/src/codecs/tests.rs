//! Reading a format list, editing it, and what two lists have in common.

use super::*;
use crate::session::Session;

fn list(lines: &str) -> CodecList {
    let text = format!("v=0\r\n{}\r\n", lines.replace('\n', "\r\n"));
    let session = Session::parse(text.as_bytes()).unwrap();
    session.media(0).unwrap().codecs()
}

fn formats(list: &CodecList) -> String {
    list.iter()
        .map(|codec| codec.format.as_str())
        .collect::<Vec<_>>()
        .join(" ")
}

fn patterns(names: &[&str]) -> Vec<CodecPattern> {
    names.iter().map(|name| CodecPattern::parse(name)).collect()
}

fn selectors(names: &[&str]) -> Vec<CodecSelector> {
    names.iter().map(|name| CodecSelector::parse(name)).collect()
}

fn audio() -> CodecList {
    list(
        "m=audio 9 RTP/AVP 111 9 0 8 18 110 101\na=rtpmap:111 opus/48000/2\na=fmtp:111 useinbandfec=1\n\
        a=rtcp-fb:111 transport-cc\na=rtpmap:110 telephone-event/48000\na=rtpmap:101 telephone-event/8000\n\
        a=fmtp:18 annexb=no",
    )
}

/// Applies `rules` to [`audio`] and gives the formats left.
fn left(rules: &CodecRules) -> String {
    let mut list = audio();
    list.apply(rules);
    formats(&list)
}

#[test]
fn attributes_hang_on_their_format() {
    let list = audio();
    let opus = &list.0[0];
    assert_eq!((opus.encoding(), opus.payload_type()), ("opus", Some(111)));
    assert_eq!(opus.fmtp, [b"useinbandfec=1"]);
    assert_eq!(opus.rtcp_fb, [b"transport-cc"]);
    assert_eq!(list.0[4].fmtp, [b"annexb=no"]);
}

#[test]
fn events_noise_and_redundancy_accompany_a_codec_of_their_clock() {
    let list = list(
        "m=audio 9 RTP/AVP 111 0 110 101 13 63 98\na=rtpmap:111 opus/48000/2\na=rtpmap:110 telephone-event/48000\n\
        a=rtpmap:101 telephone-event/8000\na=rtpmap:63 red/48000/2\na=rtpmap:98 rtx/48000",
    );
    let with = |at: usize| {
        let of = &list.0[at];
        let accompany = list.iter().filter(|codec| codec.accompanies(of));
        accompany.map(|codec| codec.format.as_str()).collect::<Vec<_>>()
    };
    assert_eq!(with(0), ["110", "63"]);
    assert_eq!(with(1), ["101", "13"]);
}

#[test]
fn parameters_of_opus_have_an_order_and_lose_nothing() {
    for (fmtp, ordered) in [
        ("minptime=10;useinbandfec=1", "useinbandfec=1; minptime=10"),
        (
            "x-new=1; MinPTime = 10 ;; stereo=1;sprop-stereo=0",
            "stereo=1; sprop-stereo=0; MinPTime = 10; x-new=1",
        ),
        ("useinbandfec=1", "useinbandfec=1"),
    ] {
        let lines = format!("m=audio 9 RTP/AVP 111\na=rtpmap:111 opus/48000/2\na=fmtp:111 {fmtp}");
        let mut opus = list(&lines).0.remove(0);
        opus.order_parameters();
        assert_eq!(opus.fmtp, [ordered.as_bytes()]);
    }
    let mut other = list("m=audio 9 RTP/AVP 18\na=fmtp:18 minptime=10;annexb=no")
        .0
        .remove(0);
    other.order_parameters();
    assert_eq!(other.fmtp, [b"minptime=10;annexb=no"]);
}

/// RFC 4867 section 8.1.
#[test]
fn octet_aligned_amr_is_told_from_the_other_kind() {
    for (encoding, fmtp, aligned) in [
        ("AMR/8000", "", Some(false)),
        ("amr-wb/16000", "octet-align=0; mode-set=0,2", Some(false)),
        ("AMR-WB/16000", "mode-set=0; octet-align=1", Some(true)),
        ("AMR/8000", "CRC=1", Some(true)),
        ("AMR/8000", "interleaving=30;robust-sorting=0", Some(true)),
        ("opus/48000/2", "octet-align=1", None),
    ] {
        let lines = format!("m=audio 9 RTP/AVP 96\na=rtpmap:96 {encoding}\na=fmtp:96 {fmtp}");
        assert_eq!(list(&lines).0[0].octet_aligned(), aligned, "{encoding} {fmtp}");
    }
}

#[test]
fn static_payload_types_have_their_standard_mapping() {
    let list = list("m=audio 9 RTP/AVP 0 3 4 8 9 10 13 18 31 34 95");
    let names: Vec<_> = list.iter().map(Codec::encoding).collect();
    assert_eq!(
        names,
        [
            "PCMU", "GSM", "G723", "PCMA", "G722", "L16", "CN", "G729", "H261", "H263", ""
        ]
    );
    assert_eq!(static_rtpmap(9).unwrap().clock_rate, 8_000);
    assert_eq!(static_rtpmap(10).unwrap().channels(), 2);
    assert_eq!(static_rtpmap(96), None);
}

#[test]
fn document_overrides_the_standard_mapping() {
    assert_eq!(
        list("m=audio 9 RTP/AVP 0\na=rtpmap:0 X/16000").0[0].encoding(),
        "X"
    );
    assert_eq!(
        list("m=audio 9 RTP/AVP 0\na=rtpmap:0 broken").0[0].encoding(),
        "PCMU"
    );
}

#[test]
fn attributes_of_unlisted_formats_are_left_out() {
    let list =
        list("m=audio 9 RTP/AVP 0\na=rtpmap:96 opus/48000/2\na=fmtp:96 x\na=rtcp-fb:* nack\na=fmtp:0x y");
    assert_eq!(list.0.len(), 1);
    assert_eq!((list.0[0].fmtp.len(), list.0[0].rtcp_fb.len()), (0, 0));
}

#[test]
fn repeated_formats_count_once() {
    assert_eq!(formats(&list("m=audio 9 RTP/AVP 0 8 0")), "0 8");
}

#[test]
fn payload_types_are_digits_and_lose_leading_zeros() {
    let list = list("m=audio 9 RTP/AVP +96 008 128\na=rtpmap:96 opus/48000/2");
    assert_eq!(formats(&list), "+96 8 128");
    assert_eq!(
        list.iter().map(Codec::payload_type).collect::<Vec<_>>(),
        [None, Some(8), None]
    );
}

#[test]
fn formats_of_other_protocols_are_words() {
    let list = list("m=image 9 udptl t38");
    assert_eq!(
        (
            list.0[0].format.as_str(),
            list.0[0].payload_type(),
            list.0[0].encoding()
        ),
        ("t38", None, "")
    );
}

#[test]
fn patterns_match_names_without_case_and_the_rest_if_given() {
    let list = audio();
    let hits = |pattern: &str| {
        let pattern = CodecPattern::parse(pattern);
        list.iter()
            .filter(|codec| pattern.matches(codec))
            .map(|codec| codec.format.clone())
            .collect::<Vec<_>>()
            .join(" ")
    };
    for (pattern, expected) in [
        ("OPUS", "111"),
        ("opus/48000", "111"),
        ("opus/48000/2", "111"),
        ("opus/48000/1", ""),
        ("opus/8000", ""),
        ("opus//2", "111"),
        ("PCMU", "0"),
        ("PCMU/8000/1", "0"),
        ("telephone-event", "110 101"),
        ("telephone-event/8000", "101"),
        ("opus/48000/2/32000/20/useinbandfec=1/x", "111"),
        ("opus/48000/2///useinbandfec=0", ""),
        ("0", ""),
    ] {
        assert_eq!(hits(pattern), expected, "{pattern}");
    }
}

#[test]
fn patterns_print_what_they_match() {
    for text in [
        "opus",
        "opus/48000",
        "opus/48000/2",
        "opus//2",
        "opus/48000/2///x=1",
        "opus/////x=1",
    ] {
        let pattern = CodecPattern::parse(text);
        assert_eq!(pattern.to_string(), text, "{text}");
        assert_eq!(CodecPattern::parse(&pattern.to_string()), pattern);
    }
}

#[test]
fn strip_removes_a_codec_with_all_its_payload_types() {
    assert_eq!(
        left(&CodecRules {
            strip: selectors(&["telephone-event", "G722"]),
            ..CodecRules::default()
        }),
        "111 0 8 18"
    );
}

#[test]
fn strip_all_and_full_empty_the_list() {
    for word in ["all", "full", "ALL"] {
        assert_eq!(
            left(&CodecRules {
                strip: selectors(&[word]),
                ..CodecRules::default()
            }),
            ""
        );
    }
}

#[test]
fn except_survives_a_strip_of_everything_but_not_of_its_name() {
    let except = patterns(&["PCMA", "opus"]);
    assert_eq!(
        left(&CodecRules {
            strip: selectors(&["all"]),
            except: except.clone(),
            ..CodecRules::default()
        }),
        "111 8"
    );
    assert_eq!(
        left(&CodecRules {
            strip: selectors(&["PCMA"]),
            except,
            ..CodecRules::default()
        }),
        "111 9 0 18 110 101"
    );
}

#[test]
fn offer_comes_back_in_its_own_order_before_events() {
    let rules = CodecRules {
        strip: selectors(&["all"]),
        except: patterns(&["telephone-event/8000"]),
        offer: patterns(&["PCMU", "PCMA", "opus", "iLBC"]),
        ..CodecRules::default()
    };
    assert_eq!(left(&rules), "0 8 111 101");
}

#[test]
fn offer_leaves_what_is_still_there_in_its_place() {
    assert_eq!(
        left(&CodecRules {
            offer: patterns(&["PCMA", "opus"]),
            ..CodecRules::default()
        }),
        "111 9 0 8 18 110 101"
    );
}

#[test]
fn mask_removes_and_reports_what_the_sender_may_still_use() {
    let mut list = audio();
    let rules = CodecRules {
        strip: selectors(&["G729"]),
        mask: selectors(&["opus"]),
        ..CodecRules::default()
    };
    let removed = list.apply(&rules);
    assert_eq!(formats(&list), "9 0 8 110 101");
    assert_eq!(
        (
            formats(&CodecList(removed.stripped)),
            formats(&CodecList(removed.masked))
        ),
        ("18".into(), "111".into())
    );
}

#[test]
fn what_is_offered_again_is_not_reported_as_removed() {
    let mut list = audio();
    let rules = CodecRules {
        mask: selectors(&["all"]),
        offer: patterns(&["PCMU"]),
        ..CodecRules::default()
    };
    let removed = list.apply(&rules);
    assert_eq!(formats(&list), "0");
    assert!(!removed.masked.iter().any(|codec| codec.format == "0"));
}

#[test]
fn removed_codec_takes_its_parameters_along() {
    let mut list = audio();
    list.apply(&CodecRules {
        strip: selectors(&["opus"]),
        ..CodecRules::default()
    });
    assert!(list.iter().all(|codec| codec.rtcp_fb.is_empty()));
}

#[test]
fn common_codecs_ignore_numbers_events_and_carriers() {
    let ours =
        list("m=audio 9 RTP/AVP 96 8 101\na=rtpmap:96 opus/48000/2\na=rtpmap:101 telephone-event/8000");
    let theirs = list(
        "m=audio 9 RTP/AVP 111 63 101\na=rtpmap:111 OPUS/48000/2\na=rtpmap:63 red/48000/2\n\
        a=rtpmap:101 telephone-event/8000",
    );
    let common: Vec<_> = ours
        .common(&theirs)
        .iter()
        .map(|codec| codec.format.as_str())
        .collect();
    assert_eq!(common, ["96"]);
}

#[test]
fn parties_with_only_events_in_common_have_nothing_in_common() {
    let ours = list("m=audio 9 RTP/AVP 18 101\na=rtpmap:101 telephone-event/8000");
    assert!(
        ours.common(&list(
            "m=audio 9 RTP/AVP 0 101\na=rtpmap:101 telephone-event/8000"
        ))
        .is_empty()
    );
}

#[test]
fn formats_without_mapping_are_compared_as_words() {
    let fax = list("m=image 9 udptl t38");
    assert_eq!(fax.common(&list("m=image 7 udptl t38")).len(), 1);
    assert_eq!(fax.common(&list("m=image 7 udptl t39")).len(), 0);
}

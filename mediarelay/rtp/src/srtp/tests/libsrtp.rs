//! Packets that libsrtp 2.5.0 made (Debian 12, with NSS): for each profile the last RTP packet of a cycle, the first of
//! the next, and the second RTCP packet.

use super::*;

struct Vector {
    profile: SrtpProfile,
    key_and_salt: &'static str,
    srtp_last: &'static str,
    srtp_first: &'static str,
    srtcp: &'static str,
}

const VECTORS: [Vector; 4] = [
    Vector {
        profile: SrtpProfile::AeadAes256Gcm,
        key_and_salt: "030a11181f262d343b424950575e656c737a81888f969da4abb2b9c0c7ced5dce3eaf1f8ff060d141b222930",
        srtp_last: "8000ffff000000a0cafebabecd1fea448d2d754535cbe17724cdab04d7391bbf35b2c8b3a363595a",
        srtp_first: "80000000000000a0cafebabef58501473a0be3aa7783635c44e3f3ea549ea5885622b64ca8db52f2",
        srtcp: "80c90001cafebabe0de0ffb3135fa2b1269b851de89012c96e2e90b6923ec161732074d680000002",
    },
    Vector {
        profile: SrtpProfile::AeadAes128Gcm,
        key_and_salt: "030a11181f262d343b424950575e656c737a81888f969da4abb2b9c0",
        srtp_last: "8000ffff000000a0cafebabeee21ea2ca0c72ff725894f549898b97b3378f454b531a338e5ba3747",
        srtp_first: "80000000000000a0cafebabe2552961dbd62dcbd33373942ab489ec941280fb740cab661bb8e1480",
        srtcp: "80c90001cafebabe8afc95fd4441c44aa76c6e2a1aa35ce125661b0c5ea70e19b83b775780000002",
    },
    Vector {
        profile: SrtpProfile::Aes128CmSha1_80,
        key_and_salt: "030a11181f262d343b424950575e656c737a81888f969da4abb2b9c0c7ce",
        srtp_last: "8000ffff000000a0cafebabe2036e4c17da7838f62354ab653862fe1654bee72fc48",
        srtp_first: "80000000000000a0cafebabe85abc4d1dd9b7919655157c6859ccce3821b559f42ca",
        srtcp: "80c90001cafebabe039a9d35df621772a5c2c7cd80000002103c0502b94171c3488f",
    },
    Vector {
        profile: SrtpProfile::Aes128CmSha1_32,
        key_and_salt: "030a11181f262d343b424950575e656c737a81888f969da4abb2b9c0c7ce",
        srtp_last: "8000ffff000000a0cafebabe2036e4c17da7838f62354ab653862fe1",
        srtp_first: "80000000000000a0cafebabe85abc4d1dd9b7919655157c6859ccce3",
        srtcp: "80c90001cafebabe039a9d35df621772a5c2c7cd80000002103c0502b94171c3488f",
    },
];

fn rtp(sequence: u16) -> Vec<u8> {
    let fields = RtpFields {
        marker: false,
        payload_type: 0,
        sequence,
        timestamp: 160,
        ssrc: 0xcafe_babe,
    };
    [&fields.encode()[..], b"media octets"].concat()
}

/// An empty receiver report and a feedback packet.
const RTCP: &[u8] = b"\x80\xc9\x00\x01\xca\xfe\xba\xbe\x81\xce\x00\x02\xca\xfe\xba\xbe\x01\x02\x03\x04";

#[test]
fn what_libsrtp_protects_is_opened() {
    for vector in VECTORS {
        let keys = SrtpKeyMaterial::from_sdes(vector.profile, &hex(vector.key_and_salt)).unwrap();
        let mut receive = ReceiveContext::new(&keys, SrtpLimits::default());
        assert_eq!(
            unprotect_rtp(&mut receive, &hex(vector.srtp_last)).unwrap(),
            rtp(65_535)
        );
        assert_eq!(
            unprotect_rtp(&mut receive, &hex(vector.srtp_first)).unwrap(),
            rtp(0)
        );
        assert_eq!(unprotect_rtcp(&mut receive, &hex(vector.srtcp)).unwrap(), RTCP);
    }
}

#[test]
fn protects_octet_for_octet_as_libsrtp_does() {
    for vector in VECTORS {
        let keys = SrtpKeyMaterial::from_sdes(vector.profile, &hex(vector.key_and_salt)).unwrap();
        let mut send = SendContext::new(&keys, SrtpLimits::default());
        assert_eq!(
            protect_rtp(&mut send, &rtp(65_535)).unwrap(),
            hex(vector.srtp_last)
        );
        assert_eq!(protect_rtp(&mut send, &rtp(0)).unwrap(), hex(vector.srtp_first));
        // libsrtp counts from 1, RFC 3711 from 0: its second packet has the index of our third.
        for _ in 0..2 {
            protect_rtcp(&mut send, RTCP).unwrap();
        }
        assert_eq!(protect_rtcp(&mut send, RTCP).unwrap(), hex(vector.srtcp));
    }
}

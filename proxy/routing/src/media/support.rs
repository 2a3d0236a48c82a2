//! Can these two hear each other at all?

use viaduct_sdp::{MediaKind, Session};

use super::Endpoint;

/// The offer has audio, and the reader takes none of its codecs.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("no common codec: offered {}, {reader} takes {}", offered.join(" "), taken.join(" "))]
pub struct NoCommonCodec {
    /// What was offered, as RTP names.
    pub offered: Vec<String>,
    /// Who would read the offer.
    pub reader: String,
    /// What that endpoint takes.
    pub taken: Vec<String>,
}

/// Checks that `reader` can take something of an offer that will be cut down to its codecs. An offer without audio, or
/// one that will not be cut, passes.
pub fn check_codecs(offer: &Session, reader: &Endpoint, reader_name: &str) -> Result<(), NoCommonCodec> {
    let taken = reader.audio_codecs();
    let mut offered = Vec::new();
    for media in offer
        .medias()
        .filter(|media| media.kind() == MediaKind::Audio && !media.is_rejected())
    {
        for codec in media.codecs().iter().filter(|codec| !codec.is_supplemental()) {
            if taken
                .iter()
                .any(|name| name.eq_ignore_ascii_case(codec.encoding()))
            {
                return Ok(());
            }
            offered.push(codec.encoding().to_owned());
        }
    }
    if offered.is_empty() {
        return Ok(());
    }
    offered.dedup();
    let taken = taken.into_iter().map(str::to_owned).collect();
    Err(NoCommonCodec {
        offered,
        reader: reader_name.to_owned(),
        taken,
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::media::Profile;

    fn check(media: &str, reader: &Endpoint) -> Result<(), String> {
        let head = "v=0\r\no=- 1 1 IN IP4 192.0.2.1\r\ns=-\r\nc=IN IP4 192.0.2.1\r\nt=0 0\r\n";
        let offer = Session::parse(format!("{head}{media}").as_bytes()).unwrap();
        check_codecs(&offer, reader, "201").map_err(|error| error.to_string())
    }

    #[test]
    fn both_lists_are_named_when_nothing_is_common() {
        let phone = Endpoint::new(Profile::Phone);
        let g729 = "m=audio 4000 RTP/AVP 18 101\r\na=rtpmap:101 telephone-event/8000\r\n";
        let told = check(g729, &phone).unwrap_err();
        assert_eq!(told, "no common codec: offered G729, 201 takes PCMA PCMU G722");
        assert_eq!(check("m=audio 4000 RTP/AVP 18 8\r\n", &phone), Ok(()));
    }

    #[test]
    fn a_call_without_audio_is_no_matter_of_audio_codecs() {
        let phone = Endpoint::new(Profile::Phone);
        assert_eq!(
            check("m=video 4000 RTP/AVP 96\r\na=rtpmap:96 VP8/90000\r\n", &phone),
            Ok(())
        );
        assert_eq!(check("m=audio 0 RTP/AVP 18\r\n", &phone), Ok(()));
        assert_eq!(check("", &phone), Ok(()));
    }

    #[test]
    fn the_users_own_list_decides() {
        let picky = Endpoint {
            codecs: Some(vec!["opus".to_owned()]),
            ..Endpoint::new(Profile::Phone)
        };
        assert_eq!(
            check("m=audio 4000 RTP/AVP 96\r\na=rtpmap:96 OPUS/48000/2\r\n", &picky),
            Ok(())
        );
        assert!(check("m=audio 4000 RTP/AVP 8\r\n", &picky).is_err());
    }
}

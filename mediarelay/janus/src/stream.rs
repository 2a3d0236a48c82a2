//! What a publisher sends, as others are told, and how some of it is paused.

use serde_json::{Value, json};
use viaduct_sdp::{Direction, Edits, MediaKind, Session};

/// One m-line of a publisher.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Stream {
    pub(crate) kind: MediaKind,
    pub(crate) kind_text: String,
    pub(crate) mid: Option<String>,
    /// The codec that was agreed on.
    pub(crate) codec: Option<String>,
    /// Nothing is to come, because the publisher says so or because its client has paused it.
    pub(crate) disabled: bool,
}

/// Which kinds of media a client wants to be passed on; what is not mentioned stays as it is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub(crate) struct Wanted {
    pub(crate) audio: Option<bool>,
    pub(crate) video: Option<bool>,
}

impl Wanted {
    /// What holds after a client has said more.
    pub(crate) fn then(self, later: Self) -> Self {
        Self {
            audio: later.audio.or(self.audio),
            video: later.video.or(self.video),
        }
    }

    fn pauses(self, kind: MediaKind) -> bool {
        let wanted = match kind {
            MediaKind::Audio => self.audio,
            MediaKind::Video => self.video,
            _ => None,
        };
        wanted == Some(false)
    }
}

/// An offer in which the m-lines that a client has paused are inactive. `None` if it is no SDP.
pub(crate) fn with_pauses(offer: &str, wanted: Wanted) -> Option<Vec<u8>> {
    let session = Session::parse(offer.as_bytes()).ok()?;
    let mut edits = Edits::new(&session);
    for media in session.medias().filter(|media| wanted.pauses(media.kind())) {
        for attribute in media.attributes().iter() {
            if Direction::from_name(attribute.name).is_some() {
                edits.remove(attribute.line);
            }
        }
        if let Some(last) = media.lines().last() {
            edits.insert_after(last.number, "a=inactive");
        }
    }
    Some(edits.apply())
}

/// What is sent, by the relay's answer to it.
pub(crate) fn streams(answer: &[u8], wanted: Wanted) -> Vec<Stream> {
    let Ok(session) = Session::parse(answer) else {
        return Vec::new();
    };
    let stream = |media: viaduct_sdp::Media<'_>| Stream {
        kind: media.kind(),
        kind_text: media.kind_text().to_owned(),
        mid: media.mid(),
        codec: media
            .codecs()
            .iter()
            .next()
            .map(|codec| codec.encoding().to_owned())
            .filter(|name| !name.is_empty()),
        disabled: media.is_rejected()
            || media.effective_direction() == Direction::Inactive
            || wanted.pauses(media.kind()),
    };
    session.medias().map(stream).collect()
}

/// The members `streams`, `audio_codec` and `video_codec` of an event.
pub(crate) fn describe(streams: &[Stream], into: &mut serde_json::Map<String, Value>) {
    let of_one = |(index, stream): (usize, &Stream)| {
        let mut one = json!({ "type": stream.kind_text, "mindex": index, "mid": stream.mid });
        if stream.disabled {
            one["disabled"] = true.into();
        } else if let Some(codec) = &stream.codec {
            one["codec"] = codec.as_str().into();
        }
        one
    };
    into.insert(
        "streams".to_owned(),
        streams.iter().enumerate().map(of_one).collect(),
    );
    for (key, kind) in [
        ("audio_codec", MediaKind::Audio),
        ("video_codec", MediaKind::Video),
    ] {
        let mut live = streams
            .iter()
            .filter(|stream| stream.kind == kind && !stream.disabled);
        if let Some(codec) = live.find_map(|stream| stream.codec.as_deref()) {
            into.insert(key.to_owned(), codec.into());
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const OFFER: &str = "v=0\r\no=x 1 1 IN IP4 192.0.2.1\r\ns=-\r\nc=IN IP4 192.0.2.1\r\nt=0 0\r\n\
        m=audio 4000 RTP/AVP 8\r\na=mid:a\r\na=sendonly\r\na=ptime:20\r\n\
        m=video 4002 RTP/AVP 97\r\na=rtpmap:97 VP9/90000\r\na=sendonly\r\n";

    #[test]
    fn what_is_paused_is_inactive_and_all_else_stays() {
        let audio = Wanted {
            audio: Some(false),
            video: Some(true),
        };
        let paused = String::from_utf8(with_pauses(OFFER, audio).unwrap()).unwrap();
        assert_eq!(
            paused,
            OFFER.replace("a=sendonly\r\na=ptime:20\r\n", "a=ptime:20\r\na=inactive\r\n")
        );
        assert_eq!(with_pauses(OFFER, Wanted::default()).unwrap(), OFFER.as_bytes());
        assert_eq!(with_pauses("blah", audio), None);
    }

    #[test]
    fn streams_are_told_with_the_first_codec_of_each_kind() {
        let wanted = Wanted {
            audio: Some(false),
            video: None,
        };
        let streams = streams(OFFER.as_bytes(), wanted);
        let mut told = serde_json::Map::new();
        describe(&streams, &mut told);
        let expected = json!({
            "streams": [
                { "type": "audio", "mindex": 0, "mid": "a", "disabled": true },
                { "type": "video", "mindex": 1, "mid": null, "codec": "VP9" },
            ],
            "video_codec": "VP9",
        });
        assert_eq!(Value::Object(told), expected);
    }
}

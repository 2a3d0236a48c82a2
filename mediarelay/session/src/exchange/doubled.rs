//! Offers of opportunistic SRTP from before RFC 8643: every media stands in two m-lines, one plain and one with SRTP (NG
//! `OSRTP`, `accept-legacy`).
//!
//! Such a pair is read as the m-line with SRTP alone. What is written to its sender has the other one beside it again.

use viaduct_sdp::{Media, PlainTwin, Session};

/// An SDP without the m-lines that others stand for.
#[derive(Debug)]
pub(crate) struct Undoubled {
    pub(crate) sdp: Vec<u8>,
    /// For each m-line that is left the place of its plain twin.
    pub(crate) twins: Vec<Option<PlainTwin>>,
}

/// Takes the doubles out. `None` if there are none.
pub(crate) fn undouble(sdp: &[u8], session: &Session) -> Option<Undoubled> {
    let mut kept: Vec<(Media<'_>, Option<PlainTwin>)> = Vec::new();
    let mut count = 0;
    for media in session.medias() {
        count += 1;
        let pair = kept
            .last_mut()
            .filter(|(last, twin)| twin.is_none() && are_twins(*last, media));
        match pair {
            Some(last) if media.protocol().is_secure() && !media.is_rejected() => {
                *last = (media, Some(PlainTwin::RefusedBefore));
            }
            // The plain one is what is left of the two.
            Some((last, _)) if media.protocol().is_secure() && !last.is_rejected() => {}
            Some((last, twin)) if last.protocol().is_secure() && !last.is_rejected() => {
                *twin = Some(PlainTwin::RefusedAfter);
            }
            Some(_) | None => kept.push((media, None)),
        }
    }
    if kept.len() == count {
        return None;
    }
    let stays = |section: usize| {
        section
            .checked_sub(1)
            .is_none_or(|at| kept.iter().any(|(media, _)| media.index() == at))
    };
    let mut section = 0;
    let mut left = Vec::with_capacity(sdp.len());
    for line in sdp.split_inclusive(|octet| *octet == b'\n') {
        section += usize::from(line.starts_with(b"m="));
        if stays(section) {
            left.extend_from_slice(line);
        }
    }
    Some(Undoubled {
        sdp: left,
        twins: kept.into_iter().map(|(_, twin)| twin).collect(),
    })
}

/// The same kind of media, once plain and once not.
fn are_twins(one: Media<'_>, other: Media<'_>) -> bool {
    let (first, second) = (one.protocol(), other.protocol());
    one.kind_text() == other.kind_text()
        && first.is_rtp()
        && second.is_rtp()
        && first.is_secure() != second.is_secure()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn left(medias: &[&str]) -> Option<(Vec<String>, Vec<Option<PlainTwin>>)> {
        let medias: String = medias.iter().map(|line| format!("m={line}\r\na=x\r\n")).collect();
        let sdp =
            format!("v=0\r\no=- 1 1 IN IP4 192.0.2.9\r\ns=-\r\nc=IN IP4 192.0.2.9\r\nt=0 0\r\n{medias}");
        let undoubled = undouble(sdp.as_bytes(), &Session::parse(sdp.as_bytes()).unwrap())?;
        let text = String::from_utf8(undoubled.sdp).unwrap();
        let lines = text.lines().filter_map(|line| line.strip_prefix("m="));
        Some((lines.map(str::to_owned).collect(), undoubled.twins))
    }

    #[test]
    fn of_two_the_one_with_srtp_is_left() {
        let (plain, srtp) = ("audio 4000 RTP/AVP 8", "audio 4002 RTP/SAVP 8");
        for (medias, twin) in [
            ([plain, srtp], PlainTwin::RefusedBefore),
            ([srtp, plain], PlainTwin::RefusedAfter),
            (["audio 0 RTP/AVP 8", srtp], PlainTwin::RefusedBefore),
            ([srtp, "audio 0 RTP/AVP 8"], PlainTwin::RefusedAfter),
        ] {
            assert_eq!(left(&medias), Some((vec![srtp.to_owned()], vec![Some(twin)])));
        }
    }

    #[test]
    fn a_refused_one_goes_and_what_is_no_pair_stays() {
        let plain = "audio 4000 RTP/AVP 8";
        assert_eq!(
            left(&[plain, "audio 0 RTP/SAVP 8"]),
            Some((vec![plain.to_owned()], vec![None]))
        );
        for medias in [
            &[plain][..],
            &[plain, plain],
            &[plain, "video 4002 RTP/SAVP 96"],
            &[plain, "image 4002 udptl t38"],
            &["audio 0 RTP/AVP 8", "audio 0 RTP/SAVP 8"],
        ] {
            assert_eq!(left(medias), None, "{medias:?}");
        }
    }

    #[test]
    fn no_m_line_is_in_two_pairs() {
        let (plain, srtp) = ("audio 4000 RTP/AVP 8", "audio 4002 RTP/SAVP 8");
        let (lines, twins) = left(&[plain, srtp, plain, srtp, plain]).unwrap();
        assert_eq!(lines, [srtp, srtp, plain]);
        assert_eq!(
            twins,
            [
                Some(PlainTwin::RefusedBefore),
                Some(PlainTwin::RefusedBefore),
                None
            ]
        );
    }
}

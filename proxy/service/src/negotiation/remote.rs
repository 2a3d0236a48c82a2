//! What the caller's SDP says about audio.

use std::net::{IpAddr, SocketAddr};

use viaduct_sdp::{Connection, Direction, Host, Media, MediaKind, Protocol, Rtcp, RtpMap, Session};

use crate::media::{CLOCK_HZ, Codec, ReceiveTypes, SendTypes};
use crate::refusal::Mismatch;
use crate::{Family, MediaParams};

/// An m-line that we can talk to.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Audio {
    pub(super) codec: Codec,
    pub(super) send: SendTypes,
    pub(super) family: Family,
    direction: Direction,
    remote: Option<SocketAddr>,
    remote_rtcp: Option<SocketAddr>,
    rtcp_mux: bool,
}

impl Audio {
    /// What is agreed when we receive by these numbers, and multiplex RTCP if we may.
    pub(super) fn params(self, receive: ReceiveTypes, may_mux: bool) -> MediaParams {
        let rtcp_mux = self.rtcp_mux && may_mux;
        MediaParams {
            codec: self.codec,
            send: self.send,
            receive,
            direction: self.direction,
            remote: self.remote,
            remote_rtcp: if rtcp_mux { self.remote } else { self.remote_rtcp },
            rtcp_mux,
        }
    }
}

/// The first m-line that we can talk to, the one at `preferred` before all others. If there is none, why the nearest is
/// none. `family` is the one that the address must have.
pub(super) fn find(
    session: &Session,
    preferred: Option<usize>,
    family: Option<Family>,
) -> Result<(usize, Audio), Mismatch> {
    let others = (0..session.medias().len()).filter(|index| Some(*index) != preferred);
    let mut nearest = Mismatch::MediaType;
    for index in preferred.into_iter().chain(others) {
        match at(session, index, family) {
            Ok(audio) => return Ok((index, audio)),
            Err(mismatch) => nearest = nearest.max(mismatch),
        }
    }
    Err(nearest)
}

/// The m-line at `index`, if we can talk to it.
pub(super) fn at(session: &Session, index: usize, family: Option<Family>) -> Result<Audio, Mismatch> {
    let media = session.media(index).ok_or(Mismatch::MediaType)?;
    if media.kind() != MediaKind::Audio || media.port() == 0 {
        return Err(Mismatch::MediaType);
    }
    if !is_plain(media) {
        return Err(Mismatch::Transport);
    }
    let ip = address(media).ok_or(Mismatch::Address)?;
    if family.is_some_and(|family| family != Family::of(ip)) {
        return Err(Mismatch::Address);
    }
    let (codec, send) = formats(media).ok_or(Mismatch::Format)?;
    // 0.0.0.0 is how hold was said before RFC 3264 (section 8.4): nothing may be sent there.
    let receives = !ip.is_unspecified();
    let direction = media.effective_direction().reversed();
    let remote = SocketAddr::new(ip, media.port());
    Ok(Audio {
        codec,
        send,
        family: Family::of(ip),
        direction: direction.and(Direction::new(receives, true)),
        remote: receives.then_some(remote),
        remote_rtcp: rtcp(media, remote).filter(|_| receives),
        rtcp_mux: media.rtcp_mux(),
    })
}

/// True when the m-line at `index` is audio as before and says port 0. One that was given to another medium is lost
/// to us.
pub(super) fn is_switched_off(session: &Session, index: usize) -> bool {
    session
        .media(index)
        .is_some_and(|media| media.kind() == MediaKind::Audio && is_plain(media) && media.port() == 0)
}

fn is_plain(media: Media<'_>) -> bool {
    matches!(media.protocol(), Protocol::RtpAvp | Protocol::RtpAvpf)
}

/// Where the media is received, when one host does. Multicast is left out: an SDP could direct us at everybody.
fn address(media: Media<'_>) -> Option<IpAddr> {
    let Connection { address, multicast } = media.effective_connection().ok()??;
    let ip = address.ip().filter(|_| multicast.is_none())?;
    let is_many = ip.is_multicast() || matches!(ip, IpAddr::V4(ip) if ip.is_broadcast());
    (!is_many).then_some(ip)
}

/// The first codec of ours in the sender's order, and telephone-event.
fn formats(media: Media<'_>) -> Option<(Codec, SendTypes)> {
    let codecs = media.codecs();
    let codec_of = |map: &RtpMap| {
        let is_ours = map.clock_rate == CLOCK_HZ && map.channels() == 1;
        let named = |codec: &Codec| codec.name().eq_ignore_ascii_case(&map.encoding);
        Codec::ALL.into_iter().filter(|_| is_ours).find(named)
    };
    let maps = || codecs.iter().filter_map(|codec| codec.rtpmap.as_ref());
    let (codec, audio) = maps().find_map(|map| Some((codec_of(map)?, map.payload_type)))?;
    let is_event =
        |map: &&RtpMap| map.encoding.eq_ignore_ascii_case("telephone-event") && map.clock_rate == CLOCK_HZ;
    let event = maps().find(is_event).map(|map| map.payload_type);
    Some((codec, SendTypes { audio, event }))
}

/// Where RTCP goes when it is not multiplexed: what `a=rtcp` says (RFC 3605), else one port above RTP.
fn rtcp(media: Media<'_>, rtp: SocketAddr) -> Option<SocketAddr> {
    let (ip, port) = match media.rtcp().ok()? {
        Some(Rtcp { port, address }) => (address.as_ref().map_or(Some(rtp.ip()), Host::ip)?, port),
        None => (rtp.ip(), rtp.port().checked_add(1)?),
    };
    // Reports go to the host that the media goes to, or nowhere.
    (ip == rtp.ip() && port != 0).then(|| SocketAddr::new(ip, port))
}

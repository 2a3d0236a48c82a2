//! A call of two phones through a relay.

use std::net::{IpAddr, SocketAddr};
use std::time::Duration;

use viaduct_ng::{
    Answer, ByteString, Delete, Offer, OkReply, Options, Reply, Request, SubscribeAnswer, SubscribeRequest,
    TransportProtocol, Value, WordSet,
};

use super::own_address;
use super::phone::{Phone, media_of};

/// 5 %
const LOST_ONE_OF: u16 = 20;

/// Octets of an RTP header.
const HEADER: usize = 12;

/// A call that was answered.
pub(crate) struct Call {
    pub(crate) call_id: String,
    pub(crate) alice: Phone,
    pub(crate) bob: Phone,
    /// Where the relay takes the RTP and RTCP of each.
    pub(crate) for_alice: (SocketAddr, SocketAddr),
    pub(crate) for_bob: (SocketAddr, SocketAddr),
    sequence: u16,
}

impl Call {
    /// Sets a call up, whichever way the relay is asked.
    pub(crate) fn set_up(call_id: &str, ask: impl FnMut(&Request) -> Reply) -> Self {
        Self::set_up_at(own_address(), call_id, ask)
    }

    /// The same, with the phones at an address.
    pub(crate) fn set_up_at(at: IpAddr, call_id: &str, mut ask: impl FnMut(&Request) -> Reply) -> Self {
        let (alice, bob) = (Phone::at(at, 0xa11ce), Phone::at(at, 0xb0b));
        let for_bob = media_of(&sdp_of(ask(&offer(call_id, &alice.sdp()))));
        let for_alice = media_of(&sdp_of(ask(&answer(call_id, &bob.sdp()))));
        Self {
            call_id: call_id.to_owned(),
            alice,
            bob,
            for_alice,
            for_bob,
            sequence: 0,
        }
    }

    /// Both phones send packets, and each hears what the other has sent, unchanged and from the relay's port.
    pub(crate) fn talk(&mut self, packets: u16) {
        for _ in 0..packets {
            let sequence = self.sequence;
            self.sequence = sequence.wrapping_add(1);
            self.alice
                .rtp
                .send_to(&self.alice.packet(sequence), self.for_alice.0)
                .unwrap();
            self.bob
                .rtp
                .send_to(&self.bob.packet(sequence), self.for_bob.0)
                .unwrap();
            assert_eq!(self.bob.hear(), (self.alice.packet(sequence), self.for_bob.0));
            assert_eq!(self.alice.hear(), (self.bob.packet(sequence), self.for_alice.0));
        }
    }

    /// Both phones send packets of every length up to `longest` octets, with payloads that are all different. One in twenty
    /// is lost on the way to the relay; each phone hears exactly the others, octet by octet and in order. How many each has
    /// sent, and how many of them were lost.
    pub(crate) fn talk_with_losses(&mut self, packets: u16, longest: usize) -> (u64, u64) {
        let mut lost = 0;
        for count in 0..packets {
            let sequence = self.sequence;
            self.sequence = sequence.wrapping_add(1);
            if count % LOST_ONE_OF == LOST_ONE_OF / 2 {
                lost += 1;
                continue;
            }
            let len = match count % 4 {
                0 => longest,
                _ => HEADER + usize::from(count) * 37 % (longest - HEADER),
            };
            let octet = |at: usize| (at * 31 + usize::from(sequence) * 17) as u8;
            let packet = |phone: &Phone| -> Vec<u8> {
                let header = &phone.packet(sequence)[..HEADER];
                header.iter().copied().chain((HEADER..len).map(octet)).collect()
            };
            for (from, to, relay) in [
                (&self.alice, &self.bob, (self.for_alice.0, self.for_bob.0)),
                (&self.bob, &self.alice, (self.for_bob.0, self.for_alice.0)),
            ] {
                from.rtp.send_to(&packet(from), relay.0).unwrap();
                assert_eq!(to.hear(), (packet(from), relay.1));
            }
        }
        (u64::from(packets) - lost, lost)
    }

    /// The same with RTCP.
    pub(crate) fn report(&self) {
        self.alice
            .rtcp
            .send_to(&self.alice.report(), self.for_alice.1)
            .unwrap();
        assert_eq!(self.bob.hear_report(), (self.alice.report(), self.for_bob.1));
        self.bob.rtcp.send_to(&self.bob.report(), self.for_bob.1).unwrap();
        assert_eq!(self.alice.hear_report(), (self.bob.report(), self.for_alice.1));
    }
}

/// Alice's offer, for a phone.
pub(crate) fn offer(call_id: &str, sdp: &str) -> Request {
    Request::Offer(Box::new(Offer {
        sdp: sdp.into(),
        call_id: call_id.into(),
        from_tag: "alice".into(),
        to_tag: None,
        via_branch: None,
        options: for_phones(),
    }))
}

/// Alice's next offer, within the dialog.
pub(crate) fn offer_again(call_id: &str, sdp: &str) -> Request {
    let mut request = offer(call_id, sdp);
    if let Request::Offer(offer) = &mut request {
        offer.to_tag = Some("bob".into());
    }
    request
}

/// Bob's answer.
pub(crate) fn answer(call_id: &str, sdp: &str) -> Request {
    Request::Answer(Box::new(Answer {
        sdp: sdp.into(),
        call_id: call_id.into(),
        from_tag: "alice".into(),
        to_tag: "bob".into(),
        via_branch: None,
        options: for_phones(),
    }))
}

/// Ends a call at once.
pub(crate) fn delete(call_id: &str) -> Request {
    Request::Delete(Delete {
        call_id: call_id.into(),
        from_tag: None,
        to_tag: None,
        via_branch: None,
        delete_delay: Some(Duration::ZERO),
        flags: WordSet::new(),
    })
}

/// What is in a good reply.
pub(crate) fn ok(reply: Reply) -> OkReply {
    match reply {
        Reply::Ok(ok) => *ok,
        other => panic!("{other:?}"),
    }
}

/// Lets a recorder hear what Bob says in a call. Gives its name there.
pub(crate) fn record(ask: impl Fn(Request) -> Reply, call_id: &str, recorder: &Phone) -> ByteString {
    let subscribe = SubscribeRequest {
        call_id: call_id.into(),
        from_tags: vec!["bob".into()],
        to_tag: None,
        options: Options::default(),
    };
    let offered = ok(ask(Request::SubscribeRequest(Box::new(subscribe))));
    let to_tag = offered
        .rest
        .get("to-tag")
        .and_then(Value::as_bytes)
        .cloned()
        .unwrap();
    let answer = SubscribeAnswer {
        sdp: recorder.sdp().replace("sendrecv", "recvonly").into(),
        call_id: call_id.into(),
        to_tag: to_tag.clone(),
        options: Options::default(),
    };
    ok(ask(Request::SubscribeAnswer(Box::new(answer))));
    to_tag
}

pub(crate) fn sdp_of(reply: Reply) -> Vec<u8> {
    ok(reply).sdp.unwrap().as_bytes().to_vec()
}

/// The options of the tutorial for calls between phones.
fn for_phones() -> Options {
    let mut options = Options {
        transport_protocol: Some(TransportProtocol::RtpAvp),
        ..Options::default()
    };
    options.ice.mode = Some(viaduct_ng::IceMode::Remove);
    options
}

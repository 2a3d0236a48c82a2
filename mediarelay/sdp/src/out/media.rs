//! One media description to be written.

use super::writer::{AttributeWriter, Writer};
use super::{AttributeEdits, carried_bandwidths};
use crate::attribute::{
    Attribute, Candidate, Crypto, Direction, Extmap, Fingerprint, IceCredentials, IceOptions, Label,
    MaxPtime, Ptime, RemoteCandidates, Rtcp, Setup, TlsId, TypedAttribute,
};
use crate::codecs::CodecList;
use crate::connection::{AddressFamily, Bandwidth, Connection};
use crate::media::{Media, Protocol};

const END_OF_CANDIDATES: &str = "end-of-candidates";

/// A plain media description beside one with SRTP, as opportunistic SRTP was offered before RFC 8643.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum PlainTwin {
    /// It comes first and has what the other one has, but for the keys.
    Offered,
    /// It comes first and is refused.
    RefusedBefore,
    /// It comes second and is refused.
    RefusedAfter,
}

/// One media description of a [`SessionOut`](super::SessionOut). The fields stand in the order in which
/// they are written.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct MediaOut {
    /// First word of the `m=` line.
    pub kind: String,
    /// Port. Written as 0 when [`rejected`](Self::rejected).
    pub port: u16,
    /// Protocol, as in the `m=` line.
    pub protocol: String,
    /// The sender's format list. Written for protocols other than RTP, for a rejected media, and where
    /// [`codecs`](Self::codecs) is empty; `0` where this is empty as well, unless it is rejected.
    pub formats: Vec<String>,
    /// Not accepted: port 0, a zero address of the connection's family, and of the attributes only `mid`,
    /// `label` and additions.
    pub rejected: bool,
    /// After `i=`.
    pub information: Option<Vec<u8>>,
    /// `c=`
    pub connection: Connection,
    /// `b=` lines.
    pub bandwidths: Vec<Bandwidth>,
    /// `a=mid`
    pub mid: Option<String>,
    /// `a=label`
    pub label: Option<String>,
    /// `a=bundle-only`
    pub bundle_only: bool,
    /// Format list with `rtpmap`, `fmtp`, `rtcp-fb` for each format.
    pub codecs: CodecList,
    /// `a=extmap-allow-mixed`
    pub extmap_allow_mixed: bool,
    /// `a=extmap`
    pub extmaps: Vec<Extmap>,
    /// The sender's other attributes in their order, each without `a=`.
    pub passed: Vec<Vec<u8>>,
    /// Direction; `None` when the sender's lines are among the passed ones (flag `original-sendrecv`).
    pub direction: Option<Direction>,
    /// `a=rtcp`
    pub rtcp: Option<Rtcp>,
    /// `a=rtcp-mux`
    pub rtcp_mux: bool,
    /// `a=crypto`
    pub cryptos: Vec<Crypto>,
    /// `a=setup`
    pub setup: Option<Setup>,
    /// `a=fingerprint`
    pub fingerprints: Vec<Fingerprint>,
    /// `a=tls-id`
    pub tls_id: Option<TlsId>,
    /// `a=ptime`, milliseconds
    pub ptime: Option<u32>,
    /// `a=maxptime`, milliseconds
    pub maxptime: Option<u32>,
    /// `a=ice-ufrag` and `a=ice-pwd`
    pub ice: Option<IceCredentials>,
    /// `a=ice-options`; not written when empty.
    pub ice_options: IceOptions,
    /// `a=candidate`
    pub candidates: Vec<Candidate>,
    /// `a=remote-candidates`
    pub remote_candidates: Option<RemoteCandidates>,
    /// `a=end-of-candidates`
    pub end_of_candidates: bool,
    /// NG `sdp-attr` for this kind of media.
    pub edits: AttributeEdits,
    /// The same media without SRTP.
    pub twin: Option<PlainTwin>,
}

impl MediaOut {
    /// An empty media description.
    pub fn new(kind: &str, port: u16, protocol: &str, connection: Connection) -> Self {
        Self {
            kind: kind.to_owned(),
            port,
            protocol: protocol.to_owned(),
            formats: Vec::new(),
            rejected: false,
            information: None,
            connection,
            bandwidths: Vec::new(),
            mid: None,
            label: None,
            bundle_only: false,
            codecs: CodecList::default(),
            extmap_allow_mixed: false,
            extmaps: Vec::new(),
            passed: Vec::new(),
            direction: None,
            rtcp: None,
            rtcp_mux: false,
            cryptos: Vec::new(),
            setup: None,
            fingerprints: Vec::new(),
            tls_id: None,
            ptime: None,
            maxptime: None,
            ice: None,
            ice_options: IceOptions::default(),
            candidates: Vec::new(),
            remote_candidates: None,
            end_of_candidates: false,
            edits: AttributeEdits::default(),
            twin: None,
        }
    }

    /// What is copied from a sender's media: kind, protocol, formats, `i=`, `b=`, `mid`, `label`, codecs,
    /// header extensions, packet times, direction and the attributes nobody but the endpoints understands.
    /// Address, port, keys and ICE are left to the caller: port 0, `c=IN IP4 0.0.0.0`, none.
    pub fn from_sender(sender: Media<'_>) -> Self {
        let attributes = sender.attributes();
        let mut out = Self::new(
            sender.kind_text(),
            0,
            sender.protocol_text(),
            Connection::zero(AddressFamily::Ip4),
        );
        out.formats = sender.formats().map(str::to_owned).collect();
        out.information = sender.value(b'i').map(<[u8]>::to_vec);
        out.bandwidths = carried_bandwidths(sender.bandwidths().flatten());
        out.mid = sender.mid();
        out.label = attributes.one::<Label>().ok().flatten().map(|label| label.0);
        out.codecs = sender.codecs();
        out.extmap_allow_mixed = sender.effective_extmap_allow_mixed();
        out.extmaps = attributes.all().flatten().collect();
        out.passed = sender
            .passed_attributes()
            .map(|attribute| attribute.content.to_vec())
            .collect();
        out.direction = Some(sender.effective_direction());
        out.ptime = sender
            .effective_one::<Ptime>()
            .ok()
            .flatten()
            .map(|ptime| ptime.0);
        out.maxptime = sender
            .effective_one::<MaxPtime>()
            .ok()
            .flatten()
            .map(|maxptime| maxptime.0);
        out
    }

    /// A sender's media with everything that it says of itself: address, keys, ICE and all attributes in their order.
    /// A zero address where it gives none.
    pub fn as_it_stands(sender: Media<'_>) -> Self {
        let connection = sender.effective_connection().ok().flatten();
        let mut out = Self::new(
            sender.kind_text(),
            sender.port(),
            sender.protocol_text(),
            connection.unwrap_or_else(|| Connection::zero(AddressFamily::Ip4)),
        );
        out.formats = sender.formats().map(str::to_owned).collect();
        out.information = sender.value(b'i').map(<[u8]>::to_vec);
        out.bandwidths = carried_bandwidths(sender.bandwidths().flatten());
        let last = |attribute: &Attribute<'_>| attribute.name == END_OF_CANDIDATES;
        let attributes = sender.attributes().iter();
        let passed = attributes.filter(|attribute| !last(attribute));
        out.passed = passed.map(|attribute| attribute.content.to_vec()).collect();
        out.end_of_candidates = sender.attributes().has(END_OF_CANDIDATES);
        out
    }

    /// Takes candidates out of what is [passed](Self::passed) on.
    pub fn leave_out(&mut self, goes: impl Fn(&Candidate) -> bool) {
        self.passed.retain(|content| {
            let value = content.strip_prefix(b"candidate:").map(str::from_utf8);
            let Some(Ok(value)) = value else { return true };
            !Candidate::parse_value(value.trim()).is_ok_and(|candidate| goes(&candidate))
        });
    }

    pub(super) fn write(&self, out: &mut Writer) {
        match self.twin {
            Some(PlainTwin::Offered) if !self.rejected => self.without_keys().write_alone(out),
            Some(PlainTwin::Offered | PlainTwin::RefusedBefore) => self.write_refused_twin(out),
            Some(PlainTwin::RefusedAfter) | None => {}
        }
        self.write_alone(out);
        if self.twin == Some(PlainTwin::RefusedAfter) {
            self.write_refused_twin(out);
        }
    }

    fn without_keys(&self) -> Self {
        Self {
            protocol: self.plain_protocol().to_owned(),
            mid: None,
            cryptos: Vec::new(),
            setup: None,
            fingerprints: Vec::new(),
            tls_id: None,
            twin: None,
            ..self.clone()
        }
    }

    /// The profile without SRTP, with feedback where this one has it.
    fn plain_protocol(&self) -> &'static str {
        if Protocol::from_text(&self.protocol).has_feedback() {
            "RTP/AVPF"
        } else {
            "RTP/AVP"
        }
    }

    /// As rtpengine has it, without an address.
    fn write_refused_twin(&self, out: &mut Writer) {
        let (kind, protocol, formats) = (&self.kind, self.plain_protocol(), self.written_formats());
        out.text("m=", format_args!("{kind} 0 {protocol} {formats}"));
    }

    fn write_alone(&self, out: &mut Writer) {
        let port = if self.rejected { 0 } else { self.port };
        let formats = self.written_formats();
        out.text(
            "m=",
            format_args!("{} {port} {} {formats}", self.kind, self.protocol),
        );
        out.lines("i=", &self.information);
        let zero = Connection::zero(self.connection.address.family());
        let connection = if self.rejected { &zero } else { &self.connection };
        out.text("c=", connection);
        out.texts("b=", &self.bandwidths);
        let mut attributes = out.attributes(&self.edits);
        attributes.optional("mid", self.mid.as_ref());
        attributes.optional("label", self.label.as_ref());
        if !self.rejected {
            self.write_accepted(&mut attributes);
        }
        attributes.finish();
    }

    fn written_formats(&self) -> String {
        let use_codecs = Protocol::from_text(&self.protocol).is_rtp() && !self.rejected;
        let codecs: Vec<&str> = self.codecs.iter().map(|codec| codec.format.as_str()).collect();
        if use_codecs && !codecs.is_empty() {
            codecs.join(" ")
        } else if self.formats.is_empty() && !self.rejected {
            "0".to_owned()
        } else {
            self.formats.join(" ")
        }
    }

    /// What only an accepted media carries.
    fn write_accepted(&self, attributes: &mut AttributeWriter<'_>) {
        attributes.flag("bundle-only", self.bundle_only);
        self.write_codecs(attributes);
        attributes.flag("extmap-allow-mixed", self.extmap_allow_mixed);
        attributes.each(&self.extmaps);
        attributes.raw(&self.passed);
        if let Some(direction) = self.direction {
            attributes.flag(direction.name(), true);
        }
        attributes.each(&self.rtcp);
        attributes.flag("rtcp-mux", self.rtcp_mux);
        attributes.each(&self.cryptos);
        attributes.each(&self.setup);
        attributes.each(&self.fingerprints);
        attributes.each(&self.tls_id);
        attributes.optional("ptime", self.ptime);
        attributes.optional("maxptime", self.maxptime);
        attributes.optional("ice-ufrag", self.ice.as_ref().map(|ice| &ice.ufrag));
        attributes.optional("ice-pwd", self.ice.as_ref().map(|ice| &ice.pwd));
        if !self.ice_options.0.is_empty() {
            attributes.each([&self.ice_options]);
        }
        attributes.each(&self.candidates);
        attributes.each(&self.remote_candidates);
        attributes.flag(END_OF_CANDIDATES, self.end_of_candidates);
    }

    fn write_codecs(&self, attributes: &mut AttributeWriter<'_>) {
        for codec in self.codecs.iter() {
            attributes.optional("rtpmap", codec.rtpmap.as_ref());
            for (name, values) in [("fmtp", &codec.fmtp), ("rtcp-fb", &codec.rtcp_fb)] {
                for value in values {
                    let head = format!("{name}:{} ", codec.format);
                    attributes.attribute(&[head.as_bytes(), value].concat());
                }
            }
        }
    }
}

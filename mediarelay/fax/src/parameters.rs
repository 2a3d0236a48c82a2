//! What two sides of T.38 tell each other about themselves, in the attributes of SDP (RFC 3362, T.38 annex D).

use crate::udptl::{ErrorCorrection, SPAN};

/// The highest version of T.38 that is spoken. V.34, which came with version 3, is a matter of the bit rate.
pub(crate) const VERSION_MAX: u8 = 3;
/// Bits a second of the fastest modem that spandsp has, V.17.
const BIT_RATE_MAX: u32 = 14_400;
/// Bits a second of the slowest modem that a fax machine may use, V.27ter.
const BIT_RATE_MIN: u32 = 2_400;
/// Octets that a number of SDP may mean: the payload of a datagram.
const OCTETS_MAX: u32 = 65_535;

/// Who looks at the training of the modems (T.38 section 7.3).
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum RateManagement {
    /// Each side makes and judges it for its own fax machine: `localTCF`, meant for TCP.
    Local,
    /// It goes from fax machine to fax machine: `transferredTCF`, which UDP needs.
    Transferred,
}

/// The attributes of one side.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct Parameters {
    /// `T38FaxVersion`: version of T.38.
    pub version: u8,
    /// `T38MaxBitRate`: bits a second of an image.
    pub max_bit_rate: u32,
    /// `T38FaxFillBitRemoval`: it can take fill bits out of images without ECM, and put them in again.
    pub fill_bit_removal: bool,
    /// `T38FaxTranscodingMMR`: it can turn images into MMR and back.
    pub transcoding_mmr: bool,
    /// `T38FaxTranscodingJBIG`: it can turn images into JBIG and back.
    pub transcoding_jbig: bool,
    /// `T38FaxRateManagement`.
    pub rate_management: RateManagement,
    /// `T38FaxMaxBuffer`: octets that it can keep before they are on their way to the fax machine.
    pub max_buffer: u32,
    /// `T38FaxMaxDatagram`: octets of UDP payload that it takes.
    pub max_datagram: u32,
    /// `T38FaxUdpEC`: what it wants against losses.
    pub error_correction: ErrorCorrection,
    /// `T38FaxUdpFECMaxSpan`: packets behind each parity that it reads at most (T.38 table D.1). Not said of ourselves.
    pub fec_span: u8,
}

impl Default for Parameters {
    /// What a gateway says of itself where nobody said anything before: version 0, which everybody has, with the fastest
    /// modem of it, and redundancy, which is the only correction that everybody reads.
    ///
    /// 512 octets have room for the longest packet and its predecessor, or for eight packets of a page, and pass any network
    /// whole. 1,800 octets are a second at 14,400 bits.
    fn default() -> Self {
        Self {
            version: 0,
            max_bit_rate: BIT_RATE_MAX,
            fill_bit_removal: false,
            transcoding_mmr: false,
            transcoding_jbig: false,
            rate_management: RateManagement::Transferred,
            max_buffer: 1_800,
            max_datagram: 512,
            error_correction: ErrorCorrection::Redundancy,
            fec_span: SPAN,
        }
    }
}

impl Parameters {
    /// Reads the attributes of an SDP media section: names and values. What is not there, or makes no sense, is as in
    /// [`Parameters::default`]; other attributes are ignored.
    ///
    /// It takes what is in use: any case, blanks, names with and without `Fax`, and switches with a value of 0 or 1.
    ///
    /// ```
    /// use viaduct_fax::parameters::Parameters;
    /// use viaduct_fax::udptl::ErrorCorrection;
    ///
    /// let attributes = [("T38FaxVersion", Some("3")), ("t38faxudpec", Some(" t38UDPFEC"))];
    /// let theirs = Parameters::read(attributes.into_iter());
    /// assert_eq!((theirs.version, theirs.error_correction), (3, ErrorCorrection::Fec));
    /// ```
    pub fn read<'a>(attributes: impl Iterator<Item = (&'a str, Option<&'a str>)>) -> Self {
        let mut read = Self::default();
        for (name, value) in attributes {
            read.set(
                name.trim(),
                value.map(str::trim).filter(|value| !value.is_empty()),
            );
        }
        read
    }

    fn set(&mut self, name: &str, value: Option<&str>) {
        let Some(name) = strip_prefix(name, "T38") else {
            return;
        };
        let name = strip_prefix(name, "Fax").unwrap_or(name);
        let is = |other: &str| name.eq_ignore_ascii_case(other);
        if is("Version") {
            change(&mut self.version, value.and_then(|value| value.parse().ok()));
        } else if is("MaxBitRate") {
            let rate = number(value).filter(|rate| *rate >= BIT_RATE_MIN);
            change(&mut self.max_bit_rate, rate);
        } else if is("FillBitRemoval") {
            change(&mut self.fill_bit_removal, switch(value));
        } else if is("TranscodingMMR") {
            change(&mut self.transcoding_mmr, switch(value));
        } else if is("TranscodingJBIG") {
            change(&mut self.transcoding_jbig, switch(value));
        } else if is("RateManagement") {
            change(&mut self.rate_management, value.and_then(RateManagement::read));
        } else if is("MaxBuffer") {
            change(&mut self.max_buffer, octets(value));
        } else if is("MaxDatagram") {
            change(&mut self.max_datagram, octets(value));
        } else if is("UdpEC") {
            change(&mut self.error_correction, value.and_then(ErrorCorrection::read));
        } else if is("UdpFECMaxSpan") {
            let span = value.and_then(|value| value.parse().ok());
            change(&mut self.fec_span, span.filter(|span| *span > 0));
        }
    }

    /// What a gateway answers to an offer of these: the lower of both versions and bit rates, who looks at the training and
    /// the correction of losses as offered, fill bits removed if offered, and images as they are. Sizes are our own, for they
    /// say what is taken here.
    #[must_use]
    pub fn answer(&self) -> Self {
        Self {
            version: self.version.min(VERSION_MAX),
            max_bit_rate: self.max_bit_rate.min(BIT_RATE_MAX),
            fill_bit_removal: self.fill_bit_removal,
            rate_management: self.rate_management,
            error_correction: self.error_correction,
            ..Self::default()
        }
    }

    /// What both have agreed on, seen from the side that said these, when the other said `theirs`, whoever offered. Sizes are
    /// theirs: they bound what is sent. This is what a [`Gateway`](crate::spandsp::Gateway) works by.
    #[must_use]
    pub fn with(&self, theirs: &Self) -> Self {
        Self {
            version: self.version.min(theirs.version),
            max_bit_rate: self.max_bit_rate.min(theirs.max_bit_rate),
            fill_bit_removal: self.fill_bit_removal && theirs.fill_bit_removal,
            transcoding_mmr: self.transcoding_mmr && theirs.transcoding_mmr,
            transcoding_jbig: self.transcoding_jbig && theirs.transcoding_jbig,
            rate_management: theirs.rate_management,
            max_buffer: theirs.max_buffer,
            max_datagram: theirs.max_datagram,
            error_correction: theirs.error_correction,
            fec_span: theirs.fec_span,
        }
    }

    /// The attributes for SDP, names and values, in the usual order. Switches that are off are left out.
    pub fn attributes(&self) -> impl Iterator<Item = (&'static str, Option<String>)> {
        let on = |is: bool, name| is.then_some((name, None));
        let value = |name, value: String| Some((name, Some(value)));
        let all = [
            value("T38FaxVersion", self.version.to_string()),
            value("T38MaxBitRate", self.max_bit_rate.to_string()),
            on(self.fill_bit_removal, "T38FaxFillBitRemoval"),
            on(self.transcoding_mmr, "T38FaxTranscodingMMR"),
            on(self.transcoding_jbig, "T38FaxTranscodingJBIG"),
            value("T38FaxRateManagement", self.rate_management.as_str().to_owned()),
            value("T38FaxMaxBuffer", self.max_buffer.to_string()),
            value("T38FaxMaxDatagram", self.max_datagram.to_string()),
            value("T38FaxUdpEC", self.error_correction.as_str().to_owned()),
        ];
        all.into_iter().flatten()
    }
}

impl RateManagement {
    const ALL: [Self; 2] = [Self::Local, Self::Transferred];

    /// As SDP has it.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Local => "localTCF",
            Self::Transferred => "transferredTCF",
        }
    }

    fn read(text: &str) -> Option<Self> {
        Self::ALL
            .into_iter()
            .find(|one| one.as_str().eq_ignore_ascii_case(text))
    }
}

impl ErrorCorrection {
    const ALL: [Self; 3] = [Self::None, Self::Redundancy, Self::Fec];

    /// As SDP has it in `T38FaxUdpEC`.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::None => "t38UDPNoEC",
            Self::Redundancy => "t38UDPRedundancy",
            Self::Fec => "t38UDPFEC",
        }
    }

    fn read(text: &str) -> Option<Self> {
        Self::ALL
            .into_iter()
            .find(|one| one.as_str().eq_ignore_ascii_case(text))
    }
}

/// What a fax machine may do behind a gateway, apart from what the other side can: all of it, unless somebody says otherwise.
/// What is not allowed is taken out of the words that the machines exchange, so that they do without.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct Options {
    /// Error correction mode (T.30 annex A).
    pub ecm: bool,
    /// Modems of 7,200 to 14,400 bits a second.
    pub v17: bool,
    /// Modems of 2,400 and 4,800 bits a second.
    pub v27ter: bool,
    /// Modems of 7,200 and 9,600 bits a second.
    pub v29: bool,
    /// Modems of up to 33,600 bits a second. spandsp 0.0.6 has none.
    pub v34: bool,
    /// Fax machines that are on the Internet themselves and need no modem's pace.
    pub iaf: bool,
}

impl Default for Options {
    fn default() -> Self {
        Self {
            ecm: true,
            v17: true,
            v27ter: true,
            v29: true,
            v34: true,
            iaf: true,
        }
    }
}

impl Options {
    /// Takes back what a flag of the list `T.38` of NG forbids, such as `no-ECM`. False for a flag that is none of them.
    pub fn forbid(&mut self, flag: &str) -> bool {
        let places = [
            ("no-ECM", &mut self.ecm),
            ("no-V.17", &mut self.v17),
            ("no-V.27ter", &mut self.v27ter),
            ("no-V.29", &mut self.v29),
            ("no-V.34", &mut self.v34),
            ("no-IAF", &mut self.iaf),
        ];
        let place = places
            .into_iter()
            .find(|(name, _)| name.eq_ignore_ascii_case(flag));
        place.map(|(_, place)| *place = false).is_some()
    }
}

fn strip_prefix<'a>(text: &'a str, prefix: &str) -> Option<&'a str> {
    let (begin, rest) = text.split_at_checked(prefix.len())?;
    begin.eq_ignore_ascii_case(prefix).then_some(rest)
}

fn change<T>(place: &mut T, value: Option<T>) {
    if let Some(value) = value {
        *place = value;
    }
}

fn number(value: Option<&str>) -> Option<u32> {
    value?.parse().ok()
}

fn octets(value: Option<&str>) -> Option<u32> {
    number(value).filter(|octets| (1..=OCTETS_MAX).contains(octets))
}

/// A switch is on when it is there, unless it says otherwise.
fn switch(value: Option<&str>) -> Option<bool> {
    match value {
        None | Some("1") => Some(true),
        Some("0") => Some(false),
        Some(other) if other.eq_ignore_ascii_case("true") => Some(true),
        Some(other) if other.eq_ignore_ascii_case("false") => Some(false),
        Some(_) => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(lines: &[&str]) -> Parameters {
        let attributes = lines.iter().map(|line| match line.split_once(':') {
            Some((name, value)) => (name, Some(value)),
            None => (*line, None),
        });
        Parameters::read(attributes)
    }

    fn written(parameters: &Parameters) -> Vec<String> {
        let line = |(name, value): (&str, Option<String>)| match value {
            Some(value) => format!("{name}:{value}"),
            None => name.to_owned(),
        };
        parameters.attributes().map(line).collect()
    }

    #[test]
    fn what_is_written_reads_the_same() {
        let lines = [
            "T38FaxVersion:2",
            "T38MaxBitRate:9600",
            "T38FaxFillBitRemoval",
            "T38FaxTranscodingMMR",
            "T38FaxTranscodingJBIG",
            "T38FaxRateManagement:localTCF",
            "T38FaxMaxBuffer:262",
            "T38FaxMaxDatagram:90",
            "T38FaxUdpEC:t38UDPFEC",
        ];
        assert_eq!(written(&read(&lines)), lines);
        assert_eq!(read(&[]), Parameters::default());
        assert_eq!(
            written(&Parameters::default()),
            [
                "T38FaxVersion:0",
                "T38MaxBitRate:14400",
                "T38FaxRateManagement:transferredTCF",
                "T38FaxMaxBuffer:1800",
                "T38FaxMaxDatagram:512",
                "T38FaxUdpEC:t38UDPRedundancy"
            ]
        );
    }

    #[test]
    fn what_is_in_use_is_read() {
        let odd = read(&[
            " t38faxversion : 1 ",
            "T38FaxMaxBitRate:7200",
            "T38FaxFillBitRemoval:1",
            "T38FaxTranscodingMMR:0",
            "T38FaxTranscodingJBIG:true",
            "T38faxRateManagement:LOCALtcf",
            "T38MaxDatagram:320",
            "T38FaxMaxBuffer: 200",
            "T38FaxUdpEC: T38UDPNOEC",
            "T38FaxUdpFECMaxSpan:5",
        ]);
        assert_eq!(
            odd,
            Parameters {
                version: 1,
                max_bit_rate: 7_200,
                fill_bit_removal: true,
                transcoding_mmr: false,
                transcoding_jbig: true,
                rate_management: RateManagement::Local,
                max_buffer: 200,
                max_datagram: 320,
                error_correction: ErrorCorrection::None,
                fec_span: 5,
            }
        );
    }

    #[test]
    fn what_makes_no_sense_is_as_if_it_was_not_there() {
        let lines = [
            "T38FaxVersion:-1",
            "T38FaxVersion:256",
            "T38FaxVersion",
            "T38MaxBitRate:0",
            "T38MaxBitRate:99999999999",
            "T38FaxFillBitRemoval:maybe",
            "T38FaxRateManagement:mine",
            "T38FaxMaxBuffer:",
            "T38FaxMaxDatagram:0",
            "T38FaxMaxDatagram:65536",
            "T38FaxUdpEC:t38UDP",
            "T38FaxUdpFECMaxSpan:0",
            "T38",
            "T3",
            "",
            "é38FaxVersion:3",
            "sendrecv",
        ];
        assert_eq!(read(&lines), Parameters::default());
    }

    #[test]
    fn an_answer_promises_what_is_there() {
        let offer = read(&[
            "T38FaxVersion:4",
            "T38MaxBitRate:33600",
            "T38FaxFillBitRemoval",
            "T38FaxTranscodingMMR",
            "T38FaxTranscodingJBIG",
            "T38FaxRateManagement:localTCF",
            "T38FaxMaxBuffer:262",
            "T38FaxMaxDatagram:90",
            "T38FaxUdpEC:t38UDPFEC",
        ]);
        let answer = offer.answer();
        assert_eq!(
            written(&answer),
            [
                "T38FaxVersion:3",
                "T38MaxBitRate:14400",
                "T38FaxFillBitRemoval",
                "T38FaxRateManagement:localTCF",
                "T38FaxMaxBuffer:1800",
                "T38FaxMaxDatagram:512",
                "T38FaxUdpEC:t38UDPFEC"
            ]
        );
        // What is sent fits the other side.
        let agreed = answer.with(&offer);
        assert_eq!((agreed.max_buffer, agreed.max_datagram), (262, 90));
        assert_eq!((agreed.version, agreed.max_bit_rate), (3, 14_400));
        assert!(!agreed.transcoding_mmr && agreed.fill_bit_removal);
    }

    #[test]
    fn options_are_taken_back_by_name() {
        let mut options = Options::default();
        for flag in ["no-ECM", "no-V.17", "NO-v.27ter", "no-V.29", "no-V.34", "no-IAF"] {
            assert!(options.forbid(flag), "{flag}");
        }
        assert!(!options.forbid("decode") && !options.forbid("ecm"));
        let Options {
            ecm,
            v17,
            v27ter,
            v29,
            v34,
            iaf,
        } = options;
        assert!(![ecm, v17, v27ter, v29, v34, iaf].contains(&true));
    }
}

//! DNS messages: questions out, answers in (RFC 1035 section 4).
//!
//! Only what a stub resolver needs that asks one question at a time of a server that recurses. An answer is read from
//! untrusted octets: every length is checked, names are followed through a bounded number of pointers, and what does not
//! belong to the question is left out.

use std::net::{Ipv4Addr, Ipv6Addr};
use std::time::Duration;

use crate::{Answer, Kind, Naptr, Question, Record, Srv};

/// Octets of a name, dots included (RFC 1035 section 2.3.4).
const NAME_OCTETS_MAX: usize = 255;

/// Octets of one label.
const LABEL_OCTETS_MAX: usize = 63;

/// Pointers followed while one name is read.
const POINTERS_MAX: usize = 32;

/// Aliases followed from the name that was asked to its records.
const ALIASES_MAX: usize = 8;

/// Records of an answer that are looked at.
const RECORDS_MAX: usize = 256;

/// What a server may send over UDP (EDNS, RFC 6891): the size that passes every network without fragments.
const UDP_OCTETS_MAX: u16 = 1_232;

const TYPE_A: u16 = 1;
const TYPE_CNAME: u16 = 5;
const TYPE_SOA: u16 = 6;
const TYPE_AAAA: u16 = 28;
const TYPE_SRV: u16 = 33;
const TYPE_NAPTR: u16 = 35;
const TYPE_OPT: u16 = 41;
const CLASS_IN: u16 = 1;

/// Why octets are no answer to a question.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum WireError {
    /// The name cannot be asked for.
    #[error("not a name that DNS can be asked for")]
    BadName,
    /// They end early, or contradict themselves.
    #[error("not a DNS message")]
    Malformed,
    /// They answer something else: another number, another question, or no answer at all.
    #[error("not the answer to this question")]
    NotOurs,
    /// The answer did not fit: ask again over TCP (RFC 1035 section 4.2.1).
    #[error("answer is truncated")]
    Truncated,
}

impl Question {
    /// The message that asks this question, with this number (RFC 1035 section 4.1).
    ///
    /// # Errors
    ///
    /// [`WireError::BadName`] when a label is empty or too long, or the whole name is.
    pub fn encode(&self, number: u16) -> Result<Vec<u8>, WireError> {
        let mut octets = Vec::with_capacity(64);
        octets.extend(number.to_be_bytes());
        // Recursion desired; one question, and one additional record for EDNS.
        octets.extend([0x01, 0x00, 0, 1, 0, 0, 0, 0, 0, 1]);
        if self.name.len() + 2 > NAME_OCTETS_MAX {
            return Err(WireError::BadName);
        }
        for label in self.name.split('.') {
            match u8::try_from(label.len()) {
                Ok(len @ 1..=63) => octets.push(len),
                _ => return Err(WireError::BadName),
            }
            octets.extend(label.as_bytes());
        }
        octets.push(0);
        octets.extend(self.kind.code().to_be_bytes());
        octets.extend(CLASS_IN.to_be_bytes());
        octets.push(0);
        octets.extend(TYPE_OPT.to_be_bytes());
        octets.extend(UDP_OCTETS_MAX.to_be_bytes());
        octets.extend([0; 6]);
        Ok(octets)
    }

    /// Reads the answer to this question with this number.
    ///
    /// # Errors
    ///
    /// See [`WireError`]. A server that answers that it cannot tell is no error but [`Answer::Failed`].
    pub fn decode(&self, number: u16, octets: &[u8]) -> Result<Answer, WireError> {
        let mut reader = Reader { octets, at: 0 };
        let (got, flags) = (reader.u16()?, reader.u16()?);
        let counts = [reader.u16()?, reader.u16()?, reader.u16()?];
        reader.u16()?;
        let is_response = flags & 0x8000 != 0;
        let is_query = flags & 0x7800 == 0;
        if got != number || !is_response || !is_query || counts[0] != 1 {
            return Err(WireError::NotOurs);
        }
        let name = reader.name()?;
        if (reader.u16()?, reader.u16()?) != (self.kind.code(), CLASS_IN) || name != *self.name {
            return Err(WireError::NotOurs);
        }
        if flags & 0x0200 != 0 {
            return Err(WireError::Truncated);
        }
        match flags & 0x000f {
            0 | 3 => {}
            _ => return Ok(Answer::Failed),
        }
        let answers = reader.records(counts[1])?;
        if let Some(answer) = self.records_of(&answers, reader) {
            return Ok(answer);
        }
        // The time that "nothing" may be kept is in the SOA record of the authority (RFC 2308 section 5).
        let authority = reader.records(counts[2])?;
        let soa = authority.iter().find(|record| record.kind == TYPE_SOA);
        Ok(Answer::Nothing {
            ttl: soa.and_then(|soa| Some(seconds(soa.ttl.min(reader.soa_minimum(soa)?)))),
        })
    }

    /// The records of the name that was asked for, or of the one that it is an alias of.
    fn records_of(&self, answers: &[Raw], reader: Reader<'_>) -> Option<Answer> {
        let mut name = self.name.to_string();
        let mut ttl = u32::MAX;
        for _ in 0..=ALIASES_MAX {
            let of_name = answers.iter().filter(|raw| raw.name == name);
            let records: Vec<(u32, Record)> = of_name
                .clone()
                .filter(|raw| raw.kind == self.kind.code())
                .filter_map(|raw| Some((raw.ttl, reader.record(raw, self.kind)?)))
                .collect();
            if !records.is_empty() {
                let shortest = records.iter().map(|(ttl, _)| *ttl).min().unwrap_or_default();
                return Some(Answer::Records {
                    records: records.into_iter().map(|(_, record)| record).collect(),
                    ttl: seconds(ttl.min(shortest)),
                });
            }
            let alias = of_name.clone().find(|raw| raw.kind == TYPE_CNAME)?;
            ttl = ttl.min(alias.ttl);
            name = reader.inside(alias).name().ok()?;
        }
        None
    }
}

impl Kind {
    fn code(self) -> u16 {
        match self {
            Self::A => TYPE_A,
            Self::Aaaa => TYPE_AAAA,
            Self::Naptr => TYPE_NAPTR,
            Self::Srv => TYPE_SRV,
        }
    }
}

/// A record as it stands in the message.
struct Raw {
    name: String,
    kind: u16,
    ttl: u32,
    /// Where its data is.
    at: usize,
    len: usize,
}

/// Reads a message from some place in it.
#[derive(Clone, Copy)]
struct Reader<'m> {
    octets: &'m [u8],
    at: usize,
}

impl<'m> Reader<'m> {
    fn take(&mut self, len: usize) -> Result<&'m [u8], WireError> {
        let end = self.at.checked_add(len).ok_or(WireError::Malformed)?;
        let taken = self.octets.get(self.at..end).ok_or(WireError::Malformed)?;
        self.at = end;
        Ok(taken)
    }

    fn u8(&mut self) -> Result<u8, WireError> {
        Ok(self.take(1)?[0])
    }

    fn u16(&mut self) -> Result<u16, WireError> {
        let taken = self.take(2)?;
        Ok(u16::from_be_bytes([taken[0], taken[1]]))
    }

    fn u32(&mut self) -> Result<u32, WireError> {
        Ok(u32::from(self.u16()?) << 16 | u32::from(self.u16()?))
    }

    /// A name in lower case, without a dot at the end. A label with a dot or anything unprintable in it is nobody's that we
    /// would ask.
    fn name(&mut self) -> Result<String, WireError> {
        let mut name = String::new();
        let mut there = *self;
        let mut pointers = 0;
        loop {
            let len = usize::from(there.u8()?);
            match len {
                0 => break,
                1..=LABEL_OCTETS_MAX => {
                    let label = there.take(len)?;
                    let is_plain = label.iter().all(|byte| byte.is_ascii_graphic() && *byte != b'.');
                    if !is_plain || name.len() + len + 1 > NAME_OCTETS_MAX {
                        return Err(WireError::Malformed);
                    }
                    if !name.is_empty() {
                        name.push('.');
                    }
                    name.extend(label.iter().map(|byte| char::from(byte.to_ascii_lowercase())));
                }
                0xc0.. => {
                    let low = usize::from(there.u8()?);
                    // What was read until here is where this name ends, wherever the pointer leads.
                    if pointers == 0 {
                        self.at = there.at;
                    }
                    pointers += 1;
                    if pointers > POINTERS_MAX {
                        return Err(WireError::Malformed);
                    }
                    there.at = (len & 0x3f) << 8 | low;
                }
                _ => return Err(WireError::Malformed),
            }
        }
        if pointers == 0 {
            self.at = there.at;
        }
        Ok(name)
    }

    fn records(&mut self, count: u16) -> Result<Vec<Raw>, WireError> {
        let mut records = Vec::new();
        for _ in 0..usize::from(count).min(RECORDS_MAX) {
            let name = self.name()?;
            let (kind, class, ttl, len) = (self.u16()?, self.u16()?, self.u32()?, self.u16()?);
            let (at, len) = (self.at, usize::from(len));
            self.take(len)?;
            if class == CLASS_IN {
                records.push(Raw {
                    name,
                    kind,
                    // The highest bit must not be set; then it means nothing (RFC 2181 section 8).
                    ttl: if ttl > i32::MAX as u32 { 0 } else { ttl },
                    at,
                    len,
                });
            }
        }
        Ok(records)
    }

    /// The data of a record. Names in it may point anywhere in the message before.
    fn inside(mut self, raw: &Raw) -> Self {
        self.octets = &self.octets[..(raw.at + raw.len).min(self.octets.len())];
        self.at = raw.at;
        self
    }

    fn record(self, raw: &Raw, kind: Kind) -> Option<Record> {
        let mut data = self.inside(raw);
        match kind {
            Kind::A => {
                let octets: [u8; 4] = data.take(raw.len).ok()?.try_into().ok()?;
                Some(Record::A(Ipv4Addr::from(octets)))
            }
            Kind::Aaaa => {
                let octets: [u8; 16] = data.take(raw.len).ok()?.try_into().ok()?;
                Some(Record::Aaaa(Ipv6Addr::from(octets)))
            }
            Kind::Srv => Some(Record::Srv(Srv {
                priority: data.u16().ok()?,
                weight: data.u16().ok()?,
                port: data.u16().ok()?,
                target: data.name().ok()?,
            })),
            Kind::Naptr => {
                let (order, preference) = (data.u16().ok()?, data.u16().ok()?);
                let (flags, service) = (data.text()?, data.text()?);
                // A rule for rewriting (RFC 3402), which SIP does not use.
                data.text()?;
                Some(Record::Naptr(Naptr {
                    order,
                    preference,
                    flags,
                    service,
                    replacement: data.name().ok()?,
                }))
            }
        }
    }

    /// A character string (RFC 1035 section 3.3).
    fn text(&mut self) -> Option<String> {
        let len = self.u8().ok()?;
        let text = self.take(usize::from(len)).ok()?;
        Some(String::from_utf8_lossy(text).into_owned())
    }

    fn soa_minimum(self, soa: &Raw) -> Option<u32> {
        let mut data = self.inside(soa);
        data.name().ok()?;
        data.name().ok()?;
        data.take(16).ok()?;
        data.u32().ok()
    }
}

fn seconds(ttl: u32) -> Duration {
    Duration::from_secs(ttl.into())
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn question(name: &str, kind: Kind) -> Question {
        Question {
            name: name.into(),
            kind,
        }
    }

    /// The answer to a question: its own octets with the flags and counts of a response, and records behind.
    fn response(question: &Question, flags: u16, answers: &[Vec<u8>], authority: &[Vec<u8>]) -> Vec<u8> {
        let mut octets = question.encode(7).unwrap();
        octets.truncate(octets.len() - 11);
        octets[2..4].copy_from_slice(&flags.to_be_bytes());
        octets[6..8].copy_from_slice(&(answers.len() as u16).to_be_bytes());
        octets[8..10].copy_from_slice(&(authority.len() as u16).to_be_bytes());
        octets[10..12].copy_from_slice(&[0, 0]);
        octets.extend(answers.concat());
        octets.extend(authority.concat());
        octets
    }

    fn record(name: &[u8], kind: u16, ttl: u32, data: &[u8]) -> Vec<u8> {
        let mut octets = name.to_vec();
        octets.extend(kind.to_be_bytes());
        octets.extend(CLASS_IN.to_be_bytes());
        octets.extend(ttl.to_be_bytes());
        octets.extend((data.len() as u16).to_be_bytes());
        octets.extend(data);
        octets
    }

    /// A pointer to the name in the question.
    const ASKED: &[u8] = &[0xc0, 12];

    #[test]
    fn a_question_is_asked_as_the_standard_writes_it() {
        let octets = question("a.example", Kind::Srv).encode(0x1234).unwrap();
        assert_eq!(
            octets,
            *b"\x12\x34\x01\x00\0\x01\0\0\0\0\0\x01\x01a\x07example\0\0\x21\0\x01\0\0\x29\x04\xd0\0\0\0\0\0\0"
        );
        for name in ["", ".", "a..b", &"x".repeat(64), &"x.".repeat(130)] {
            assert_eq!(
                question(name, Kind::A).encode(1),
                Err(WireError::BadName),
                "{name}"
            );
        }
    }

    #[test]
    fn records_are_read_through_pointers_and_aliases() {
        let asked = question("www.example", Kind::A);
        let alias = record(ASKED, TYPE_CNAME, 30, b"\x03WEB\xc0\x10");
        let octets = response(
            &asked,
            0x8180,
            &[
                alias,
                record(b"\x03web\xc0\x10", TYPE_A, 60, &[192, 0, 2, 1]),
                record(b"\x05other\xc0\x10", TYPE_A, 60, &[192, 0, 2, 66]),
                record(b"\x03web\xc0\x10", TYPE_A, 90, &[192, 0, 2, 2]),
            ],
            &[],
        );
        let expected = Answer::Records {
            records: vec![Record::A([192, 0, 2, 1].into()), Record::A([192, 0, 2, 2].into())],
            ttl: Duration::from_secs(30),
        };
        assert_eq!(asked.decode(7, &octets), Ok(expected));
    }

    #[test]
    fn naptr_and_srv_are_read() {
        let asked = question("example", Kind::Naptr);
        let data = b"\x00\x32\x00\x0a\x01s\x08SIPS+D2T\x00\x05_sips\x04_tcp\xc0\x0c";
        let octets = response(&asked, 0x8180, &[record(ASKED, TYPE_NAPTR, 5, data)], &[]);
        let Ok(Answer::Records { records, .. }) = asked.decode(7, &octets) else {
            panic!("no records")
        };
        let Record::Naptr(naptr) = &records[0] else {
            panic!("{records:?}")
        };
        assert_eq!((naptr.order, naptr.preference, &*naptr.flags), (50, 10, "s"));
        assert_eq!(
            (&*naptr.service, &*naptr.replacement),
            ("SIPS+D2T", "_sips._tcp.example")
        );
        let asked = question("_sip._udp.example", Kind::Srv);
        let data = b"\x00\x01\x00\x02\x13\xc4\x00";
        let octets = response(&asked, 0x8180, &[record(ASKED, TYPE_SRV, 5, data)], &[]);
        let Ok(Answer::Records { records, .. }) = asked.decode(7, &octets) else {
            panic!("no records")
        };
        let Record::Srv(srv) = &records[0] else {
            panic!("{records:?}")
        };
        assert_eq!(
            (srv.priority, srv.weight, srv.port, &*srv.target),
            (1, 2, 5060, "")
        );
    }

    /// RFC 2308 section 5: the smaller of the SOA record's own time and its minimum.
    #[test]
    fn nothing_is_told_from_failure() {
        let asked = question("example", Kind::A);
        let mut soa = b"\x01a\xc0\x0c\x01b\xc0\x0c".to_vec();
        soa.extend([0; 16]);
        soa.extend(20_u32.to_be_bytes());
        let authority = [record(ASKED, TYPE_SOA, 300, &soa)];
        for flags in [0x8180, 0x8183] {
            let octets = response(&asked, flags, &[], &authority);
            let expected = Answer::Nothing {
                ttl: Some(Duration::from_secs(20)),
            };
            assert_eq!(asked.decode(7, &octets), Ok(expected));
        }
        assert_eq!(
            asked.decode(7, &response(&asked, 0x8182, &[], &[])),
            Ok(Answer::Failed)
        );
        assert_eq!(
            asked.decode(7, &response(&asked, 0x8380, &[], &[])),
            Err(WireError::Truncated)
        );
    }

    #[test]
    fn answers_to_something_else_are_not_ours() {
        let asked = question("example", Kind::A);
        let octets = response(&asked, 0x8180, &[], &[]);
        assert_eq!(asked.decode(8, &octets), Err(WireError::NotOurs));
        assert_eq!(
            question("example", Kind::Aaaa).decode(7, &octets),
            Err(WireError::NotOurs)
        );
        assert_eq!(
            question("examplf", Kind::A).decode(7, &octets),
            Err(WireError::NotOurs)
        );
        assert_eq!(
            asked.decode(7, &response(&asked, 0x0100, &[], &[])),
            Err(WireError::NotOurs)
        );
    }

    #[test]
    fn names_that_point_at_themselves_end() {
        let asked = question("example", Kind::A);
        let at = 12 + 9 + 4;
        let circle = [0xc0, at as u8];
        let octets = response(
            &asked,
            0x8180,
            &[record(&circle, TYPE_A, 60, &[192, 0, 2, 1])],
            &[],
        );
        assert_eq!(asked.decode(7, &octets), Err(WireError::Malformed));
        let alias = record(ASKED, TYPE_CNAME, 60, ASKED);
        let octets = response(&asked, 0x8180, &[alias], &[]);
        assert_eq!(asked.decode(7, &octets), Ok(Answer::Nothing { ttl: None }));
    }

    proptest! {
        #[test]
        fn no_octets_make_it_panic(octets in prop::collection::vec(any::<u8>(), 0..300), kind in 0..4_usize) {
            let asked = question("a.example", [Kind::A, Kind::Aaaa, Kind::Naptr, Kind::Srv][kind]);
            let _ = asked.decode(7, &octets);
            // The same behind a head that is accepted.
            let mut behind = response(&asked, 0x8180, &vec![Vec::new(); 3], &[Vec::new()]);
            behind.extend(octets);
            let _ = asked.decode(7, &behind);
        }

        #[test]
        fn what_is_cut_or_changed_is_refused_or_read(at in 0..60_usize, byte in any::<u8>()) {
            let asked = question("www.example", Kind::A);
            let whole = response(&asked, 0x8180, &[record(ASKED, TYPE_A, 60, &[192, 0, 2, 1])], &[]);
            let at = at % whole.len();
            prop_assert!(asked.decode(7, &whole[..at]).is_err());
            let mut changed = whole;
            changed[at] = byte;
            let _ = asked.decode(7, &changed);
        }
    }
}

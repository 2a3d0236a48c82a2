//! RTP header extension elements (RFC 8285): how a bundled packet carries its MID.

use crate::header::{RTP_HEADER_LEN, RtpHeader};

/// Octets that [`insert_element`] adds to a packet at most.
pub const ELEMENT_GROWTH_MAX: usize = 24;

/// What marks an extension with elements of the one-byte form.
const ONE_BYTE_FORM: u16 = 0xbede;

/// Puts an element of the one-byte form (RFC 8285, section 4.2) into the RTP packet in the first `len` octets of the
/// buffer, and says how long the packet is with it. The packet stays as it is where it has an element with that
/// identifier or an extension of another form, where the buffer has no room, and where no such element can be: its
/// identifier is not 1 to 14, or its data not 1 to 16 octets long.
pub fn insert_element(buffer: &mut [u8], len: usize, id: u8, data: &[u8]) -> usize {
    let Ok(header) = RtpHeader::parse(&buffer[..len]) else {
        return len;
    };
    if !(1..=14).contains(&id) || !(1..=16).contains(&data.len()) {
        return len;
    }
    let size = (1 + data.len()).next_multiple_of(4);
    let begin = RTP_HEADER_LEN + 4 * header.csrcs().len();
    let known = match header.extension() {
        None => None,
        Some(of) if of.profile == ONE_BYTE_FORM && of.element(id).is_none() => Some(of.data.len()),
        Some(_) => return len,
    };
    // Behind the extension's own four octets and the elements that there are.
    let at = begin + known.map_or(0, |known| 4 + known);
    let growth = size + if known.is_some() { 0 } else { 4 };
    if len + growth > buffer.len() {
        return len;
    }
    buffer.copy_within(at..len, at + growth);
    buffer[0] |= 0x10;
    let words = ((known.unwrap_or(0) + size) / 4) as u16;
    buffer[begin..begin + 2].copy_from_slice(&ONE_BYTE_FORM.to_be_bytes());
    buffer[begin + 2..begin + 4].copy_from_slice(&words.to_be_bytes());
    let element = &mut buffer[at + growth - size..at + growth];
    element.fill(0);
    element[0] = id << 4 | (data.len() - 1) as u8;
    element[1..=data.len()].copy_from_slice(data);
    len + growth
}

/// Which forms of elements the receiver of a packet takes (RFC 8285, section 4.1.2).
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum ElementForms {
    /// Either: both sides have said `a=extmap-allow-mixed`, or there are identifiers that only the two-byte form has.
    Both,
    /// The one-byte form.
    OneByte,
}

/// Takes out of the RTP packet in the first `len` octets of the buffer what `keep` does not want of its header extension,
/// by identifiers, and says how long the packet is then. Elements of a form that its receiver does not take are told in the other
/// one, or left out if it has no room for them. An extension of which nothing is left goes as a whole, and so does one of a form
/// that RFC 8285 does not know.
pub fn retain_elements(
    buffer: &mut [u8],
    len: usize,
    forms: ElementForms,
    keep: impl Fn(u8) -> bool,
) -> usize {
    let Ok(header) = RtpHeader::parse(&buffer[..len]) else {
        return len;
    };
    let Some(extension) = header.extension() else {
        return len;
    };
    let known = !matches!(extension.elements().form, Form::Other);
    let narrows = forms == ElementForms::OneByte && matches!(extension.elements().form, Form::TwoByte);
    if known && !narrows && extension.elements().all(|element| keep(element.id)) {
        return len;
    }
    let begin = RTP_HEADER_LEN + 4 * header.csrcs().len() + 4;
    let (end, form) = (begin + extension.data.len(), extension.elements().form);
    let (mut from, mut to) = (begin, begin);
    while let Some((element, size)) = form.first(&buffer[from..end]) {
        // Padding before it is left out.
        let kept = keep(element).then_some(size.element);
        from += size.padding;
        match kept {
            Some(kept) if narrows => {
                let data = from + size.head..from + kept;
                if let (1..=14, len @ 1..=16) = (element, data.len()) {
                    buffer[to] = element << 4 | (len - 1) as u8;
                    buffer.copy_within(data, to + 1);
                    to += 1 + len;
                }
            }
            Some(kept) => {
                buffer.copy_within(from..from + kept, to);
                to += kept;
            }
            None => {}
        }
        from += size.element;
    }
    let words = (to - begin).div_ceil(4);
    buffer[to..begin + 4 * words].fill(0);
    let behind = match words {
        0 => {
            buffer[0] &= !0x10;
            begin - 4
        }
        words => {
            if narrows {
                buffer[begin - 4..begin - 2].copy_from_slice(&ONE_BYTE_FORM.to_be_bytes());
            }
            buffer[begin - 2..begin].copy_from_slice(&(words as u16).to_be_bytes());
            begin + 4 * words
        }
    };
    buffer.copy_within(end..len, behind);
    len - (end - behind)
}

/// The header extension of one packet.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Extension<'a> {
    /// The 16 bits that say what follows: 0xBEDE for one-byte elements, 0x100_ for two-byte elements.
    pub profile: u16,
    /// Everything after the length word; a multiple of four octets.
    pub data: &'a [u8],
}

impl<'a> Extension<'a> {
    /// The elements, in order. None if the profile is neither of RFC 8285's.
    #[must_use]
    pub fn elements(&self) -> Elements<'a> {
        let (data, form) = match self.profile {
            ONE_BYTE_FORM => (self.data, Form::OneByte),
            profile if profile >> 4 == 0x100 => (self.data, Form::TwoByte),
            _ => (&[][..], Form::Other),
        };
        Elements { data, form }
    }

    /// The data of the first element with this identifier.
    #[must_use]
    pub fn element(&self, id: u8) -> Option<&'a [u8]> {
        self.elements()
            .find(|element| element.id == id)
            .map(|element| element.data)
    }
}

/// One element of a header extension.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Element<'a> {
    /// The identifier that `a=extmap` maps to a meaning: 1 to 14, or 1 to 255 in the two-byte form.
    pub id: u8,
    /// Its data: 1 to 16 octets, or 0 to 255 in the two-byte form.
    pub data: &'a [u8],
}

#[derive(Debug, Clone, Copy)]
enum Form {
    OneByte,
    TwoByte,
    /// Nobody knows what is in it.
    Other,
}

/// Octets of an element with its head, and of the padding before it.
#[derive(Debug, Clone, Copy)]
struct Size {
    padding: usize,
    head: usize,
    element: usize,
}

impl Form {
    /// The first element's identifier and size; `None` if there is none that can be read.
    fn first(self, data: &[u8]) -> Option<(u8, Size)> {
        // An octet of zero is padding in both forms.
        let padding = data.iter().take_while(|octet| **octet == 0).count();
        let (id, head, len) = match (self, &data[padding..]) {
            (Self::OneByte, &[head, ..]) if !matches!(head >> 4, 0 | 15) => {
                (head >> 4, 1, usize::from(head & 0x0f) + 1)
            }
            (Self::TwoByte, &[id, len, ..]) => (id, 2, usize::from(len)),
            _ => return None,
        };
        let element = head + len;
        (padding + element <= data.len()).then_some((
            id,
            Size {
                padding,
                head,
                element,
            },
        ))
    }
}

/// Iterator of [`Extension::elements`]. Ends at the first element that reaches past the end and, in the one-byte form,
/// at the identifier 15 and at the identifier 0 with a length, as RFC 8285, section 4.2 demands.
#[derive(Debug, Clone)]
pub struct Elements<'a> {
    data: &'a [u8],
    form: Form,
}

impl<'a> Iterator for Elements<'a> {
    type Item = Element<'a>;

    fn next(&mut self) -> Option<Element<'a>> {
        let Some((id, size)) = self.form.first(self.data) else {
            self.data = &[];
            return None;
        };
        let (before, rest) = self.data.split_at(size.padding + size.element);
        self.data = rest;
        let data = &before[size.padding + size.head..];
        Some(Element { id, data })
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn elements(profile: u16, data: &[u8]) -> Vec<(u8, Vec<u8>)> {
        Extension { profile, data }
            .elements()
            .map(|e| (e.id, e.data.to_vec()))
            .collect()
    }

    #[test]
    fn reads_the_one_byte_form() {
        // MID "0" as element 3, padding, an audio level as element 1.
        let data = b"\x300\x00\x10\xff\x00\x00\x00";
        assert_eq!(elements(0xbede, data), [(3, b"0".to_vec()), (1, vec![0xff])]);
        assert_eq!(
            Extension {
                profile: 0xbede,
                data
            }
            .element(3),
            Some(&b"0"[..])
        );
        assert_eq!(
            Extension {
                profile: 0xbede,
                data
            }
            .element(2),
            None
        );
    }

    #[test]
    fn reads_the_two_byte_form() {
        let data = b"\x03\x05video\x00\x11\x00\x00\x00";
        assert_eq!(
            elements(0x1000, data),
            [(3, b"video".to_vec()), (0x11, Vec::new())]
        );
        assert_eq!(elements(0x100f, data).len(), 2);
    }

    #[test]
    fn stops_where_it_must() {
        assert_eq!(elements(0xbede, b"\x10a\xf0\x20\x20bbb"), [(1, b"a".to_vec())]);
        assert_eq!(elements(0xbede, b"\x10a\x27bb"), [(1, b"a".to_vec())]);
        assert_eq!(elements(0xbede, b"\x10a\x01bb\x20b"), [(1, b"a".to_vec())]);
        assert_eq!(elements(0x1000, b"\x01\x01a\x02\x09b"), [(1, b"a".to_vec())]);
        assert_eq!(elements(0x1000, b"\x01\x00\x02"), [(1, Vec::new())]);
        assert_eq!(elements(0x2000, b"\x10a\x00\x00"), []);
    }

    /// One packet without, one with an extension.
    #[test]
    fn an_element_is_put_in_behind_those_that_there_are() {
        let plain = b"\x80\x08\0\x01\0\0\0\x02\0\0\0\x03speech";
        let mut buffer = plain.to_vec();
        buffer.resize(100, 0xff);
        let len = insert_element(&mut buffer, plain.len(), 3, b"audio");
        assert_eq!(buffer[..12], *b"\x90\x08\0\x01\0\0\0\x02\0\0\0\x03");
        assert_eq!(buffer[12..len], *b"\xbe\xde\0\x02\x34audio\0\0speech");
        let longer = insert_element(&mut buffer, len, 1, b"\x7f");
        assert_eq!(
            buffer[12..longer],
            *b"\xbe\xde\0\x03\x34audio\0\0\x10\x7f\0\0speech"
        );
        assert_eq!(insert_element(&mut buffer, longer, 3, b"video"), longer);
        let mut short = buffer[..longer].to_vec();
        assert_eq!(insert_element(&mut short, longer, 4, b"x"), longer);
        assert_eq!(short, buffer[..longer]);
    }

    #[test]
    fn elements_are_taken_out_and_with_the_last_one_the_extension() {
        let packet = |extension: &[u8]| {
            let first: u8 = if extension.is_empty() { 0x80 } else { 0x90 };
            let mut packet = vec![first, 8, 0, 1, 0, 0, 0, 2, 0, 0, 0, 3];
            packet.extend(extension);
            packet.extend(b"speech");
            packet
        };
        let of_one_byte = b"\xbe\xde\0\x03\x10a\0\x21bc\x30d\0\0\0\0";
        for (extension, keep, left) in [
            (&of_one_byte[..], &[1, 2, 3][..], &of_one_byte[..]),
            (of_one_byte, &[2], b"\xbe\xde\0\x01\x21bc\0"),
            (of_one_byte, &[1, 3], b"\xbe\xde\0\x01\x10a\x30d"),
            (of_one_byte, &[], b""),
            (
                b"\x10\0\0\x02\x01\x01a\0\x02\0\x03\0",
                &[2, 3],
                b"\x10\0\0\x01\x02\0\x03\0",
            ),
            (b"\x12\x34\0\x01what", &[1, 2, 3], b""),
            (b"", &[], b""),
        ] {
            let mut buffer = packet(extension);
            let len = buffer.len();
            let len = retain_elements(&mut buffer, len, ElementForms::Both, |id| keep.contains(&id));
            assert_eq!(buffer[..len], packet(left), "{extension:?} {keep:?}");
        }
        let of_two_bytes = b"\x10\0\0\x08\x01\x01a\0\x02\0\x0f\x01b\x0e\x02cd\x03\x110123456789abcdefg";
        for (keep, left) in [
            (&[1, 2, 3, 14, 15][..], &b"\xbe\xde\0\x02\x10a\xe1cd\0\0\0"[..]),
            (&[1], b"\xbe\xde\0\x01\x10a\0\0"),
            (&[2, 3, 15], b""),
        ] {
            let mut buffer = packet(of_two_bytes);
            let len = buffer.len();
            let len = retain_elements(&mut buffer, len, ElementForms::OneByte, |id| keep.contains(&id));
            assert_eq!(buffer[..len], packet(left), "{keep:?}");
        }
    }

    proptest! {
        #[test]
        fn what_is_kept_is_what_was_there(data in prop::collection::vec(any::<u8>(), 0..40), two in any::<bool>(), both: bool, keep: u16) {
            let words = data.len() / 4;
            let mut packet = vec![0x90, 8, 0, 1, 0, 0, 0, 2, 0, 0, 0, 3];
            packet.extend(if two { [0x10, 0] } else { [0xbe, 0xde] });
            packet.extend((words as u16).to_be_bytes());
            packet.extend(&data[..4 * words]);
            packet.extend(b"speech");
            let keeps = |id: u8| keep >> (id & 15) & 1 == 1;
            let of = |packet: &[u8]| -> Vec<(u8, Vec<u8>)> {
                let header = RtpHeader::parse(packet).unwrap();
                let elements = header.extension().into_iter().flat_map(|extension| extension.elements());
                elements.map(|element| (element.id, element.data.to_vec())).collect()
            };
            let fits = |(id, data): &(u8, Vec<u8>)| both || !two || (*id < 15 && (1..17).contains(&data.len()));
            let wanted = of(&packet).into_iter().filter(|(id, _)| keeps(*id));
            let wanted: Vec<_> = wanted.filter(fits).collect();
            let len = packet.len();
            let forms = if both { ElementForms::Both } else { ElementForms::OneByte };
            let len = retain_elements(&mut packet, len, forms, keeps);
            prop_assert_eq!(of(&packet[..len]), wanted);
            prop_assert!(packet[..len].ends_with(b"speech"));
        }

        #[test]
        fn a_packet_with_an_element_put_in_is_one(
            csrcs in 0_u8..16, payload in proptest::collection::vec(any::<u8>(), 0..60),
            id in any::<u8>(), data in proptest::collection::vec(any::<u8>(), 0..20),
        ) {
            let mut packet = vec![0x80 | csrcs, 0, 0, 1, 0, 0, 0, 0, 0, 0, 0, 9];
            packet.resize(12 + 4 * usize::from(csrcs), 5);
            packet.extend(&payload);
            let len = packet.len();
            packet.resize(len + ELEMENT_GROWTH_MAX, 0);
            let longer = insert_element(&mut packet, len, id, &data);
            let header = RtpHeader::parse(&packet[..longer]).unwrap();
            prop_assert_eq!(&packet[header.size()..longer], &payload[..]);
            if (1..15).contains(&id) && (1..17).contains(&data.len()) {
                prop_assert_eq!(header.extension().unwrap().element(id), Some(&data[..]));
            } else {
                prop_assert_eq!(longer, len);
            }
        }

        #[test]
        fn random_octets_end(data in proptest::collection::vec(any::<u8>(), 0..80), two_byte: bool) {
            let profile = if two_byte { 0x1000 } else { 0xbede };
            prop_assert!(elements(profile, &data).len() <= data.len());
        }
    }
}

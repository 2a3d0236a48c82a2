//! RTP header extension elements (RFC 8285): how a bundled packet carries its MID.

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
            0xbede => (self.data, Form::OneByte),
            profile if profile >> 4 == 0x100 => (self.data, Form::TwoByte),
            _ => (&[][..], Form::OneByte),
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
        // An octet of zero is padding in both forms.
        while let [0, rest @ ..] = self.data {
            self.data = rest;
        }
        let (id, len, rest) = match (self.form, self.data) {
            (Form::OneByte, &[head, ref rest @ ..]) if !matches!(head >> 4, 0 | 15) => {
                (head >> 4, usize::from(head & 0x0f) + 1, rest)
            }
            (Form::TwoByte, &[id, len, ref rest @ ..]) => (id, usize::from(len), rest),
            _ => (0, usize::MAX, self.data),
        };
        let Some((data, rest)) = rest.split_at_checked(len) else {
            self.data = &[];
            return None;
        };
        self.data = rest;
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

    proptest! {
        #[test]
        fn random_octets_end(data in proptest::collection::vec(any::<u8>(), 0..80), two_byte: bool) {
            let profile = if two_byte { 0x1000 } else { 0xbede };
            prop_assert!(elements(profile, &data).len() <= data.len());
        }
    }
}

//! Finds the messages in a stream: cookie, space, bencode dictionary, one after the other with nothing between.

use bytes::{Buf, Bytes, BytesMut};

/// Octets of a cookie; the same as a datagram may have.
const COOKIE_MAX: usize = 255;

/// Why a stream can be read no further.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub(super) enum SplitError {
    /// No cookie, or something else than a dictionary after it.
    #[error("not an NG message")]
    NotNg,
    /// Longer than is kept of an incomplete message.
    #[error("message is too long")]
    TooLong,
}

/// Collects octets and gives out whole messages. Each octet is looked at once, however small the pieces are.
#[derive(Debug)]
pub(super) struct Splitter {
    buffer: BytesMut,
    octets_max: usize,
    /// So many octets of `buffer` were looked at.
    at: usize,
    place: Place,
    /// Dictionaries and lists that are open.
    depth: usize,
}

/// Where in a message the next octet stands.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Place {
    Cookie,
    Value,
    /// Digits of a string's length so far.
    Length(usize),
    Integer,
}

impl Splitter {
    pub(super) fn new(octets_max: usize) -> Self {
        Self {
            buffer: BytesMut::new(),
            octets_max,
            at: 0,
            place: Place::Cookie,
            depth: 0,
        }
    }

    /// Where the stream is read into.
    pub(super) fn buffer(&mut self) -> &mut BytesMut {
        &mut self.buffer
    }

    /// Whether nothing of a further message was read.
    pub(super) fn is_between(&self) -> bool {
        self.buffer.is_empty()
    }

    /// The next whole message, `None` until more was read.
    ///
    /// # Errors
    /// [`SplitError`]: where the next message begins cannot be known.
    pub(super) fn next(&mut self) -> Result<Option<Bytes>, SplitError> {
        if self.at == 0 {
            // People and scripts put line ends between messages.
            let blank = self
                .buffer
                .iter()
                .take_while(|octet| octet.is_ascii_whitespace())
                .count();
            self.buffer.advance(blank);
        }
        while let Some(octet) = self.buffer.get(self.at).copied() {
            self.at += 1;
            if self.step(octet)? {
                let message = self.buffer.split_to(self.at).freeze();
                self.at = 0;
                self.place = Place::Cookie;
                return Ok(Some(message));
            }
        }
        if self.at.max(self.buffer.len()) > self.octets_max {
            return Err(SplitError::TooLong);
        }
        Ok(None)
    }

    /// Looks at an octet. Says whether the message ends with it.
    fn step(&mut self, octet: u8) -> Result<bool, SplitError> {
        self.place = match (self.place, octet) {
            (Place::Cookie, b' ') if self.at > 1 => Place::Value,
            // A TLS or other binary greeting is none.
            (Place::Cookie, b'!'..=b'~' | 0x80..) if self.at <= COOKIE_MAX => Place::Cookie,
            (Place::Value, b'd') => {
                self.depth += 1;
                Place::Value
            }
            // A message is a dictionary; everything else stands inside.
            (Place::Value, _) if self.depth == 0 => return Err(SplitError::NotNg),
            (Place::Value, b'l') => {
                self.depth += 1;
                Place::Value
            }
            (Place::Value, b'e') => {
                self.depth -= 1;
                if self.depth == 0 {
                    return Ok(true);
                }
                Place::Value
            }
            (Place::Value, b'i') => Place::Integer,
            (Place::Value, b'0'..=b'9') => Place::Length(usize::from(octet - b'0')),
            (Place::Length(length), b'0'..=b'9') => {
                let length = length * 10 + usize::from(octet - b'0');
                if length > self.octets_max {
                    return Err(SplitError::TooLong);
                }
                Place::Length(length)
            }
            (Place::Length(length), b':') => {
                // The string itself need not be looked at; it may not be here yet.
                self.at += length;
                if self.at > self.octets_max {
                    return Err(SplitError::TooLong);
                }
                Place::Value
            }
            (Place::Integer, b'0'..=b'9' | b'-') => Place::Integer,
            (Place::Integer, b'e') => Place::Value,
            (Place::Cookie | Place::Value | Place::Length(_) | Place::Integer, _) => {
                return Err(SplitError::NotNg);
            }
        };
        Ok(false)
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn split_in(stream: &[u8], piece: usize) -> Result<Vec<Vec<u8>>, SplitError> {
        let mut splitter = Splitter::new(1_000);
        let mut messages = Vec::new();
        for part in stream.chunks(piece) {
            splitter.buffer().extend_from_slice(part);
            while let Some(message) = splitter.next()? {
                messages.push(message.to_vec());
            }
        }
        Ok(messages)
    }

    #[test]
    fn messages_are_found_whatever_the_pieces() {
        let one = b"5_1 d7:command4:ping3:keyli-7e2:e:ded1:ai1eee4:rest0:e";
        let two = b"x d7:command4:pinge";
        let stream = [&one[..], two, b"\r\n", one, two].concat();
        for piece in 1..=stream.len() {
            assert_eq!(
                split_in(&stream, piece).unwrap(),
                [&one[..], two, one, two],
                "{piece}"
            );
        }
    }

    #[test]
    fn what_is_no_message_is_refused() {
        for stream in [
            &b"1 {\"command\":\"ping\"}"[..],
            b"\x16\x03\x01\x02",
            b"1 x",
            b"1 de2 l",
            b"1 dx",
            b"1 di1xe",
            b"1 d1x",
        ] {
            assert_eq!(
                split_in(stream, 1),
                Err(SplitError::NotNg),
                "{}",
                stream.escape_ascii()
            );
        }
        assert_eq!(split_in(&[b'c'; 300], 7), Err(SplitError::NotNg));
    }

    #[test]
    fn an_endless_message_is_refused_before_it_is_kept() {
        assert_eq!(split_in(b"1 d99999:", 1), Err(SplitError::TooLong));
        assert_eq!(
            split_in(b"1 d99999999999999999999999:", 1),
            Err(SplitError::TooLong)
        );
        let endless = [&b"1 d"[..], &b"i1e".repeat(1_000)].concat();
        assert_eq!(split_in(&endless, 100), Err(SplitError::TooLong));
    }

    proptest! {
        #[test]
        fn octets_of_any_kind_are_read_without_a_panic(stream in proptest::collection::vec(any::<u8>(), 0..300), piece in 1..50_usize) {
            let _ = split_in(&stream, piece);
        }

        #[test]
        fn a_message_that_is_found_is_one_that_can_be_read(stream in "[a-f0-9 :deil-]{0,60}") {
            for message in split_in(stream.as_bytes(), 9).unwrap_or_default() {
                prop_assert!(message.contains(&b' '));
                prop_assert_eq!(message.last(), Some(&b'e'));
            }
        }
    }
}

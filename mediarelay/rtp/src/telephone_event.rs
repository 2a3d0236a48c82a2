//! Key presses in RTP (RFC 4733, section 2.3): payload format `telephone-event`.

/// Octets of one event.
pub const EVENT_LEN: usize = 4;

/// One packet's report on a key that is, or was, pressed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct TelephoneEvent {
    /// Event code: 0 to 9, 10 for `*`, 11 for `#`, 12 to 15 for A to D; others are not keys.
    pub event: u8,
    /// The key was released: the last packets of an event say so, usually three times.
    pub end: bool,
    /// Power level in dBm0 with the sign dropped: 0 (loud) to 63.
    pub volume: u8,
    /// How long the key has been pressed, in timestamp units.
    pub duration: u16,
}

impl TelephoneEvent {
    /// Reads a payload. Of a packet with several events the first is read; `None` if there is none.
    #[must_use]
    pub fn parse(payload: &[u8]) -> Option<Self> {
        let &[event, flags, high, low] = payload.first_chunk::<EVENT_LEN>()?;
        Some(Self {
            event,
            end: flags & 0x80 != 0,
            volume: flags & 0x3f,
            duration: u16::from_be_bytes([high, low]),
        })
    }

    /// The payload on the wire; a volume above 63 is held to that.
    #[must_use]
    pub fn encode(&self) -> [u8; EVENT_LEN] {
        let flags = if self.end { 0x80 } else { 0 } | self.volume.min(63);
        let [high, low] = self.duration.to_be_bytes();
        [self.event, flags, high, low]
    }

    /// The key's character, if the event is a key.
    #[must_use]
    pub fn key(&self) -> Option<char> {
        KEYS.get(usize::from(self.event)).copied().map(char::from)
    }
}

/// The event code of a key's character; letters in either case.
#[must_use]
pub fn event_of(key: char) -> Option<u8> {
    let key = u8::try_from(key).ok()?.to_ascii_uppercase();
    KEYS.iter().position(|k| *k == key).map(|at| at as u8)
}

const KEYS: &[u8; 16] = b"0123456789*#ABCD";

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn reads_a_released_key() {
        let event = TelephoneEvent::parse(&[11, 0x8a, 0x03, 0x20]).unwrap();
        assert_eq!(
            event,
            TelephoneEvent {
                event: 11,
                end: true,
                volume: 10,
                duration: 800
            }
        );
        assert_eq!(event.key(), Some('#'));
        assert_eq!(TelephoneEvent::parse(&[11, 0x8a, 0x03]), None);
        assert_eq!(TelephoneEvent::parse(&[36, 0, 0, 0]).unwrap().key(), None);
    }

    #[test]
    fn keys_have_codes_and_codes_have_keys() {
        for (code, key) in "0123456789*#ABCD".chars().enumerate() {
            assert_eq!(event_of(key), Some(code as u8));
        }
        assert_eq!(
            (event_of('d'), event_of('x'), event_of('é')),
            (Some(15), None, None)
        );
    }

    proptest! {
        #[test]
        fn what_is_written_is_read(event: u8, end: bool, volume in 0_u8..64, duration: u16) {
            let event = TelephoneEvent { event, end, volume, duration };
            prop_assert_eq!(TelephoneEvent::parse(&event.encode()), Some(event));
        }
    }
}

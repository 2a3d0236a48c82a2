//! Where WebSocket messages begin and end in a stream of octets (RFC 6455 section 5.2).
//!
//! The library that reads frames hands over whole messages only, and control frames between their fragments. Whoever
//! wants to know how long a message has been under way has to look at the octets.

/// Octets of a mask.
const MASK: u64 = 4;

/// Follows the frames of one peer. It judges nothing: what breaks the protocol is found by whoever reads the frames.
#[derive(Debug, Default)]
pub struct Frames {
    at: Place,
    /// A message's first fragment came, and its last has not.
    is_fragmented: bool,
}

/// What the next octet is.
#[derive(Debug, Default, Clone, Copy)]
enum Place {
    /// The first of a frame.
    #[default]
    Start,
    /// The one with the length, or with the length of the length.
    Length { first: u8 },
    /// One of a longer length.
    LongLength {
        first: u8,
        is_masked: bool,
        left: u8,
        length: u64,
    },
    /// One of the mask and the payload, of which so many are left.
    Rest { first: u8, left: u64 },
}

impl Frames {
    /// Takes the next octets. True when something became whole in them: a message, or a control frame while no message
    /// was under way.
    pub fn follow(&mut self, mut octets: &[u8]) -> bool {
        let mut has_ended = false;
        while let Some((&octet, behind)) = octets.split_first() {
            if let Place::Rest { first, left } = &mut self.at {
                let step = octets.len().min(usize::try_from(*left).unwrap_or(usize::MAX));
                *left -= step as u64;
                octets = &octets[step..];
                if *left == 0 {
                    let first = *first;
                    has_ended |= self.ended(first);
                }
                continue;
            }
            octets = behind;
            has_ended |= self.head(octet);
        }
        has_ended
    }

    /// True when a message or a frame has begun and is not whole.
    pub fn is_inside(&self) -> bool {
        self.is_fragmented || !matches!(self.at, Place::Start)
    }

    /// One octet of a frame's head. True when the frame, which has nothing else, made something whole.
    fn head(&mut self, octet: u8) -> bool {
        match self.at {
            Place::Start => {
                self.at = Place::Length { first: octet };
                false
            }
            Place::Length { first } => {
                let is_masked = octet & 0x80 != 0;
                let left = match octet & 0x7f {
                    126 => 2,
                    127 => 8,
                    length => return self.rest(first, is_masked, length.into()),
                };
                self.at = Place::LongLength {
                    first,
                    is_masked,
                    left,
                    length: 0,
                };
                false
            }
            Place::LongLength {
                first,
                is_masked,
                left,
                length,
            } => {
                let length = length << 8 | u64::from(octet);
                if left == 1 {
                    return self.rest(first, is_masked, length);
                }
                self.at = Place::LongLength {
                    first,
                    is_masked,
                    left: left - 1,
                    length,
                };
                false
            }
            Place::Rest { .. } => false,
        }
    }

    /// The head is over.
    fn rest(&mut self, first: u8, is_masked: bool, length: u64) -> bool {
        let left = length.saturating_add(if is_masked { MASK } else { 0 });
        if left == 0 {
            return self.ended(first);
        }
        self.at = Place::Rest { first, left };
        false
    }

    /// A frame is whole. True when nothing else is under way with it.
    fn ended(&mut self, first: u8) -> bool {
        self.at = Place::Start;
        let (is_last, is_control) = (first & 0x80 != 0, first & 0x08 != 0);
        if !is_control {
            self.is_fragmented = !is_last;
        }
        !self.is_fragmented
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    const FIN: u8 = 0x80;
    const PING: u8 = 9;

    fn frame(first: u8, is_masked: bool, length: usize) -> Vec<u8> {
        let mask = if is_masked { 0x80 } else { 0 };
        let mut octets = vec![first];
        match length {
            0..=125 => octets.push(mask | length as u8),
            126..=0xffff => {
                octets.push(mask | 126);
                octets.extend((length as u16).to_be_bytes());
            }
            _ => {
                octets.push(mask | 127);
                octets.extend((length as u64).to_be_bytes());
            }
        }
        let behind = length + if is_masked { 4 } else { 0 };
        octets.extend(std::iter::repeat_n(0xff, behind));
        octets
    }

    #[test]
    fn a_message_lasts_from_its_first_fragment_to_its_last_whatever_is_between_them() {
        let mut frames = Frames::default();
        assert!(!frames.is_inside());
        assert!(frames.follow(&frame(FIN | 1, true, 300)));
        assert!(!frames.is_inside());
        assert!(!frames.follow(&frame(1, true, 10)));
        assert!(
            !frames.follow(&frame(FIN | PING, true, 4)),
            "a ping ends no message"
        );
        assert!(!frames.follow(&frame(0, true, 0)));
        assert!(frames.is_inside());
        assert!(frames.follow(&frame(FIN, true, 70_000)));
        assert!(!frames.is_inside());
        assert!(frames.follow(&frame(FIN | PING, true, 0)));
    }

    #[test]
    fn octets_behind_a_whole_message_are_the_beginning_of_the_next() {
        let mut frames = Frames::default();
        let octets = [frame(FIN | 2, true, 5), vec![FIN | 2]].concat();
        assert!(frames.follow(&octets));
        assert!(frames.is_inside());
    }

    proptest! {
        #[test]
        fn cuts_change_nothing(
            sizes in proptest::collection::vec((any::<bool>(), any::<bool>(), any::<bool>(), 0_usize..400), 1..8),
            cut in 1_usize..20,
        ) {
            let octets: Vec<u8> = sizes
                .iter()
                .flat_map(|&(is_last, is_control, is_masked, length)| {
                    let opcode = if is_control { PING } else { 2 };
                    frame(if is_last { FIN | opcode } else { opcode }, is_masked, length)
                })
                .collect();
            let (mut whole, mut cut_up) = (Frames::default(), Frames::default());
            let ended = whole.follow(&octets);
            let ends = octets.chunks(cut).filter(|chunk| cut_up.follow(chunk)).count();
            prop_assert_eq!(ended, ends > 0);
            prop_assert_eq!(whole.is_inside(), cut_up.is_inside());
            let is_last = sizes.iter().rfind(|(_, is_control, ..)| !is_control).is_none_or(|(is_last, ..)| *is_last);
            prop_assert_eq!(whole.is_inside(), !is_last);
        }

        #[test]
        fn no_octets_are_a_panic(octets in proptest::collection::vec(any::<u8>(), 0..200)) {
            Frames::default().follow(&octets);
        }
    }
}

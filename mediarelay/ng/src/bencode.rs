//! bencode: `<length>:<octets>`, `i<number>e`, `l…e`, `d<key><value>…e`.

use crate::byte_string::ByteString;
use crate::decode::{Budget, DecodeError, DecodeFault};
use crate::limits::Limits;
use crate::value::{Dict, Value};

/// Reads one value. Keys may come in any order and repeatedly. White space after the value is let pass:
/// hand-made messages end with a line feed.
///
/// Open containers are kept on a heap stack within [`Limits::depth_max`], never on the call stack.
pub fn decode(body: &[u8], limits: &Limits) -> Result<Value, DecodeError> {
    let mut decoder = Decoder {
        body,
        at: 0,
        budget: Budget::new(body, limits)?,
        open: Vec::new(),
    };
    match decoder.run() {
        Ok(value) => Ok(value),
        Err(fault) => Err(DecodeError {
            offset: decoder.at,
            fault,
        }),
    }
}

/// Writes one value. Keys come out in their order.
pub fn encode(value: &Value) -> Vec<u8> {
    let mut out = Vec::with_capacity(1_024);
    write(value, &mut out);
    out
}

fn write(value: &Value, out: &mut Vec<u8>) {
    match value {
        Value::Bytes(octets) => write_string(octets, out),
        Value::Integer(number) => {
            out.push(b'i');
            if *number < 0 {
                out.push(b'-');
            }
            write_decimal(number.unsigned_abs(), out);
            out.push(b'e');
        }
        Value::List(members) => {
            out.push(b'l');
            members.iter().for_each(|member| write(member, out));
            out.push(b'e');
        }
        Value::Dict(dict) => {
            out.push(b'd');
            for (key, value) in dict.iter() {
                write_string(key, out);
                write(value, out);
            }
            out.push(b'e');
        }
    }
}

fn write_string(octets: &ByteString, out: &mut Vec<u8>) {
    write_decimal(octets.len() as u64, out);
    out.push(b':');
    out.extend_from_slice(octets);
}

/// Without a text of its own: the answer to a `delete` has hundreds of numbers, most of them of one digit.
fn write_decimal(mut number: u64, out: &mut Vec<u8>) {
    if number < 10 {
        out.push(b'0' + number as u8);
        return;
    }
    // As many as 64 bits can have.
    let mut digits = [0; 20];
    let mut at = digits.len();
    while number > 0 {
        at -= 1;
        digits[at] = b'0' + (number % 10) as u8;
        number /= 10;
    }
    out.extend_from_slice(&digits[at..]);
}

struct Decoder<'b> {
    body: &'b [u8],
    at: usize,
    budget: Budget,
    open: Vec<Container>,
}

/// A list or dictionary whose end has not been read.
enum Container {
    List(Vec<Value>),
    Dict {
        pairs: Vec<(ByteString, Value)>,
        key: Option<ByteString>,
    },
}

impl Decoder<'_> {
    fn run(&mut self) -> Result<Value, DecodeFault> {
        loop {
            if let Some(value) = self.step()? {
                let done = match self.open.last_mut() {
                    None => Some(value),
                    Some(Container::List(members)) => {
                        members.push(value);
                        None
                    }
                    Some(Container::Dict { pairs, key }) => {
                        // `step` has read the key: a dictionary takes a value only after one.
                        pairs.extend(key.take().map(|key| (key, value)));
                        None
                    }
                };
                if let Some(value) = done {
                    return self.end(value);
                }
            }
        }
    }

    /// Reads one token. Gives a value when one is complete.
    fn step(&mut self) -> Result<Option<Value>, DecodeFault> {
        let octet = self.peek()?;
        if octet == b'e' {
            return self.close().map(Some);
        }
        self.budget.spend()?;
        if matches!(self.open.last(), Some(Container::Dict { key: None, .. })) {
            return self.key(octet).map(|()| None);
        }
        match octet {
            b'i' => self.integer().map(Some),
            b'l' => self.open(Container::List(Vec::new())),
            b'd' => self.open(Container::Dict {
                pairs: Vec::new(),
                key: None,
            }),
            _ => self.string().map(|text| Some(Value::Bytes(text))),
        }
    }

    fn key(&mut self, octet: u8) -> Result<(), DecodeFault> {
        if matches!(octet, b'i' | b'l' | b'd') {
            return Err(DecodeFault::KeyNotString);
        }
        let text = self.string()?;
        if let Some(Container::Dict { key, .. }) = self.open.last_mut() {
            *key = Some(text);
        }
        Ok(())
    }

    fn open(&mut self, container: Container) -> Result<Option<Value>, DecodeFault> {
        self.budget.descend(self.open.len())?;
        self.at += 1;
        self.open.push(container);
        Ok(None)
    }

    fn close(&mut self) -> Result<Value, DecodeFault> {
        let value = match self.open.pop() {
            None => return Err(DecodeFault::UnexpectedOctet(b'e')),
            Some(Container::Dict { key: Some(_), .. }) => return Err(DecodeFault::KeyWithoutValue),
            Some(Container::Dict { pairs, key: None }) => Value::Dict(Dict::from_iter(pairs)),
            Some(Container::List(members)) => Value::List(members),
        };
        self.at += 1;
        Ok(value)
    }

    fn integer(&mut self) -> Result<Value, DecodeFault> {
        self.at += 1;
        let negative = self.peek()? == b'-';
        self.at += usize::from(negative);
        let magnitude = self.digits(b'e')?;
        let number = match (negative, magnitude) {
            (true, 0) => return Err(DecodeFault::LeadingZero),
            (true, _) => 0i64.checked_sub_unsigned(magnitude),
            (false, _) => i64::try_from(magnitude).ok(),
        };
        number.map(Value::Integer).ok_or(DecodeFault::Overflow)
    }

    fn string(&mut self) -> Result<ByteString, DecodeFault> {
        if self.peek()? == b'-' {
            return Err(DecodeFault::NegativeLength);
        }
        let length = self.digits(b':')?;
        let rest = &self.body[self.at..];
        let length = usize::try_from(length)
            .ok()
            .filter(|length| *length <= rest.len());
        let octets = &rest[..length.ok_or(DecodeFault::UnexpectedEnd)?];
        self.at += octets.len();
        Ok(ByteString::from(octets))
    }

    /// Decimal digits up to `end`, which is passed over.
    fn digits(&mut self, end: u8) -> Result<u64, DecodeFault> {
        let start = self.at;
        let mut number: u64 = 0;
        loop {
            match self.peek()? {
                octet @ b'0'..=b'9' => {
                    let digit = u64::from(octet - b'0');
                    number = number
                        .checked_mul(10)
                        .and_then(|n| n.checked_add(digit))
                        .ok_or(DecodeFault::Overflow)?;
                }
                octet if octet == end && self.at > start => break,
                octet => return Err(DecodeFault::UnexpectedOctet(octet)),
            }
            self.at += 1;
        }
        if self.body[start] == b'0' && self.at > start + 1 {
            return Err(DecodeFault::LeadingZero);
        }
        self.at += 1;
        Ok(number)
    }

    fn end(&mut self, value: Value) -> Result<Value, DecodeFault> {
        if self.body[self.at..].trim_ascii().is_empty() {
            Ok(value)
        } else {
            Err(DecodeFault::Trailing)
        }
    }

    fn peek(&self) -> Result<u8, DecodeFault> {
        self.body.get(self.at).copied().ok_or(DecodeFault::UnexpectedEnd)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn fault(body: &[u8]) -> (usize, DecodeFault) {
        let error = decode(body, &Limits::default()).unwrap_err();
        (error.offset, error.fault)
    }

    fn fault_within(body: &[u8], limits: Limits) -> DecodeFault {
        decode(body, &limits).unwrap_err().fault
    }

    #[test]
    fn every_kind_of_value_is_read_and_written() {
        for body in [
            &b"i0e"[..],
            b"i-1e",
            b"i9223372036854775807e",
            b"i-9223372036854775808e",
            b"0:",
            b"4:\0\r\n\xff",
            b"le",
            b"de",
            b"l1:ai1elded1:k1:veee",
            b"d3:sdp4:v=0\n5:flagsl3:a-b3:c dee",
        ] {
            let value = decode(body, &Limits::default()).unwrap();
            assert_eq!(encode(&value), body);
        }
    }

    #[test]
    fn keys_keep_their_order_and_the_last_duplicate_wins() {
        let value = decode(b"d1:bi1e1:ai2e1:bi3ee", &Limits::default()).unwrap();
        assert_eq!(encode(&value), b"d1:ai2e1:bi3ee");
    }

    #[test]
    fn white_space_may_follow() {
        assert_eq!(decode(b"i1e \r\n", &Limits::default()), Ok(Value::Integer(1)));
        assert_eq!(fault(b"i1ex"), (3, DecodeFault::Trailing));
        assert_eq!(fault(b"i1ei2e"), (3, DecodeFault::Trailing));
    }

    #[test]
    fn broken_values_name_their_fault_and_place() {
        for (body, offset, expected) in [
            (&b""[..], 0, DecodeFault::UnexpectedEnd),
            (b"i", 1, DecodeFault::UnexpectedEnd),
            (b"ie", 1, DecodeFault::UnexpectedOctet(b'e')),
            (b"i-e", 2, DecodeFault::UnexpectedOctet(b'e')),
            (b"i--1e", 2, DecodeFault::UnexpectedOctet(b'-')),
            (b"i+1e", 1, DecodeFault::UnexpectedOctet(b'+')),
            (b"i01e", 3, DecodeFault::LeadingZero),
            (b"i-0e", 4, DecodeFault::LeadingZero),
            (b"i00e", 3, DecodeFault::LeadingZero),
            (b"i9223372036854775808e", 21, DecodeFault::Overflow),
            (b"i-9223372036854775809e", 22, DecodeFault::Overflow),
            (b"i99999999999999999999e", 20, DecodeFault::Overflow),
            (b"1", 1, DecodeFault::UnexpectedEnd),
            (b"2:a", 2, DecodeFault::UnexpectedEnd),
            (b"-1:a", 0, DecodeFault::NegativeLength),
            (b"01:a", 2, DecodeFault::LeadingZero),
            (b"18446744073709551616:a", 19, DecodeFault::Overflow),
            (b"18446744073709551615:a", 21, DecodeFault::UnexpectedEnd),
            (b":a", 0, DecodeFault::UnexpectedOctet(b':')),
            (b"e", 0, DecodeFault::UnexpectedOctet(b'e')),
            (b"x", 0, DecodeFault::UnexpectedOctet(b'x')),
            (b"l", 1, DecodeFault::UnexpectedEnd),
            (b"d1:a", 4, DecodeFault::UnexpectedEnd),
            (b"d1:ae", 4, DecodeFault::KeyWithoutValue),
            (b"di1ei2ee", 1, DecodeFault::KeyNotString),
            (b"dlei1ee", 1, DecodeFault::KeyNotString),
        ] {
            assert_eq!(fault(body), (offset, expected), "{}", body.escape_ascii());
        }
    }

    #[test]
    fn every_limit_is_enforced() {
        let limits = Limits::default();
        assert_eq!(
            fault_within(
                b"le",
                Limits {
                    octets_max: 1,
                    ..limits
                }
            ),
            DecodeFault::TooManyOctets(1)
        );
        assert_eq!(
            fault_within(
                b"llee",
                Limits {
                    depth_max: 1,
                    ..limits
                }
            ),
            DecodeFault::TooDeep(1)
        );
        assert!(
            decode(
                b"llee",
                &Limits {
                    depth_max: 2,
                    ..limits
                }
            )
            .is_ok()
        );
        let body = b"li1ei2ed1:ai3eee";
        assert_eq!(
            fault_within(
                body,
                Limits {
                    elements_max: 5,
                    ..limits
                }
            ),
            DecodeFault::TooManyElements(5)
        );
        assert!(
            decode(
                body,
                &Limits {
                    elements_max: 6,
                    ..limits
                }
            )
            .is_ok()
        );
    }

    #[test]
    fn deep_nesting_does_not_use_the_call_stack() {
        let limits = Limits {
            depth_max: 300_000,
            octets_max: 600_000,
            elements_max: 300_000,
            ..Limits::default()
        };
        let body = [b"l".repeat(250_000)].concat();
        assert_eq!(fault_within(&body, limits), DecodeFault::UnexpectedEnd);
    }
}

//! What we have sent last, to be sent again until it is answered (RFC 6347 section 4.2.4).

use std::collections::VecDeque;

use crate::endpoint::Output;
use crate::error::Error;
use crate::reassembly::{self, Message};
use crate::record::{self, CHANGE_CIPHER_SPEC, HANDSHAKE, PROTECTION_LEN, Protection};
use crate::wire::Reader;

/// One thing of a flight.
#[derive(Debug)]
enum Piece {
    Message(Message),
    ChangeCipherSpec,
}

/// Cuts messages into records and datagrams, and keeps those of the last flight.
#[derive(Debug)]
pub(crate) struct Sender {
    mtu: usize,
    /// Of the next record of each epoch.
    sequence: [u64; 2],
    /// Of the next message.
    message_sequence: u16,
    protection: Option<Protection>,
    flight: Vec<Piece>,
}

impl Sender {
    pub(crate) fn new(mtu: usize) -> Self {
        Self {
            mtu,
            sequence: [0; 2],
            message_sequence: 0,
            protection: None,
            flight: Vec::new(),
        }
    }

    /// The peer has answered: another flight begins.
    pub(crate) fn begin_flight(&mut self) {
        self.flight.clear();
    }

    /// Adds a message to the flight. Returns it as it counts for digests.
    pub(crate) fn push(&mut self, kind: u8, body: &[u8]) -> &[u8] {
        let epoch = self.protection.is_some().into();
        let message = Message::new(kind, epoch, self.message_sequence, body);
        self.message_sequence += 1;
        self.flight.push(Piece::Message(message));
        match self.flight.last() {
            Some(Piece::Message(message)) => &message.whole,
            _ => &[],
        }
    }

    /// Forgets what was sent: the peer begins with the message of this number, and is answered with the same.
    pub(crate) fn begin_at(&mut self, message_sequence: u16) {
        self.flight.clear();
        self.message_sequence = message_sequence;
    }

    /// Sends a message that is not kept, and counts for nothing.
    pub(crate) fn send_once(
        &mut self,
        outputs: &mut VecDeque<Output>,
        kind: u8,
        message_sequence: u16,
        body: &[u8],
    ) -> Result<(), Error> {
        let mut datagram = Vec::new();
        let message = Message::new(kind, 0, message_sequence, body);
        self.put_message(&mut datagram, outputs, &message)?;
        outputs.push_back(Output::Send(datagram));
        Ok(())
    }

    /// Everything after this is protected.
    pub(crate) fn change_cipher_spec(&mut self, protection: Protection) {
        self.flight.push(Piece::ChangeCipherSpec);
        self.protection = Some(protection);
    }

    pub(crate) fn is_empty(&self) -> bool {
        self.flight.is_empty()
    }

    /// Sends the flight, once more or for the first time.
    pub(crate) fn send(&mut self, outputs: &mut VecDeque<Output>) -> Result<(), Error> {
        let flight = std::mem::take(&mut self.flight);
        let mut datagram = Vec::with_capacity(self.mtu);
        let sent = flight.iter().try_for_each(|piece| match piece {
            Piece::ChangeCipherSpec => self.put_record(&mut datagram, outputs, CHANGE_CIPHER_SPEC, 0, &[1]),
            Piece::Message(message) => self.put_message(&mut datagram, outputs, message),
        });
        self.flight = flight;
        if !datagram.is_empty() {
            outputs.push_back(Output::Send(datagram));
        }
        sent
    }

    /// Sends a fatal alert.
    pub(crate) fn send_alert(
        &mut self,
        outputs: &mut VecDeque<Output>,
        description: u8,
    ) -> Result<(), Error> {
        let mut datagram = Vec::new();
        let epoch = self.protection.is_some().into();
        self.put_record(&mut datagram, outputs, record::ALERT, epoch, &[2, description])?;
        outputs.push_back(Output::Send(datagram));
        Ok(())
    }

    fn put_message(
        &mut self,
        datagram: &mut Vec<u8>,
        outputs: &mut VecDeque<Output>,
        message: &Message,
    ) -> Result<(), Error> {
        let header =
            record::HEADER_LEN + reassembly::HEADER_LEN + if message.epoch > 0 { PROTECTION_LEN } else { 0 };
        let sequence = message_sequence(message);
        let (body, mut offset) = (message.body(), 0);
        loop {
            // A few octets at the end of a datagram are not worth a fragment.
            if self.mtu < datagram.len() + header + 16.min(body.len() - offset) {
                outputs.push_back(Output::Send(std::mem::take(datagram)));
            }
            let part = (body.len() - offset).min(self.mtu - datagram.len() - header);
            let mut fragment = Vec::with_capacity(reassembly::HEADER_LEN + part);
            reassembly::put_header(&mut fragment, message.kind, body.len(), sequence, offset, part);
            fragment.extend_from_slice(&body[offset..offset + part]);
            self.put_record(datagram, outputs, HANDSHAKE, message.epoch, &fragment)?;
            offset += part;
            if offset == body.len() {
                return Ok(());
            }
        }
    }

    fn put_record(
        &mut self,
        datagram: &mut Vec<u8>,
        outputs: &mut VecDeque<Output>,
        content: u8,
        epoch: u16,
        plain: &[u8],
    ) -> Result<(), Error> {
        let counter = &mut self.sequence[usize::from(epoch)];
        let sequence = *counter;
        *counter += 1;
        let sealed = match (&self.protection, epoch) {
            (Some(protection), 1) => Some(protection.seal(content, epoch, sequence, plain)?),
            _ => None,
        };
        let body = sealed.as_deref().unwrap_or(plain);
        if !datagram.is_empty() && datagram.len() + record::HEADER_LEN + body.len() > self.mtu {
            outputs.push_back(Output::Send(std::mem::take(datagram)));
        }
        record::put(datagram, content, epoch, sequence, body);
        Ok(())
    }
}

fn message_sequence(message: &Message) -> u16 {
    let mut reader = Reader::new(&message.whole[4..]);
    reader.u16().unwrap_or_default()
}

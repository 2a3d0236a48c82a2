//! A DNS server with a zone of the test's own (RFC 1035).

use std::collections::HashMap;
use std::net::{IpAddr, SocketAddr, UdpSocket};
use std::sync::{Arc, Mutex};
use std::thread::JoinHandle;

/// Types of records.
pub(crate) const A: u16 = 1;
pub(crate) const SRV: u16 = 33;
pub(crate) const NAPTR: u16 = 35;

/// See the module. It ends when it is dropped.
pub(crate) struct Dns {
    pub(crate) address: SocketAddr,
    zone: Arc<Mutex<Zone>>,
    thread: Option<JoinHandle<()>>,
}

#[derive(Default)]
struct Zone {
    records: HashMap<(String, u16), Vec<Vec<u8>>>,
    asked: Vec<(String, u16)>,
    is_over: bool,
}

/// Seconds that records may be kept.
const TTL: u32 = 300;

impl Dns {
    pub(crate) fn start(address: IpAddr) -> Self {
        let socket = UdpSocket::bind((address, 0)).unwrap();
        let zone = Arc::<Mutex<Zone>>::default();
        let shared = Arc::clone(&zone);
        Self {
            address: socket.local_addr().unwrap(),
            zone,
            thread: Some(std::thread::spawn(move || serve(&socket, &shared))),
        }
    }

    pub(crate) fn a(&self, name: &str, ip: IpAddr) {
        let IpAddr::V4(ip) = ip else {
            panic!("{ip} is no A record")
        };
        self.add(name, A, ip.octets().to_vec());
    }

    pub(crate) fn srv(&self, name: &str, priority: u16, target: &str, port: u16) {
        let mut data = [priority, 0, port].map(u16::to_be_bytes).concat();
        data.extend(octets_of(target));
        self.add(name, SRV, data);
    }

    pub(crate) fn naptr(&self, name: &str, service: &str, replacement: &str) {
        let mut data = [10_u16, 10].map(u16::to_be_bytes).concat();
        for text in ["s", service, ""] {
            data.push(text.len() as u8);
            data.extend(text.as_bytes());
        }
        data.extend(octets_of(replacement));
        self.add(name, NAPTR, data);
    }

    /// How often it was asked this.
    pub(crate) fn asked(&self, name: &str, kind: u16) -> usize {
        let zone = self.zone.lock().unwrap();
        zone.asked
            .iter()
            .filter(|asked| **asked == (name.to_owned(), kind))
            .count()
    }

    fn add(&self, name: &str, kind: u16, data: Vec<u8>) {
        let mut zone = self.zone.lock().unwrap();
        zone.records
            .entry((name.to_owned(), kind))
            .or_default()
            .push(data);
    }
}

impl Drop for Dns {
    fn drop(&mut self) {
        self.zone.lock().unwrap().is_over = true;
        UdpSocket::bind((self.address.ip(), 0))
            .unwrap()
            .send_to(b"", self.address)
            .unwrap();
        self.thread.take().unwrap().join().unwrap();
    }
}

fn serve(socket: &UdpSocket, zone: &Mutex<Zone>) {
    let mut buffer = [0; 512];
    loop {
        let (len, from) = socket.recv_from(&mut buffer).unwrap();
        let mut zone = zone.lock().unwrap();
        if zone.is_over {
            return;
        }
        let answer = zone.answer(&buffer[..len]);
        socket.send_to(&answer, from).unwrap();
    }
}

impl Zone {
    fn answer(&mut self, query: &[u8]) -> Vec<u8> {
        let mut name = Vec::new();
        let mut at = 12;
        while query[at] > 0 {
            let end = at + 1 + usize::from(query[at]);
            name.push(str::from_utf8(&query[at + 1..end]).unwrap());
            at = end;
        }
        let kind = u16::from_be_bytes([query[at + 1], query[at + 2]]);
        let question = (name.join("."), kind);
        let records = self.records.get(&question).cloned().unwrap_or_default();
        // A name without any record does not exist.
        let exists = self.records.keys().any(|(known, _)| *known == question.0);
        self.asked.push(question);
        let mut answer = query[..2].to_vec();
        answer.extend([0x81, if exists { 0x80 } else { 0x83 }, 0, 1, 0]);
        answer.push(records.len() as u8);
        answer.extend([0; 4]);
        answer.extend(&query[12..at + 5]);
        for data in records {
            answer.extend([0xc0, 12]);
            answer.extend(kind.to_be_bytes());
            answer.extend([0, 1]);
            answer.extend(TTL.to_be_bytes());
            answer.extend((data.len() as u16).to_be_bytes());
            answer.extend(data);
        }
        answer
    }
}

fn octets_of(name: &str) -> Vec<u8> {
    let mut octets = Vec::new();
    for label in name.split('.') {
        octets.push(label.len() as u8);
        octets.extend(label.as_bytes());
    }
    octets.push(0);
    octets
}

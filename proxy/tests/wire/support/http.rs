//! A client of HTTP/1.1, as small as it can be: it sees what a library would hide.

use std::io::Read;
use std::net::SocketAddr;

use super::socket::{Connection, connect};

/// An answer.
#[derive(Debug)]
pub(crate) struct Response {
    pub(crate) status: u16,
    /// Names in lower case.
    headers: Vec<(String, String)>,
    pub(crate) body: Vec<u8>,
}

impl Response {
    /// Reads one answer and no octet more.
    pub(crate) fn read(from: &mut (impl Read + ?Sized)) -> Self {
        let mut head = Vec::new();
        while !head.ends_with(b"\r\n\r\n") {
            let mut octet = [0];
            from.read_exact(&mut octet)
                .unwrap_or_else(|error| panic!("{error} after {:?}", String::from_utf8_lossy(&head)));
            head.push(octet[0]);
        }
        let head = String::from_utf8(head).unwrap();
        let mut lines = head.trim_end().split("\r\n");
        let status = lines.next().and_then(|line| line.split(' ').nth(1)).unwrap();
        let headers = lines.map(|line| {
            let (name, value) = line.split_once(':').unwrap();
            (name.to_ascii_lowercase(), value.trim().to_owned())
        });
        let mut response = Self {
            status: status.parse().unwrap(),
            headers: headers.collect(),
            body: Vec::new(),
        };
        let length = response
            .header("content-length")
            .map_or(0, |length| length.parse().unwrap());
        response.body.resize(length, 0);
        from.read_exact(&mut response.body).unwrap();
        response
    }

    /// A header that stands there at most once.
    pub(crate) fn header(&self, name: &str) -> Option<&str> {
        let mut found = self.headers.iter().filter(|(have, _)| have == name);
        let value = found.next().map(|(_, value)| &**value);
        assert_eq!(found.next(), None, "{name} again");
        value
    }

    pub(crate) fn body_text(&self) -> String {
        String::from_utf8(self.body.clone()).unwrap()
    }
}

/// Sends a request as it is written, and reads the answer.
pub(crate) fn exchange(connection: &mut dyn Connection, request: &str) -> Response {
    connection.write_all(request.as_bytes()).unwrap();
    Response::read(connection)
}

/// Gets a page over plain HTTP.
pub(crate) fn get(from: SocketAddr, path: &str) -> Response {
    let request = format!("GET {path} HTTP/1.1\r\nHost: {from}\r\nConnection: close\r\n\r\n");
    exchange(&mut connect(from), &request)
}

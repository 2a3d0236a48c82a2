//! Clients of the listeners over TCP.

use std::io::{Read, Write};
use std::net::{Shutdown, SocketAddr, TcpStream};

use super::PATIENCE;

/// A connection that waits for answers, but not for ever.
pub(crate) fn connect(to: SocketAddr) -> TcpStream {
    let stream = TcpStream::connect_timeout(&to, PATIENCE).unwrap();
    stream.set_read_timeout(Some(PATIENCE)).unwrap();
    stream
}

/// Sends something, and gives all that comes until the relay closes the connection.
pub(crate) fn exchange(to: SocketAddr, question: &[u8]) -> Vec<u8> {
    let mut stream = connect(to);
    // Who is refused in the middle of a question still gets the answer.
    let _ = stream.write_all(question);
    read_to_end(&mut stream)
}

/// All that comes until the relay closes the connection.
pub(crate) fn read_to_end(stream: &mut TcpStream) -> Vec<u8> {
    let mut answer = Vec::new();
    match stream.read_to_end(&mut answer) {
        Ok(_) => {}
        Err(error) if error.kind() == std::io::ErrorKind::ConnectionReset => {}
        Err(error) => panic!("{error}"),
    }
    answer
}

/// A line of the text interface, and its text.
pub(crate) fn cli(to: SocketAddr, line: &str) -> String {
    String::from_utf8(exchange(to, format!("{line}\n").as_bytes())).unwrap()
}

/// The status and the body of an answer over HTTP.
pub(crate) fn http(to: SocketAddr, method: &str, path: &str, kind: &str, body: &[u8]) -> (u16, Vec<u8>) {
    let head = format!(
        "{method} {path} HTTP/1.1\r\nHost: relay\r\nContent-Type: {kind}\r\nContent-Length: {}\r\n\r\n",
        body.len()
    );
    let mut stream = connect(to);
    stream.write_all(&[head.as_bytes(), body].concat()).unwrap();
    let answer = read_to_end(&mut stream);
    let _ = stream.shutdown(Shutdown::Both);
    let end = answer.windows(4).position(|part| part == b"\r\n\r\n").unwrap();
    let head = String::from_utf8(answer[..end].to_vec()).unwrap();
    let status = head.split(' ').nth(1).unwrap().parse().unwrap();
    (status, answer[end + 4..].to_vec())
}

/// The body of `GET path`, which succeeds.
pub(crate) fn get(to: SocketAddr, path: &str) -> String {
    let (status, body) = http(to, "GET", path, "text/plain", b"");
    let body = String::from_utf8(body).unwrap();
    assert_eq!(status, 200, "{body}");
    body
}

//! This machine's address as the internet sees it, asked of a STUN server (RFC 8489).

use std::io;
use std::net::{IpAddr, SocketAddr, ToSocketAddrs, UdpSocket};
use std::sync::mpsc;
use std::thread;
use std::time::{Duration, Instant};

use viaduct_stun::{Class, Message, MessageWriter, Method, TransactionId};

/// Servers that anybody may ask, as `host:port`.
pub const STUN_SERVERS: [&str; 2] = ["stun.cloudflare.com:3478", "stun.l.google.com:19302"];

/// When a request is sent again, counted from the first time (RFC 8489 section 6.2.1: after 500 ms, then after twice as
/// long).
const RESEND_AFTER: [Duration; 2] = [Duration::from_millis(500), Duration::from_millis(1_500)];

/// Asks the servers, all at once, from which address of `source`'s family our datagrams reach them. Takes the first
/// answer; `None` if there is none within `patience`.
///
/// Names are looked up on threads of their own: a resolver without a network may take longer than anybody would wait,
/// and such a thread ends when the resolver gives up.
#[must_use]
pub fn discover(source: IpAddr, servers: &[&str], patience: Duration) -> Option<IpAddr> {
    let (tell, answers) = mpsc::channel();
    let deadline = Instant::now() + patience;
    for server in servers {
        let (server, tell) = ((*server).to_owned(), tell.clone());
        let asker = thread::Builder::new().name("relay-stun".to_owned());
        // A thread that cannot be made asks nobody.
        let _ = asker.spawn(move || {
            let addresses = server.to_socket_addrs().into_iter().flatten();
            let mut addresses = addresses.filter(|address| address.is_ipv4() == source.is_ipv4());
            if let Some(server) = addresses.next()
                && let Ok(address) = ask(source, server, deadline)
            {
                let _ = tell.send(address);
            }
        });
    }
    drop(tell);
    answers.recv_timeout(patience).ok()
}

/// Asks one server.
fn ask(source: IpAddr, server: SocketAddr, deadline: Instant) -> io::Result<IpAddr> {
    let socket = UdpSocket::bind((source, 0))?;
    // Only the server's answers are heard.
    socket.connect(server)?;
    let transaction = TransactionId(rand::random());
    let mut request = [0; 64];
    let mut writer = MessageWriter::new(&mut request, Class::Request, Method::BINDING, transaction)
        .map_err(io::Error::other)?;
    writer.fingerprint().map_err(io::Error::other)?;
    let request = writer.finish();
    let begun = Instant::now();
    let resend = RESEND_AFTER.iter().map(|after| begun + *after);
    for until in resend.chain([deadline]) {
        socket.send(request)?;
        if let Some(address) = await_answer(&socket, transaction, until.min(deadline))? {
            return Ok(address);
        }
    }
    Err(io::ErrorKind::TimedOut.into())
}

fn await_answer(
    socket: &UdpSocket,
    transaction: TransactionId,
    until: Instant,
) -> io::Result<Option<IpAddr>> {
    let mut buffer = [0; 1_500];
    loop {
        let left = until.saturating_duration_since(Instant::now());
        if left.is_zero() {
            return Ok(None);
        }
        socket.set_read_timeout(Some(left))?;
        let len = match socket.recv(&mut buffer) {
            Ok(len) => len,
            Err(error) if matches!(error.kind(), io::ErrorKind::WouldBlock | io::ErrorKind::TimedOut) => {
                return Ok(None);
            }
            Err(error) => return Err(error),
        };
        if let Ok(answer) = Message::parse(&buffer[..len])
            && answer.class() == Class::Success
            && answer.transaction_id() == transaction
            && let Ok(mapped) = answer.xor_mapped_address()
        {
            return Ok(Some(mapped.ip()));
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A server that answers the `nth` request, after rubbish and an answer to somebody else, that `mapped` asked.
    fn server(nth: usize, mapped: SocketAddr) -> (String, thread::JoinHandle<()>) {
        let socket = UdpSocket::bind("127.0.0.1:0").unwrap();
        let name = socket.local_addr().unwrap().to_string();
        let serve = move || {
            let mut buffer = [0; 1_500];
            let mut request = None;
            for _ in 0..nth {
                let (len, from) = socket.recv_from(&mut buffer).unwrap();
                let message = Message::parse(&buffer[..len]).unwrap();
                assert_eq!(
                    (message.class(), message.method()),
                    (Class::Request, Method::BINDING)
                );
                request = Some((message.transaction_id(), from));
            }
            let (transaction, from) = request.unwrap();
            let answer = |transaction, mapped| {
                let mut answer = [0; 128];
                let mut writer =
                    MessageWriter::new(&mut answer, Class::Success, Method::BINDING, transaction).unwrap();
                writer.xor_mapped_address(mapped).unwrap();
                writer.finish().to_vec()
            };
            let wrong = answer(TransactionId([0; 12]), "192.0.2.66:1".parse().unwrap());
            for datagram in [b"rubbish".to_vec(), wrong, answer(transaction, mapped)] {
                socket.send_to(&datagram, from).unwrap();
            }
        };
        (name, thread::spawn(serve))
    }

    fn ask_server(nth: usize, mapped: &str) -> Option<IpAddr> {
        let (name, thread) = server(nth, mapped.parse().unwrap());
        let found = discover([127, 0, 0, 1].into(), &[&name], Duration::from_secs(10));
        thread.join().unwrap();
        found
    }

    #[test]
    fn the_servers_answer_is_taken_and_nothing_else() {
        assert_eq!(ask_server(1, "203.0.113.9:4000"), Some([203, 0, 113, 9].into()));
    }

    #[test]
    fn a_lost_request_is_sent_again() {
        assert_eq!(ask_server(2, "203.0.113.9:4000"), Some([203, 0, 113, 9].into()));
    }

    #[test]
    fn nobody_is_waited_for_longer_than_agreed() {
        let silent = UdpSocket::bind("127.0.0.1:0").unwrap();
        let name = silent.local_addr().unwrap().to_string();
        let begun = Instant::now();
        let found = discover([127, 0, 0, 1].into(), &[&name], Duration::from_millis(50));
        assert_eq!(found, None);
        assert!(begun.elapsed() < Duration::from_secs(5));
        // A server of the other family is none.
        assert_eq!(
            discover("::1".parse().unwrap(), &[&name], Duration::from_secs(10)),
            None
        );
    }
}

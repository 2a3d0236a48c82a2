//! Listening addresses as URLs, such as `sip+udp://0.0.0.0:5060`.

use std::marker::PhantomData;
use std::net::{IpAddr, SocketAddr};

use crate::code::Code;
use crate::decode::{Fault, TextForm};
use crate::form::address::socket_help;
use crate::form::choice::Choice;
use crate::shape::{Shape, join_or};
use crate::suggest::nearest;

/// The transport below a listener, for telling whether two of them collide.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Layer {
    /// Datagrams.
    Udp,
    /// Connections.
    Tcp,
}

/// Whether two sockets of the same layer cannot both be bound. `[::]` is IPv6 only, so `0.0.0.0` may stand beside it.
pub(crate) fn overlap(a: SocketAddr, b: SocketAddr) -> bool {
    let same_family = a.is_ipv4() == b.is_ipv4();
    let same_address = a.ip() == b.ip() || a.ip().is_unspecified() || b.ip().is_unspecified();
    a.port() == b.port() && same_family && same_address
}

/// `scheme://address:port` with the schemes of `S`.
#[derive(Debug)]
pub(crate) struct ListenUrl<S>(PhantomData<S>);

/// A listening URL.
pub(crate) fn listen_url<S: Choice>() -> ListenUrl<S> {
    ListenUrl(PhantomData)
}

impl<S: Choice> TextForm for ListenUrl<S> {
    type Value = (S, SocketAddr);

    fn parse(&self, text: &str) -> Result<Self::Value, Fault> {
        let Some((scheme, authority)) = text.split_once("://") else {
            let scheme = S::WORDS[0].0;
            let help = match text.parse::<u16>() {
                Ok(port) => Some(format!("write a URL such as `{scheme}://0.0.0.0:{port}`")),
                Err(_) => text
                    .contains(':')
                    .then(|| format!("start with a scheme: `{scheme}://`")),
            };
            return Err(Fault::bad().help(help));
        };
        let Some(index) = S::WORDS.iter().position(|(word, _)| *word == scheme) else {
            return Err(Fault {
                code: Code::UnknownChoice,
                ..Fault::bad().help(scheme_help::<S>(scheme))
            });
        };
        let socket = parse_authority(authority)?;
        Ok((S::VARIANTS[index], socket))
    }

    fn shape(&self) -> Shape {
        let words: Vec<_> = S::WORDS.iter().map(|(word, _)| format!("`{word}`")).collect();
        Shape::Text {
            what: format!(
                "a URL `scheme://address:port` whose scheme is {}",
                join_or(&words)
            ),
            pattern: Some("^[a-z+]+://([0-9.]+|\\[[0-9A-Fa-f:.]+\\]):[0-9]+$"),
        }
    }
}

fn scheme_help<S: Choice>(scheme: &str) -> Option<String> {
    let words = || S::WORDS.iter().map(|(word, _)| *word);
    let lower = match scheme.to_ascii_lowercase().as_str() {
        "sips" => "tls".to_owned(),
        lower => lower.to_owned(),
    };
    let by_part = words().find(|word| !lower.is_empty() && word.split('+').any(|part| part == lower));
    by_part
        .or_else(|| nearest(scheme, words()))
        .map(|word| format!("did you mean `{word}://`?"))
}

fn parse_authority(authority: &str) -> Result<SocketAddr, Fault> {
    if let Some((host, path)) = authority.split_once('/') {
        let help = if path.is_empty() {
            format!("leave the `/` out: `{host}`")
        } else {
            format!("leave `/{path}` out; SIP over WebSocket is always at /sip")
        };
        return Err(Fault::bad().help(help));
    }
    match authority.parse::<SocketAddr>() {
        Ok(socket) if socket.port() > 0 => Ok(socket),
        Ok(_) => Err(Fault::range().note("port 0 would be another port at every start")),
        Err(_) => {
            let help = match authority.strip_prefix('*') {
                Some(rest) => Some(format!(
                    "for all addresses write `0.0.0.0{rest}`, and `[::]{rest}` for IPv6"
                )),
                None => socket_help(authority),
            };
            Err(Fault::bad().help(help))
        }
    }
}

/// Whether a listener can be reached from this machine only.
pub(crate) fn is_local(address: IpAddr) -> bool {
    address.is_loopback()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn socket(text: &str) -> SocketAddr {
        text.parse().unwrap()
    }

    #[test]
    fn sockets_overlap_through_the_unspecified_address_of_their_family() {
        assert!(overlap(socket("0.0.0.0:5060"), socket("10.0.0.1:5060")));
        assert!(overlap(socket("[::]:5060"), socket("[::1]:5060")));
        assert!(!overlap(socket("[::]:5060"), socket("0.0.0.0:5060")));
        assert!(!overlap(socket("10.0.0.1:5060"), socket("10.0.0.2:5060")));
        assert!(!overlap(socket("0.0.0.0:5060"), socket("10.0.0.1:5061")));
    }
}

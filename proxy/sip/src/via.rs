use std::borrow::Cow;
use std::net::IpAddr;

use crate::text::{Cursor, ascii, is_token, is_whole_token};
use crate::{Host, Params, Transport, ValueError};

/// The start of every branch made by RFC 3261 (section 8.1.1.7).
pub const BRANCH_COOKIE: &str = "z9hG4bK";

/// One Via value: `SIP/2.0/UDP host:port;branch=…`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Via<'a> {
    transport: ViaTransport<'a>,
    host: Host<'a>,
    port: Option<u16>,
    branch: Option<&'a str>,
    params: Params<'a>,
}

/// The transport token of a Via. A proxy passes on those that it does not know.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ViaTransport<'a> {
    /// One of ours.
    Known(Transport),
    /// Any other token, `SCTP` for example.
    Other(&'a str),
}

impl<'a> Via<'a> {
    /// Reads one Via value: one element, not a whole comma list.
    pub fn parse(value: &'a [u8]) -> Result<Self, ValueError> {
        let mut cursor = Cursor::new(value);
        cursor.skip_blanks();
        if cursor.at_end() {
            return Err(ValueError::Empty);
        }
        let transport = take_protocol(&mut cursor)?;
        let host = Host::take(&mut cursor)?;
        let port = Host::take_port(&mut cursor)?;
        let mut branch = None;
        let params = Params::parse(cursor.rest(), |param| {
            if param.name.eq_ignore_ascii_case(b"branch") {
                branch = branch.or(param.raw);
            }
        })?;
        let branch = match branch {
            Some(token) if is_whole_token(token) => Some(ascii(token)),
            Some(_) => return Err(ValueError::BadToken),
            None => None,
        };
        Ok(Self {
            transport,
            host,
            port,
            branch,
            params,
        })
    }

    /// The transport that the sender says it used.
    pub fn transport(&self) -> ViaTransport<'a> {
        self.transport
    }

    /// The host of sent-by. Often a lie (RFC 3581), for browsers always an `.invalid` name (RFC 7118 section 5.2.3).
    pub fn host(&self) -> Host<'a> {
        self.host
    }

    /// The port of sent-by, if it names one.
    pub fn port(&self) -> Option<u16> {
        self.port
    }

    /// The branch as written, of whatever form. `None` from peers of RFC 2543.
    pub fn branch(&self) -> Option<&'a str> {
        self.branch
    }

    /// The branch if it identifies a transaction by itself: the cookie and something behind it. `None` means that the
    /// transaction must be matched by RFC 2543's rules (RFC 3261 section 17.2.3, RFC 4475 section 3.2.1).
    pub fn transaction_branch(&self) -> Option<&'a str> {
        let branch = self.branch?;
        let (cookie, rest) = branch.split_at_checked(BRANCH_COOKIE.len())?;
        (cookie.eq_ignore_ascii_case(BRANCH_COOKIE) && !rest.is_empty()).then_some(branch)
    }

    /// The parameters.
    pub fn params(&self) -> Params<'a> {
        self.params
    }

    /// The address that a server upstream saw, from `received`. With or without brackets (RFC 5118 section 4.5).
    pub fn received(&self) -> Option<IpAddr> {
        let value = self.params.text("received")?;
        value
            .strip_prefix('[')
            .and_then(|rest| rest.strip_suffix(']'))
            .unwrap_or(&value)
            .parse()
            .ok()
    }

    /// The `rport` parameter: `None` when absent, `Some(None)` as a client asks for it, `Some(Some(port))` as a server
    /// answers it (RFC 3581). A value that is no port counts as asked.
    pub fn rport(&self) -> Option<Option<u16>> {
        let param = self.params.get("rport")?;
        Some(
            param
                .text()
                .and_then(|value| value.parse().ok())
                .filter(|&port| port != 0),
        )
    }

    /// The `maddr` parameter.
    pub fn maddr(&self) -> Option<Cow<'a, str>> {
        self.params.text("maddr")
    }

    /// The value of a fresh Via that asks for `rport`. `sent_by` is a host, with brackets if IPv6, and a port where it
    /// is not the transport's default.
    pub fn value(transport: Transport, sent_by: &str, branch: &str) -> String {
        let protocol = transport.via_token();
        ["SIP/2.0/", protocol, " ", sent_by, ";branch=", branch, ";rport"].concat()
    }
}

impl<'a> ViaTransport<'a> {
    /// The token to print.
    pub fn as_str(&self) -> &'a str {
        match self {
            Self::Known(transport) => transport.via_token(),
            Self::Other(token) => token,
        }
    }

    /// The transport, when it is one of ours.
    pub fn known(&self) -> Option<Transport> {
        match self {
            Self::Known(transport) => Some(*transport),
            Self::Other(_) => None,
        }
    }
}

/// Takes `SIP / 2.0 / TOKEN` and the blanks behind it.
fn take_protocol<'a>(cursor: &mut Cursor<'a>) -> Result<ViaTransport<'a>, ValueError> {
    // Nearly all peers write it without blanks and in capitals.
    if !cursor.eat_all(b"SIP/2.0/") {
        let name = cursor.take_while(is_token);
        let good = name.eq_ignore_ascii_case(b"SIP")
            && cursor.eat_spaced(b'/')
            && cursor.take_while(is_token) == b"2.0"
            && cursor.eat_spaced(b'/');
        if !good {
            return Err(ValueError::BadProtocol);
        }
    } else {
        cursor.skip_blanks();
    }
    let token = cursor.take_while(is_token);
    let before = cursor.rest().len();
    cursor.skip_blanks();
    if token.is_empty() || cursor.rest().len() == before {
        return Err(ValueError::BadProtocol);
    }
    Ok(match Transport::from_via_octets(token) {
        Some(transport) => ViaTransport::Known(transport),
        None => ViaTransport::Other(ascii(token)),
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn via(text: &str) -> Via<'_> {
        Via::parse(text.as_bytes()).unwrap_or_else(|error| panic!("{text}: {error}"))
    }

    #[test]
    fn blanks_and_folds_may_stand_between_all_parts() {
        let via = via("SIP  /   2.0\r\n /UDP\r\n    192.0.2.2 : 5070 ;\r\n branch\t=\r\n z9hG4bK1 ; rport");
        assert_eq!(via.transport(), ViaTransport::Known(Transport::Udp));
        assert_eq!(via.host().as_str(), "192.0.2.2");
        assert_eq!(via.port(), Some(5070));
        assert_eq!(via.transaction_branch(), Some("z9hG4bK1"));
        assert_eq!(via.rport(), Some(None));
    }

    #[test]
    fn only_a_cookie_with_something_behind_it_is_a_transaction() {
        assert_eq!(via("SIP/2.0/UDP h;branch=z9hG4bK").transaction_branch(), None);
        assert_eq!(via("SIP/2.0/UDP h;branch=390skdjuw").transaction_branch(), None);
        assert_eq!(via("SIP/2.0/UDP h").branch(), None);
    }

    #[test]
    fn received_is_read_with_and_without_brackets() {
        let address = Some("2001:db8::9:255".parse().unwrap());
        assert_eq!(
            via("SIP/2.0/UDP [2001:db8::9:1];received=[2001:db8::9:255]").received(),
            address
        );
        assert_eq!(
            via("SIP/2.0/UDP [2001:db8::9:1];received=2001:db8::9:255").received(),
            address
        );
        assert_eq!(via("SIP/2.0/UDP h;rport=5061").rport(), Some(Some(5061)));
    }

    #[test]
    fn unknown_transports_pass_and_broken_vias_do_not() {
        assert_eq!(via("SIP/2.0/SCTP h").transport(), ViaTransport::Other("SCTP"));
        for (text, error) in [
            (" ", ValueError::Empty),
            ("SIP/7.0/UDP h", ValueError::BadProtocol),
            ("SIP/2.0/UDP", ValueError::BadProtocol),
            ("SIP/2.0 UDP h", ValueError::BadProtocol),
            ("SIP/2.0/UDP ;branch=a", ValueError::BadHost),
            ("SIP/2.0/UDP 2001:db8::1", ValueError::BadPort),
            ("SIP/2.0/UDP h junk", ValueError::Junk),
            ("SIP/2.0/UDP h:99999", ValueError::BadPort),
            ("SIP/2.0/UDP 192.0.2.15;;,;,,", ValueError::BadParam),
            ("SIP/2.0/UDP h;branch=", ValueError::BadToken),
        ] {
            assert_eq!(Via::parse(text.as_bytes()), Err(error), "{text}");
        }
    }

    #[test]
    fn a_printed_via_reads_back() {
        let text = Via::value(Transport::Wss, "[2001:db8::1]:8443", "z9hG4bKx");
        let via = via(&text);
        assert_eq!(via.transport().known(), Some(Transport::Wss));
        assert_eq!((via.host().as_str(), via.port()), ("[2001:db8::1]", Some(8443)));
        assert_eq!(via.rport(), Some(None));
    }
}

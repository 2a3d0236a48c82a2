use std::fmt;

use crate::text::ascii;

/// A request method. Case matters: `invite` is a method of its own (RFC 3261 section 7.1).
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Method<'a> {
    /// RFC 3261.
    Ack,
    /// RFC 3261.
    Bye,
    /// RFC 3261.
    Cancel,
    /// RFC 6086.
    Info,
    /// RFC 3261.
    Invite,
    /// RFC 3428.
    Message,
    /// RFC 6665.
    Notify,
    /// RFC 3261.
    Options,
    /// RFC 3262.
    Prack,
    /// RFC 3903.
    Publish,
    /// RFC 3515.
    Refer,
    /// RFC 3261.
    Register,
    /// RFC 6665.
    Subscribe,
    /// RFC 3311.
    Update,
    /// Any other token.
    Other(&'a str),
}

impl<'a> Method<'a> {
    /// The method that `token` names. Never fails: an unknown one is [`Method::Other`].
    pub fn from_token(token: &'a str) -> Self {
        Self::from_octets(token.as_bytes()).unwrap_or(Self::Other(token))
    }

    /// The method that octets of the token class name.
    pub(crate) fn from_ascii(token: &'a [u8]) -> Self {
        Self::from_octets(token).unwrap_or_else(|| Self::Other(ascii(token)))
    }

    fn from_octets(token: &[u8]) -> Option<Self> {
        Some(match token {
            b"ACK" => Self::Ack,
            b"BYE" => Self::Bye,
            b"CANCEL" => Self::Cancel,
            b"INFO" => Self::Info,
            b"INVITE" => Self::Invite,
            b"MESSAGE" => Self::Message,
            b"NOTIFY" => Self::Notify,
            b"OPTIONS" => Self::Options,
            b"PRACK" => Self::Prack,
            b"PUBLISH" => Self::Publish,
            b"REFER" => Self::Refer,
            b"REGISTER" => Self::Register,
            b"SUBSCRIBE" => Self::Subscribe,
            b"UPDATE" => Self::Update,
            _ => return None,
        })
    }

    /// The token as it stands in a request line.
    pub fn as_str(&self) -> &'a str {
        match self {
            Self::Ack => "ACK",
            Self::Bye => "BYE",
            Self::Cancel => "CANCEL",
            Self::Info => "INFO",
            Self::Invite => "INVITE",
            Self::Message => "MESSAGE",
            Self::Notify => "NOTIFY",
            Self::Options => "OPTIONS",
            Self::Prack => "PRACK",
            Self::Publish => "PUBLISH",
            Self::Refer => "REFER",
            Self::Register => "REGISTER",
            Self::Subscribe => "SUBSCRIBE",
            Self::Update => "UPDATE",
            Self::Other(token) => token,
        }
    }

    /// True when a request of this method outside a dialog can make one: INVITE, SUBSCRIBE, REFER and, by RFC 6665
    /// section 4.4, NOTIFY. Proxies record the route of these.
    pub fn makes_dialog(&self) -> bool {
        matches!(self, Self::Invite | Self::Subscribe | Self::Refer | Self::Notify)
    }

    /// The same method without a borrow, `None` for [`Method::Other`].
    pub fn known(&self) -> Option<Method<'static>> {
        Method::from_octets(self.as_str().as_bytes())
    }
}

impl Method<'static> {
    /// Every method known by name, in alphabetical order.
    pub const ALL: [Self; 14] = [
        Self::Ack,
        Self::Bye,
        Self::Cancel,
        Self::Info,
        Self::Invite,
        Self::Message,
        Self::Notify,
        Self::Options,
        Self::Prack,
        Self::Publish,
        Self::Refer,
        Self::Register,
        Self::Subscribe,
        Self::Update,
    ];
}

impl fmt::Display for Method<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_method_reads_back_from_its_token() {
        for method in Method::ALL {
            assert_eq!(Method::from_token(method.as_str()), method);
            assert_eq!(method.known(), Some(method));
        }
    }

    #[test]
    fn case_and_escapes_make_another_method() {
        assert_eq!(Method::from_token("invite"), Method::Other("invite"));
        assert_eq!(Method::from_token("RE%47ISTER"), Method::Other("RE%47ISTER"));
        assert_eq!(Method::Other("JUMP").known(), None);
    }
}

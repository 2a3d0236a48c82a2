use std::fmt;

/// How often a header may occur, and how its values are told apart.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Occurs {
    /// At most once. Twice with different values is a contradiction that two readers may resolve differently, so the
    /// parser refuses such a message.
    Once,
    /// One value a line. A comma belongs to the value (Authorization, Date, Subject).
    Lines,
    /// Values parted by commas, over any number of lines (RFC 3261 section 7.3.1).
    List,
}

macro_rules! header_names {
    ($($variant:ident $text:literal $($compact:literal)? $occurs:ident;)*) => {
        /// The headers known by name. Anything else is reached by its text: see [`NameRef`].
        #[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
        #[repr(u8)]
        pub enum HeaderName {
            $(
                #[doc = concat!("`", $text, "`", $(", compact `", $compact, "`",)? ".")]
                $variant,
            )*
        }

        impl HeaderName {
            /// Every known header, in alphabetical order.
            pub const ALL: &'static [Self] = &[$(Self::$variant),*];

            /// The full name as the standards write it.
            pub const fn as_str(self) -> &'static str {
                match self {
                    $(Self::$variant => $text,)*
                }
            }

            /// The one-letter form, where there is one (RFC 3261 section 7.3.3).
            pub const fn compact(self) -> Option<char> {
                match self {
                    $($(Self::$variant => Some($compact),)?)*
                    _ => None,
                }
            }

            /// How often the header may occur.
            pub const fn occurs(self) -> Occurs {
                match self {
                    $(Self::$variant => Occurs::$occurs,)*
                }
            }
        }
    };
}

// Headers that only inform (User-Agent, Date, Subject …) are `Lines` although their grammar allows one: a second one is
// no reason to refuse a call.
header_names! {
    Accept "Accept" List;
    AcceptContact "Accept-Contact" 'a' List;
    AcceptEncoding "Accept-Encoding" List;
    AcceptLanguage "Accept-Language" List;
    AcceptResourcePriority "Accept-Resource-Priority" List;
    AlertInfo "Alert-Info" List;
    Allow "Allow" List;
    AllowEvents "Allow-Events" 'u' List;
    AnswerMode "Answer-Mode" Once;
    AuthenticationInfo "Authentication-Info" Lines;
    Authorization "Authorization" Lines;
    CallId "Call-ID" 'i' Once;
    CallInfo "Call-Info" List;
    Contact "Contact" 'm' List;
    ContentDisposition "Content-Disposition" Once;
    ContentEncoding "Content-Encoding" 'e' List;
    ContentId "Content-ID" Once;
    ContentLanguage "Content-Language" List;
    ContentLength "Content-Length" 'l' Once;
    ContentType "Content-Type" 'c' Once;
    CSeq "CSeq" Once;
    Date "Date" Lines;
    Diversion "Diversion" List;
    ErrorInfo "Error-Info" List;
    Event "Event" 'o' Once;
    Expires "Expires" Once;
    FeatureCaps "Feature-Caps" List;
    FlowTimer "Flow-Timer" Once;
    From "From" 'f' Once;
    Geolocation "Geolocation" List;
    GeolocationError "Geolocation-Error" Lines;
    GeolocationRouting "Geolocation-Routing" Once;
    HistoryInfo "History-Info" List;
    Identity "Identity" 'y' Lines;
    IdentityInfo "Identity-Info" 'n' Lines;
    InfoPackage "Info-Package" Once;
    InReplyTo "In-Reply-To" List;
    Join "Join" Once;
    MaxBreadth "Max-Breadth" Once;
    MaxForwards "Max-Forwards" Once;
    MimeVersion "MIME-Version" Lines;
    MinExpires "Min-Expires" Once;
    MinSe "Min-SE" Once;
    Organization "Organization" Lines;
    PAccessNetworkInfo "P-Access-Network-Info" List;
    PAssertedIdentity "P-Asserted-Identity" List;
    PAssociatedUri "P-Associated-URI" List;
    Path "Path" List;
    PCalledPartyId "P-Called-Party-ID" Lines;
    PChargingVector "P-Charging-Vector" Lines;
    PEarlyMedia "P-Early-Media" Lines;
    PPreferredIdentity "P-Preferred-Identity" List;
    Priority "Priority" Lines;
    Privacy "Privacy" Lines;
    ProxyAuthenticate "Proxy-Authenticate" Lines;
    ProxyAuthenticationInfo "Proxy-Authentication-Info" Lines;
    ProxyAuthorization "Proxy-Authorization" Lines;
    ProxyRequire "Proxy-Require" List;
    RAck "RAck" Once;
    Reason "Reason" List;
    RecordRoute "Record-Route" List;
    RecvInfo "Recv-Info" List;
    ReferredBy "Referred-By" 'b' Once;
    ReferSub "Refer-Sub" Once;
    ReferTo "Refer-To" 'r' Once;
    RejectContact "Reject-Contact" 'j' List;
    RemotePartyId "Remote-Party-ID" List;
    Replaces "Replaces" Once;
    ReplyTo "Reply-To" Once;
    RequestDisposition "Request-Disposition" 'd' List;
    Require "Require" List;
    ResourcePriority "Resource-Priority" List;
    RetryAfter "Retry-After" Lines;
    Route "Route" List;
    RSeq "RSeq" Once;
    SecurityClient "Security-Client" List;
    SecurityServer "Security-Server" List;
    SecurityVerify "Security-Verify" List;
    Server "Server" Lines;
    ServiceRoute "Service-Route" List;
    SessionExpires "Session-Expires" 'x' Once;
    SessionId "Session-ID" Once;
    SipEtag "SIP-ETag" Once;
    SipIfMatch "SIP-If-Match" Once;
    Subject "Subject" 's' Lines;
    SubscriptionState "Subscription-State" Once;
    Supported "Supported" 'k' List;
    TargetDialog "Target-Dialog" Once;
    Timestamp "Timestamp" Lines;
    To "To" 't' Once;
    Unsupported "Unsupported" List;
    UserAgent "User-Agent" Lines;
    UserToUser "User-to-User" Lines;
    Via "Via" 'v' List;
    Warning "Warning" List;
    WwwAuthenticate "WWW-Authenticate" Lines;
}

impl HeaderName {
    /// The known header that `name` means: full or compact, any case.
    pub fn recognize(name: &[u8]) -> Option<Self> {
        if let [letter] = name {
            let index = letter.to_ascii_lowercase().checked_sub(b'a')?;
            return *COMPACT.get(usize::from(index))?;
        }
        let first = name.first()?.to_ascii_lowercase().checked_sub(b'a')?;
        let candidates = KNOWN.get(name.len())?.get(usize::from(first))?;
        candidates.iter().flatten().copied().find(|known| {
            let text = known.as_str().as_bytes();
            // Nearly all peers write names as the standards do.
            text == name || text.eq_ignore_ascii_case(name)
        })
    }

    /// True when the header holds a comma list (RFC 3261 section 7.3.1).
    pub const fn is_list(self) -> bool {
        matches!(self.occurs(), Occurs::List)
    }

    pub(crate) const fn bit(self) -> u128 {
        1 << self as u8
    }
}

impl fmt::Display for HeaderName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

/// The most known names that share length and first letter.
const ALIKE_MAX: usize = 4;
/// The longest known name, plus one.
const LENGTHS: usize = 26;

/// Names alike in length and first letter.
type Alike = [Option<HeaderName>; ALIKE_MAX];

/// Known names by length and first letter, so that recognizing one compares one or two candidates.
static KNOWN: [[Alike; 26]; LENGTHS] = by_length_and_letter();
/// Known names by their compact letter.
static COMPACT: [Option<HeaderName>; 26] = by_letter();

const fn by_length_and_letter() -> [[Alike; 26]; LENGTHS] {
    let mut table = [[[None; ALIKE_MAX]; 26]; LENGTHS];
    let mut i = 0;
    while i < HeaderName::ALL.len() {
        let name = HeaderName::ALL[i];
        let text = name.as_str().as_bytes();
        let letter = (text[0].to_ascii_lowercase() - b'a') as usize;
        let mut place = 0;
        while table[text.len()][letter][place].is_some() {
            place += 1;
        }
        table[text.len()][letter][place] = Some(name);
        i += 1;
    }
    table
}

const fn by_letter() -> [Option<HeaderName>; 26] {
    let mut table = [None; 26];
    let mut i = 0;
    while i < HeaderName::ALL.len() {
        let name = HeaderName::ALL[i];
        if let Some(letter) = name.compact() {
            table[(letter as u8 - b'a') as usize] = Some(name);
        }
        i += 1;
    }
    table
}

/// A header's name, known or not. Made from a [`HeaderName`] or from text, so that both `message.header(HeaderName::Via)`
/// and `message.header("X-Tenant")` read well.
///
/// Text that names a known header becomes that header: `NameRef::from("v")` equals `NameRef::from(HeaderName::Via)`.
#[derive(Debug, Clone, Copy)]
pub enum NameRef<'a> {
    /// One of the known names.
    Known(HeaderName),
    /// Any other name, as written.
    Other(&'a str),
}

impl<'a> NameRef<'a> {
    /// The name to print.
    pub fn as_str(&self) -> &'a str {
        match self {
            Self::Known(name) => name.as_str(),
            Self::Other(text) => text,
        }
    }

    /// How often the header may occur. An unknown header's commas are text.
    pub fn occurs(&self) -> Occurs {
        match self {
            Self::Known(name) => name.occurs(),
            Self::Other(_) => Occurs::Lines,
        }
    }
}

impl PartialEq for NameRef<'_> {
    fn eq(&self, other: &Self) -> bool {
        match (self, other) {
            (Self::Known(a), Self::Known(b)) => a == b,
            (Self::Other(a), Self::Other(b)) => a.eq_ignore_ascii_case(b),
            _ => false,
        }
    }
}

impl Eq for NameRef<'_> {}

impl From<HeaderName> for NameRef<'_> {
    fn from(name: HeaderName) -> Self {
        Self::Known(name)
    }
}

impl<'a> From<&'a str> for NameRef<'a> {
    fn from(text: &'a str) -> Self {
        HeaderName::recognize(text.as_bytes()).map_or(Self::Other(text), Self::Known)
    }
}

impl fmt::Display for NameRef<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_name_is_recognized_in_any_case_and_in_its_compact_form() {
        for &name in HeaderName::ALL {
            assert_eq!(HeaderName::recognize(name.as_str().as_bytes()), Some(name));
            assert_eq!(
                HeaderName::recognize(name.as_str().to_ascii_uppercase().as_bytes()),
                Some(name)
            );
            if let Some(letter) = name.compact() {
                assert_eq!(HeaderName::recognize(letter.to_string().as_bytes()), Some(name));
                assert_eq!(
                    HeaderName::recognize(letter.to_ascii_uppercase().to_string().as_bytes()),
                    Some(name)
                );
            }
        }
    }

    #[test]
    fn all_compact_letters_of_the_registry_are_there() {
        let mut letters: Vec<_> = HeaderName::ALL.iter().filter_map(|name| name.compact()).collect();
        letters.sort_unstable();
        assert_eq!(letters, "abcdefijklmnorstuvxy".chars().collect::<Vec<_>>());
    }

    #[test]
    fn unknown_names_are_compared_without_case() {
        for name in [
            "X-Foo",
            "z",
            "",
            "C%6Fntact",
            "Unknown-Name-That-Is-Longer-Than-Any-Known",
        ] {
            assert_eq!(HeaderName::recognize(name.as_bytes()), None);
        }
        assert_eq!(NameRef::from("x-foo"), NameRef::from("X-FOO"));
        assert_eq!(NameRef::from("V"), NameRef::from(HeaderName::Via));
    }

    #[test]
    fn every_name_has_a_bit_of_its_own() {
        let all = HeaderName::ALL.iter().fold(0u128, |bits, name| bits | name.bit());
        assert_eq!(all.count_ones() as usize, HeaderName::ALL.len());
    }
}

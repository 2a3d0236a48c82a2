//! The stable codes of diagnostics and their explanations: one table, read by people and by programs.

/// Makes the `Code` enum and its lookups from one table, so that a code cannot exist without a text.
macro_rules! codes {
    ($($name:ident = $code:literal, $title:literal, $explanation:literal;)*) => {
        /// What kind of mistake a diagnostic reports. Codes starting with `E` are errors, with `W` warnings.
        #[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
        #[non_exhaustive]
        pub enum Code {
            $(#[doc = concat!("`", $code, "`: ", $title, ".")] $name,)*
        }

        impl Code {
            /// Every code, in the order of the documentation.
            pub const ALL: &[Self] = &[$(Self::$name,)*];

            /// The stable spelling, such as `E104`.
            #[must_use]
            pub fn as_str(self) -> &'static str {
                match self {
                    $(Self::$name => $code,)*
                }
            }

            /// What is wrong, in a few words.
            #[must_use]
            pub fn title(self) -> &'static str {
                match self {
                    $(Self::$name => $title,)*
                }
            }

            /// Why it matters and what to do, in two or three sentences.
            #[must_use]
            pub fn explanation(self) -> &'static str {
                match self {
                    $(Self::$name => $explanation,)*
                }
            }
        }
    };
}

codes! {
    // E1xx: the form of a file.
    FileTooLarge = "E100", "the file is too large",
        "A settings file of this size is almost always the wrong file. The limit protects the program from reading a log or a disk image as settings.";
    Syntax = "E101", "the text is not valid YAML",
        "Nothing after this point can be read. The usual causes are a tab, a missing closing quote or bracket, and a text that starts with a special character and needs quotes.";
    TooComplex = "E102", "the file is nested too deeply or expands to too much",
        "Lists, maps and aliases may be nested and repeated only so far; no meaningful settings come near the limit.";
    DuplicateKey = "E103", "a key is given twice",
        "Only one of the two values could count, and which one is a matter of luck. Delete one of them.";
    UnknownKey = "E104", "a key is unknown",
        "A misspelt key would leave its default in force without a word. Correct it, or delete it.";
    MissingKey = "E105", "a required key is missing",
        "This entry means nothing without the key. Add it, or delete the entry.";
    WrongType = "E106", "a value has the wrong form",
        "A list stands where one value belongs, or the reverse, or there is no value at all.";
    BadValue = "E107", "a value is not spelled as this key needs it",
        "Durations, sizes, rates, addresses and patterns have one spelling each; it is shown beside the mistake.";
    UnknownChoice = "E108", "a value is not one of the choices",
        "The key takes one of a few words. They are listed beside the mistake.";
    OutOfRange = "E109", "a number or duration is out of range",
        "The value is well formed, but no gateway works with it. The range is shown beside the mistake.";
    YamlFeature = "E110", "a feature of YAML is not used in settings",
        "Tags, merge keys, several documents in one file and keys that are not text are refused, because readers disagree on what they mean.";
    Version = "E111", "the file is written for another version of the format",
        "This program reads version 1. A file for a later version may hold keys that this program would misunderstand.";
    NotAvailable = "E112", "a value is not available in this version",
        "The value is known and planned, but this version cannot do it. Choose one of the others for the time being.";
    Exclusive = "E113", "keys exclude each other",
        "Two keys say the same thing in different ways, and only one of them can count.";
    NotUtf8 = "E114", "the file is not UTF-8 text",
        "Settings are UTF-8. Convert the file, for example with `iconv -t UTF-8`.";

    // E2xx: values that are good by themselves but cannot work together.
    ListenerOverlap = "E201", "two listeners want the same address and port",
        "The second one could not start. One port carries one protocol; `https` already carries pages, SIP over WSS and health.";
    SecretMissing = "E202", "a user or a trunk has no secret",
        "Nobody could register as this user, or, worse, anybody; a trunk would refuse every call. Give `secret_file` or `secret_env`.";
    SecretUnreadable = "E203", "a secret cannot be read",
        "The file or the environment variable that holds the secret is missing, empty or not one line of text.";
    UnknownUser = "E204", "a user is named that does not exist",
        "A call that takes this route would always fail. Correct the name, or add the user.";
    PortConflict = "E205", "the same UDP port is meant for two purposes",
        "Signalling, the browser port and the range for phones must be apart, or calls take ports away from listeners.";
    Order = "E206", "a lower bound is above its upper bound",
        "No value can satisfy both bounds.";
    Flags = "E207", "a relay flag string cannot be understood",
        "The string is read as the text in OpenSIPS' `rtpengine_offer()`: words and `key=value` pairs separated by blanks.";
    FileUnreadable = "E208", "a file that the settings name cannot be read",
        "The path is relative to the folder of the configuration file. Check the name and the permissions.";
    AddressUnusable = "E209", "an address cannot be used for this purpose",
        "An address that nobody can send to (unspecified, multicast, broadcast) cannot be told to a phone or a browser.";
    HashMissing = "E210", "a user is challenged with a hash for which no secret exists",
        "With `ha1` only the listed algorithms can be checked. Add the missing hash, or leave the algorithm out of the challenge.";
    UserTwice = "E211", "a user exists twice",
        "The user stands in `users` and in the file of `user_source`, or twice in that file. Only one secret can be right.";
    PrivateAddress = "E212", "phones would be told a private address",
        "This is the usual cause of one-way audio: the far end sends its audio to an address that it cannot reach. Add `advertise`.";
    UserTable = "E213", "the user table (CSV) is malformed",
        "Every row needs the columns that the header names, quoted as RFC 4180 says.";
    UnknownTrunk = "E220", "a trunk is named that does not exist",
        "A call that takes this route would always fail. Correct the name, or add the trunk.";
    TrustOverlap = "E221", "a network is trusted twice",
        "A call from there has to be one trunk's, or a user's. Of networks inside each other the narrowest counts, but the same network cannot belong to two.";
    TrunkToTrunk = "E222", "a route leads from a trunk to a trunk",
        "A call that comes in through a trunk never goes out through one: strangers could make calls at your cost.";

    // E3xx: rtpengine's options and its configuration file.
    UnknownOption = "E301", "an option is unknown",
        "It is neither one of this program's options nor one of rtpengine's. A misspelt option would otherwise be ignored without a word.";
    OptionValue = "E302", "an option lacks its value or has one too many",
        "Options with a value take it as `--name=value`, `--name value` or `-n value`; the others take none.";
    UnexpectedArgument = "E303", "an argument does not belong to any option",
        "The relay takes options only. A value with blanks needs quotes in the shell.";
    ConfSyntax = "E304", "a line is neither a section, a `key = value` nor a comment",
        "The file has the INI form: `[section]`, `key = value`, and `#` for comments.";
    UnknownSection = "E305", "the section does not exist in the file",
        "`--config-section` chooses the section; without it, it is `rtpengine`.";

    // W0xx: works, but probably not as meant.
    SecretInFile = "W001", "a secret stands in the configuration file",
        "Everybody who may read the file, its backups or its history knows the password. Move it to a `secret_file`.";
    NoUsers = "W002", "there is no user",
        "Nobody can register or call. Add `users` or a `user_source`.";
    Unused = "W003", "a key has no effect",
        "Another key switches it off: the media keys of `relay` belong to the built-in relay, and a `window` to registrations that are written down.";
    RouteShadowed = "W004", "a route is never reached",
        "Routes are tried from the top and the first match wins. An earlier route takes every call of this one; move it up or delete it.";
    UserShadowed = "W005", "a user cannot be called",
        "A route takes the calls to this user's number, so they never reach the user. Rename one of them.";
    UnknownCodec = "W006", "a codec name is not known",
        "SDP names are free, so the name is kept, but a misspelt name removes the codec from every call of this user.";
    ChallengeOrder = "W007", "MD5 is not the last challenge",
        "Browser libraries read only the last challenge and know only MD5; with another order they cannot register.";
    FewPorts = "W008", "there are fewer RTP ports than calls allowed",
        "A call between two phones takes four ports. When they run out, calls are refused although `limits.calls` is not reached.";
    ControlExposed = "W009", "a control listener can be reached from other machines",
        "Who reaches it can listen in on, redirect and end every call: the protocol has no password. Use a loopback address, or protect the port with a firewall.";
    Weakened = "W010", "a protection is switched off",
        "The default stops strangers from hearing or injecting audio. Switch it off only for peers that cannot work with it.";
    AliasIsUser = "W011", "a user may call in another user's name",
        "The alias is the name of another user, so calls of the one look like calls of the other.";
    DefaultDomain = "W012", "the gateway has no domain",
        "Phones register at a domain and browsers check the certificate for it; `localhost` works on this machine only.";
    FlagUnused = "W013", "a relay flag has no effect",
        "The relay skips what it does not know, so a misspelt flag changes nothing without a word.";
    TrustedPublic = "W014", "users of a public network need no password",
        "Over UDP anybody can write a foreign address into a datagram, and whoever lives in that network can register and call as any user. Trust only networks of your own.";
    NoRelay = "W015", "there is no media relay",
        "SDP passes untouched, so media goes from end to end: browsers and phones, and phones behind different NATs, cannot hear each other.";
    FewRelayCalls = "W016", "the relay has room for fewer calls than are allowed",
        "The built-in relay makes its tables at the start: for `relay.limits.calls`, or for `limits.calls` and an eighth more, 100000 at most. Further calls are refused.";
    InTheClear = "W018", "secrets are sent without encryption",
        "Everybody between this machine and the service can read them, and can answer in its place. Use `https://`.";
    KeysInClear = "W020", "media keys travel in the clear",
        "With SDES the keys stand in the SDP, so everybody on the way can listen. Use TLS for signalling as well.";
    CertificateName = "W031", "the certificate is for another name",
        "Browsers refuse WSS to a name that the certificate does not cover, and tell the page nothing but that the connection failed.";
    OptionUnused = "W040", "an option of rtpengine is known but has no effect here",
        "It is accepted so that existing start scripts and files keep working. The option can be deleted.";
}

impl Code {
    /// Whether a diagnostic with this code stops the program from starting.
    #[must_use]
    pub fn is_error(self) -> bool {
        self.as_str().starts_with('E')
    }
}

impl std::fmt::Display for Code {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(self.as_str())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::collections::HashSet;

    #[test]
    fn codes_are_unique_sorted_and_explained() {
        let spellings: Vec<_> = Code::ALL.iter().map(|code| code.as_str()).collect();
        let distinct: HashSet<_> = spellings.iter().collect();
        assert_eq!(distinct.len(), spellings.len());
        assert!(spellings.is_sorted(), "{spellings:?}");
        for code in Code::ALL {
            assert_eq!(code.as_str().len(), 4, "{code}");
            assert!(!code.title().is_empty() && !code.title().ends_with('.'), "{code}");
            assert!(
                code.explanation().ends_with('.') && code.explanation().len() > 30,
                "{code}"
            );
        }
    }
}

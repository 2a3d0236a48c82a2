//! The error texts. Modules compare them letter for letter to decide whether another node is tried.

use std::fmt;

use crate::byte_string::ByteString;

macro_rules! reasons {
    ($($(#[$doc:meta])* $reason:ident = $text:literal;)*) => {
        /// The text of `error-reason`, or of `warning`. `Display` is letter-exact.
        #[derive(Debug, Clone, PartialEq, Eq)]
        #[non_exhaustive]
        pub enum ErrorReason {
            $($(#[$doc])* $reason,)*
            /// A text that is none of the above, as a peer sent it.
            Other(ByteString),
        }

        impl ErrorReason {
            /// Every reason with a text of its own.
            pub const ALL: &'static [Self] = &[$(Self::$reason),*];

            fn text(&self) -> Option<&'static str> {
                match self {
                    $(Self::$reason => Some($text),)*
                    Self::Other(_) => None,
                }
            }
        }
    };
}

reasons! {
    /// The body begins with `d`, but is not a bencode dictionary.
    UndecodableBencode = "Could not decode bencode dictionary";
    /// The body begins with `{`, but is not a JSON object.
    UndecodableJson = "Failed to parse JSON document";
    /// The body begins with neither.
    InvalidFormat = "Invalid NG data format";
    /// A cookie without a body.
    NoPayload = "Invalid data (no payload)";
    /// No `command`.
    NoCommand = "Dictionary contains no key \"command\"";
    /// A command that does not exist.
    UnrecognizedCommand = "Unrecognized command";
    /// No `sdp`.
    NoSdp = "No SDP body in message";
    /// No `call-id`.
    NoCallId = "No call-id in message";
    /// No `from-tag`.
    NoFromTag = "No from-tag in message";
    /// No `to-tag`.
    NoToTag = "No to-tag in message";
    /// The SDP is not SDP.
    UnparsableSdp = "Failed to parse SDP";
    /// The SDP has no address or no media.
    IncompleteSdp = "Incomplete SDP specification";
    /// No such call. Also read as `Unknown call-ID`.
    UnknownCallId = "Unknown call-id";
    /// The tags of an answer do not fit the call.
    InvalidDialogue = "Invalid dialogue association";
    /// The result could not be written.
    UnwritableSdp = "Error rewriting SDP";
    /// No pair of ports is free.
    OutOfPorts = "Ran out of ports";
    /// `max-sessions` is reached.
    ParallelSessionLimit = "Parallel session limit reached";
    /// `max-load` is exceeded.
    LoadLimit = "Load limit exceeded";
    /// `max-cpu` is exceeded.
    CpuLimit = "CPU usage limit exceeded";
    /// `max-bandwidth` is exceeded.
    BandwidthLimit = "Bandwidth limit exceeded";
    /// `delete` found nothing. A `warning` unless flag `fatal`.
    NothingToDelete = "Call-ID not found or tags didn't match";
    /// Selection by label.
    NoSuchLabel = "No monologue matching the given label";
    /// Selection by from-tag.
    NoSuchFromTag = "From-tag given, but no such tag exists";
    /// Selection by address.
    NoSuchAddress = "Failed to match address to any tag";
    /// Nothing selected.
    NoParticipant = "No participant party specified";
    /// Selection of a flow.
    FlowToTagNotFound = "Media flow not found (to-tag not found)";
    /// Selection of a flow.
    FlowToLabelNotFound = "Media flow not found (to-label not found)";
    /// Selection of a flow.
    FlowNotSubscribed = "Media flow not found (to-tag not subscribed)";
    /// Selection of a receiver.
    ToTagNotFound = "To-tag not found";
    /// `play DTMF`
    CodeOutOfRange = "Out of range 'code' specified";
    /// `stop media`
    NotPlaying = "Not currently playing media";
    /// `mesh`
    GivenFromTagNotFound = "Given from-tag not found";
    /// `mesh`
    GivenToTagNotFound = "Given to-tag not found";
    /// `subscribe request`
    SubscriptionFailed = "Failed to request subscription";
    /// `unsubscribe`
    UnsubscribeFailed = "Failed to unsubscribe";
    /// `mesh`
    TagCollision = "Failed to merge calls (tag collision)";
    /// `connect` of two calls
    ConnectTagCollision = "Failed to merge two calls into one (tag collision)";
    /// A feature that is not built in.
    Unsupported = "unsupported";
}

impl ErrorReason {
    /// The reason a text means.
    pub fn from_text(text: &ByteString) -> Self {
        if *text == "Unknown call-ID" {
            return Self::UnknownCallId;
        }
        let known = Self::ALL
            .iter()
            .find(|reason| reason.text().is_some_and(|known| *text == known));
        known.cloned().unwrap_or_else(|| Self::Other(text.clone()))
    }

    /// The text as a string of the protocol.
    pub fn to_bytes(&self) -> ByteString {
        match (self, self.text()) {
            (Self::Other(text), _) => text.clone(),
            (_, text) => ByteString::from_static(text.unwrap_or_default()),
        }
    }

    /// True for what another node may not suffer from: a proxy then tries the next one, as OpenSIPS does
    /// on exactly these texts.
    pub fn suggests_another_node(&self) -> bool {
        matches!(
            self,
            Self::OutOfPorts
                | Self::ParallelSessionLimit
                | Self::LoadLimit
                | Self::CpuLimit
                | Self::BandwidthLimit
        )
    }
}

impl fmt::Display for ErrorReason {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.to_bytes().fmt(f)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn texts_are_letter_exact() {
        // As rtpengine spells them: what a message lacks, calls, limits, selectors, single commands.
        let expected = [
            "Could not decode bencode dictionary",
            "Failed to parse JSON document",
            "Invalid NG data format",
            "Invalid data (no payload)",
            "Dictionary contains no key \"command\"",
            "Unrecognized command",
            "No SDP body in message",
            "No call-id in message",
            "No from-tag in message",
            "No to-tag in message",
            "Failed to parse SDP",
            "Incomplete SDP specification",
            "Unknown call-id",
            "Invalid dialogue association",
            "Error rewriting SDP",
            "Ran out of ports",
            "Parallel session limit reached",
            "Load limit exceeded",
            "CPU usage limit exceeded",
            "Bandwidth limit exceeded",
            "Call-ID not found or tags didn't match",
            "No monologue matching the given label",
            "From-tag given, but no such tag exists",
            "Failed to match address to any tag",
            "No participant party specified",
            "Media flow not found (to-tag not found)",
            "Media flow not found (to-label not found)",
            "Media flow not found (to-tag not subscribed)",
            "To-tag not found",
            "Out of range 'code' specified",
            "Not currently playing media",
            "Given from-tag not found",
            "Given to-tag not found",
            "Failed to request subscription",
            "Failed to unsubscribe",
            "Failed to merge calls (tag collision)",
            "Failed to merge two calls into one (tag collision)",
            "unsupported",
        ];
        let texts: Vec<_> = ErrorReason::ALL.iter().map(ToString::to_string).collect();
        assert_eq!(texts, expected);
    }

    #[test]
    fn texts_are_recognized() {
        for reason in ErrorReason::ALL {
            assert_eq!(&ErrorReason::from_text(&reason.to_bytes()), reason);
        }
        assert_eq!(
            ErrorReason::from_text(&"Unknown call-ID".into()),
            ErrorReason::UnknownCallId
        );
        let other = ErrorReason::from_text(&"ran out of ports".into());
        assert_eq!(
            (other.to_string().as_str(), other.suggests_another_node()),
            ("ran out of ports", false)
        );
    }

    #[test]
    fn exactly_five_texts_suggest_another_node() {
        let texts: Vec<_> = ErrorReason::ALL
            .iter()
            .filter(|reason| reason.suggests_another_node())
            .map(ToString::to_string)
            .collect();
        assert_eq!(
            texts,
            [
                "Ran out of ports",
                "Parallel session limit reached",
                "Load limit exceeded",
                "CPU usage limit exceeded",
                "Bandwidth limit exceeded",
            ]
        );
    }
}

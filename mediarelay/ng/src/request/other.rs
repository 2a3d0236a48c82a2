//! Commands of the protocol without a type of their own.

use crate::byte_string::ByteString;
use crate::value::Dict;
use crate::words::{Word, words};

words! {
    /// A known command that is passed on as it came.
    OtherCommand {
        /// `start recording`
        StartRecording = "start recording";
        /// `stop recording`
        StopRecording = "stop recording";
        /// `pause recording`
        PauseRecording = "pause recording";
        /// `block media`
        BlockMedia = "block media";
        /// `unblock media`
        UnblockMedia = "unblock media";
        /// `silence media`
        SilenceMedia = "silence media";
        /// `unsilence media`
        UnsilenceMedia = "unsilence media";
        /// `block DTMF`
        BlockDtmf = "block DTMF";
        /// `unblock DTMF`
        UnblockDtmf = "unblock DTMF";
        /// `start forwarding`
        StartForwarding = "start forwarding";
        /// `stop forwarding`
        StopForwarding = "stop forwarding";
        /// `play media`
        PlayMedia = "play media";
        /// `stop media`
        StopMedia = "stop media";
        /// `play DTMF`
        PlayDtmf = "play DTMF";
        /// `connect`
        Connect = "connect";
        /// `inject start`
        InjectStart = "inject start";
        /// `inject stop`
        InjectStop = "inject stop";
        /// `transform`
        Transform = "transform";
        /// `create`
        Create = "create";
        /// `create answer`
        CreateAnswer = "create answer";
        /// `mesh`
        Mesh = "mesh";
        /// `cli`
        Cli = "cli";
    }
}

impl OtherCommand {
    /// The command with this name. Case counts, but for `CLI`.
    pub fn from_name(name: &ByteString) -> Option<Self> {
        if *name == "CLI" {
            return Some(Self::Cli);
        }
        Self::ALL.iter().copied().find(|command| *name == command.name())
    }
}

/// A command without a type of its own, with its keys as they came.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct OtherRequest {
    /// The command.
    pub command: OtherCommand,
    /// Every key but `command`.
    pub body: Dict,
}

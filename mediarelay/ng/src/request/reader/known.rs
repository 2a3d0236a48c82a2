//! Names of the protocol that have no typed field: they are told apart from typing mistakes.

/// Keys, folded.
const KEYS: [&str; 51] = [
    "address",
    "audio-player",
    "blob",
    "blob64",
    "body",
    "calls",
    "code",
    "db-id",
    "delay-buffer",
    "digit",
    "drop-traffic",
    "dtmf-delay",
    "dtmf-security",
    "dtmf-security-trigger",
    "dtmf-security-trigger-end",
    "duration",
    "end-trigger",
    "end-trigger-digits",
    "end-trigger-time",
    "file",
    "frequencies",
    "frequency",
    "inbound-peer",
    "instance",
    "media",
    "medias",
    "moh",
    "outbound-peer",
    "output-destination",
    "passthrough",
    "passthru",
    "pause",
    "peer",
    "player",
    "record-call",
    "recording-dir",
    "recording-file",
    "recording-pattern",
    "repeat-duration",
    "repeat-times",
    "source-call-id",
    "source-tag",
    "start-pos",
    "tags",
    "to-call-id",
    "to-label",
    "trigger",
    "trigger-end",
    "trigger-end-digits",
    "trigger-end-time",
    "volume",
];

/// Keys with many members, by what they begin with.
const KEY_PREFIXES: [&str; 4] = ["output-", "recording-", "vsc-", "xmlrpc-"];

/// Flags, folded.
const FLAGS: [&str; 32] = [
    "always-transcode",
    "asymmetric-codecs",
    "audio-player",
    "block-egress",
    "block-short",
    "block-short-packets",
    "block-shorts",
    "debug",
    "debugging",
    "detect-dtmf",
    "discard-recording",
    "egress",
    "exclude-recording",
    "force-transcoding",
    "inject-dtmf",
    "mirror-rtcp",
    "mix",
    "mixed",
    "no-audio-player",
    "no-codec-renegotiation",
    "no-jitter-buffer",
    "no-passthrough",
    "no-player",
    "no-redis-update",
    "passthrough",
    "pause",
    "record-call",
    "reorder-codecs",
    "reuse-codecs",
    "rtcp-mirror",
    "single-codec",
    "symmetric-codecs",
];

/// Flags with many members, by what they begin with.
const FLAG_PREFIXES: [&str; 4] = ["recording-", "skip-recording-", "static-codec", "unsubscribe"];

/// Keys with a typed field, in the spelling we suggest where one is mistyped.
pub(crate) const SERVED_KEYS: [&str; 46] = [
    "DTLS",
    "DTLS-fingerprint",
    "DTLS-reverse",
    "DTMF-log-dest",
    "ICE",
    "ICE-lite",
    "OSRTP",
    "SDES",
    "T.38",
    "T.38-version",
    "TOS",
    "address-family",
    "alias-key",
    "all",
    "bundle",
    "call-id",
    "codec",
    "delete-delay",
    "direction",
    "endpoint-learning",
    "extmap",
    "from-interface",
    "from-tag",
    "from-tags",
    "generate-RTCP",
    "interface",
    "label",
    "media-address",
    "media-echo",
    "metadata",
    "ptime",
    "ptime-reverse",
    "received-from",
    "replace",
    "rtcp-mux",
    "rtpp-flags",
    "sdp-attr",
    "sdp-media-remove",
    "set-label",
    "sip-code",
    "sip-message-type",
    "supports",
    "template",
    "to-interface",
    "to-tag",
    "transport-protocol",
];

/// True for a key that rtpengine knows. `key` is folded.
pub(super) fn is_known_key(key: &str) -> bool {
    KEYS.contains(&key) || KEY_PREFIXES.iter().any(|prefix| key.starts_with(prefix))
}

/// True for a flag that rtpengine knows. `flag` is folded.
pub(super) fn is_known_flag(flag: &str) -> bool {
    FLAGS.contains(&flag) || FLAG_PREFIXES.iter().any(|prefix| flag.starts_with(prefix))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn served_keys_are_served() {
        for key in SERVED_KEYS {
            let mut reader = super::super::Reader::default();
            reader.key(&key.into(), &crate::Value::Dict(crate::Dict::new()));
            assert!(
                reader
                    .ignored
                    .iter()
                    .all(|ignored| ignored.why != crate::Why::Unknown),
                "{key}"
            );
        }
    }

    #[test]
    fn tables_are_sorted_and_folded() {
        assert!(SERVED_KEYS.is_sorted());
        for table in [&KEYS[..], &FLAGS, &KEY_PREFIXES, &FLAG_PREFIXES] {
            assert!(table.is_sorted());
            assert!(table.iter().all(|name| crate::words::fold(name) == *name));
        }
    }
}

//! The `codec` dictionary.

/// `codec`: each member a list of codec strings `name/clock/channels/bitrate/ptime/fmtp/options`, in which
/// `=` and space have been put for `--` and `..`.
#[derive(Debug, Clone, PartialEq, Eq, Hash, Default)]
pub struct CodecOptions {
    /// Removed from the offer to the receiver; `all` and `full` mean everything.
    pub strip: Vec<String>,
    /// Survive a `strip` or `mask` of everything.
    pub except: Vec<String>,
    /// As `except`, and in this order.
    pub offer: Vec<String>,
    /// Treated as never offered by the sender, though passed on.
    pub ignore: Vec<String>,
    /// Added where missing, and converted when the receiver takes it.
    pub transcode: Vec<String>,
    /// Hidden from the receiver, still accepted from the sender.
    pub mask: Vec<String>,
    /// `mask` that turns transcoding on by itself.
    pub consume: Vec<String>,
    /// Still offered, and accepted toward the sender even when the receiver declines.
    pub accept: Vec<String>,
    /// Encoder options.
    pub set: Vec<String>,
}

impl CodecOptions {
    /// Names of the members, in the order of [`lists`](Self::lists).
    pub(crate) const NAMES: [&'static str; 9] = [
        "strip",
        "except",
        "offer",
        "ignore",
        "transcode",
        "mask",
        "consume",
        "accept",
        "set",
    ];

    /// True when nothing is said.
    pub fn is_empty(&self) -> bool {
        self.lists().into_iter().all(|(_, list)| list.is_empty())
    }

    /// The members with their names.
    pub fn lists(&self) -> [(&'static str, &[String]); 9] {
        let lists = [
            &self.strip,
            &self.except,
            &self.offer,
            &self.ignore,
            &self.transcode,
            &self.mask,
            &self.consume,
            &self.accept,
            &self.set,
        ];
        std::array::from_fn(|index| (Self::NAMES[index], &lists[index][..]))
    }

    /// The member with this name.
    pub(crate) fn list_mut(&mut self, name: &str) -> Option<&mut Vec<String>> {
        match name {
            "strip" => Some(&mut self.strip),
            "except" => Some(&mut self.except),
            "offer" => Some(&mut self.offer),
            "ignore" => Some(&mut self.ignore),
            "transcode" => Some(&mut self.transcode),
            "mask" => Some(&mut self.mask),
            "consume" => Some(&mut self.consume),
            "accept" => Some(&mut self.accept),
            "set" => Some(&mut self.set),
            _ => None,
        }
    }
}

/// Puts `=` for `--` and space for `..`, which flag strings use because they split at both.
pub(crate) fn unescape(text: &str) -> String {
    let mut text = text.to_owned();
    for (escaped, plain) in [("--", "="), ("..", " ")] {
        // Until none is left, as rtpengine does, so that reading what was written changes nothing.
        while text.contains(escaped) {
            text = text.replace(escaped, plain);
        }
    }
    text
}

/// The reverse of [`unescape`], for flag strings. An `=` after `-` stays: of three dashes the first two would be the `=`.
pub(crate) fn escape(text: &str) -> String {
    let mut escaped = String::with_capacity(text.len());
    let mut before = None;
    for character in text.chars() {
        match character {
            '=' if before != Some('-') => escaped.push_str("--"),
            ' ' => escaped.push_str(".."),
            other => escaped.push(other),
        }
        before = Some(character);
    }
    escaped
}

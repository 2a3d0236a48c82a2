//! What one message may cost.

/// Bounds checked while a message is split and decoded, before anything in it is interpreted.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Limits {
    /// Size of a message body, in octets. Default 262,144: four times what fits a UDP datagram, for the
    /// transports that have no such bound.
    pub octets_max: usize,
    /// Length of a cookie, in octets. Default 255.
    pub cookie_octets_max: usize,
    /// Dictionaries and lists inside each other. Default 32; a `query` reply needs 9.
    pub depth_max: usize,
    /// Values in one message, keys included. Default 65,536.
    pub elements_max: usize,
}

impl Default for Limits {
    fn default() -> Self {
        Self {
            octets_max: 262_144,
            cookie_octets_max: 255,
            depth_max: 32,
            elements_max: 65_536,
        }
    }
}

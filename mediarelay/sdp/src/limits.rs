//! What one document may cost.

/// Bounds checked while a document is indexed, before anything in it is interpreted.
///
/// Going over one is a [`ParseError`](crate::ParseError) that names the limit; the shell counts it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Limits {
    /// Size of a document, in octets. Default 65,536: what fits a UDP datagram.
    pub octets_max: usize,
    /// Lines of a document. Default 4,096.
    pub lines_max: usize,
    /// `m=` lines. Default 32.
    pub medias_max: usize,
    /// Formats of one `m=` line. Default 256: RTP has 128 payload types.
    pub formats_max: usize,
    /// `a=` lines in one section (the session part or one media). Default 1,024.
    pub attributes_max: usize,
    /// `a=candidate` lines in one section. Default 128.
    pub candidates_max: usize,
}

impl Default for Limits {
    fn default() -> Self {
        Self {
            octets_max: 65_536,
            lines_max: 4_096,
            medias_max: 32,
            formats_max: 256,
            attributes_max: 1_024,
            candidates_max: 128,
        }
    }
}

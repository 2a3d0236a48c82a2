/// What a parser accepts at most. Judged before anything is indexed or buffered.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Limits {
    /// Octets of one datagram. Default 65,535.
    pub datagram_octets_max: usize,
    /// Octets of one message on TCP or TLS, body included. Default 262,144.
    pub stream_octets_max: usize,
    /// Octets of one WebSocket message. Default 262,144.
    pub frame_octets_max: usize,
    /// Octets of start line and headers together, the empty line included. Default 65,536.
    pub head_octets_max: usize,
    /// Octets of the start line without its CRLF. Default 8,192.
    pub start_line_octets_max: usize,
    /// Octets of one header line, name and folds included, without its last CRLF. Default 16,384.
    pub header_octets_max: usize,
    /// Header lines. Default 256.
    pub headers_max: usize,
    /// Via values, over all lines. Default 100.
    pub vias_max: usize,
}

impl Default for Limits {
    fn default() -> Self {
        Self {
            datagram_octets_max: 65_535,
            stream_octets_max: 262_144,
            frame_octets_max: 262_144,
            head_octets_max: 65_536,
            start_line_octets_max: 8_192,
            header_octets_max: 16_384,
            headers_max: 256,
            vias_max: 100,
        }
    }
}

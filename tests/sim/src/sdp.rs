//! SDP as browsers and phones write it, short.

use viaduct_sip::Message;

/// What a browser offers: Opus and G.711 over DTLS-SRTP.
pub const BROWSER_OFFER: &str = "v=0\r\no=- 46 2 IN IP4 127.0.0.1\r\ns=-\r\nt=0 0\r\na=group:BUNDLE 0\r\n\
    m=audio 9 UDP/TLS/RTP/SAVPF 111 0 8 126\r\nc=IN IP4 0.0.0.0\r\na=ice-ufrag:abcd\r\n\
    a=ice-pwd:abcdefghijklmnopqrstuvwx\r\na=fingerprint:sha-256 \
    00:11:22:33:44:55:66:77:88:99:AA:BB:CC:DD:EE:FF:00:11:22:33:44:55:66:77:88:99:AA:BB:CC:DD:EE:FF\r\n\
    a=setup:actpass\r\na=mid:0\r\na=rtcp-mux\r\na=rtpmap:111 opus/48000/2\r\na=rtpmap:126 telephone-event/8000\r\n";

/// What a browser answers.
pub const BROWSER_ANSWER: &str = "v=0\r\no=- 47 2 IN IP4 127.0.0.1\r\ns=-\r\nt=0 0\r\n\
    m=audio 9 UDP/TLS/RTP/SAVPF 8 126\r\nc=IN IP4 0.0.0.0\r\na=ice-ufrag:efgh\r\n\
    a=ice-pwd:abcdefghijklmnopqrstuvwx\r\na=fingerprint:sha-256 \
    10:11:22:33:44:55:66:77:88:99:AA:BB:CC:DD:EE:FF:00:11:22:33:44:55:66:77:88:99:AA:BB:CC:DD:EE:FF\r\n\
    a=setup:active\r\na=mid:0\r\na=rtcp-mux\r\na=rtpmap:126 telephone-event/8000\r\n";

/// What a desk phone offers.
pub const PHONE_OFFER: &str = "v=0\r\no=desk 1 1 IN IP4 10.0.0.5\r\ns=-\r\nc=IN IP4 10.0.0.5\r\nt=0 0\r\n\
    m=audio 4000 RTP/AVP 8 0 101\r\na=rtpmap:101 telephone-event/8000\r\n";

/// What a desk phone answers.
pub const PHONE_ANSWER: &str = "v=0\r\no=desk 2 1 IN IP4 10.0.0.5\r\ns=-\r\nc=IN IP4 10.0.0.5\r\nt=0 0\r\n\
    m=audio 4002 RTP/AVP 8 101\r\na=rtpmap:101 telephone-event/8000\r\n";

/// A message's body as text.
pub fn body_of(message: &Message) -> String {
    String::from_utf8_lossy(message.body()).into_owned()
}

/// True when the body has this line.
pub fn says(message: &Message, line: &str) -> bool {
    body_of(message).lines().any(|have| have == line)
}

//! Addresses, media kinds and what the SIP message was.

use crate::words::words;

words! {
    /// `address-family`
    AddressFamily {
        /// IPv4
        Ip4 = "IP4";
        /// IPv6
        Ip6 = "IP6";
    }
}

words! {
    /// `sip-message-type`
    SipMessageType {
        /// A request
        Request = "SIP request" ["request"];
        /// A response
        Response = "SIP response" ["reply", "sip-reply", "response"];
    }
}

words! {
    /// Kinds of media, as in `sdp-media-remove` and `sdp-attr`
    MediaType {
        /// `audio`
        Audio = "audio";
        /// `video`
        Video = "video";
        /// `image`
        Image = "image";
        /// `message`
        Message = "message";
        /// `text`
        Text = "text";
        /// `application`
        Application = "application";
        /// Any other kind
        Other = "other";
    }
}

words! {
    /// `alias-key`: what an offer with an unknown from-tag must have in common with an SDP of a known party for the tag to
    /// become another name of that party. `off` is read as absent.
    AliasKey {
        /// The whole SDP
        Sdp = "SDP";
        /// Address and port of the first m-line
        Address = "address" ["endpoint"];
    }
}

words! {
    /// `media-echo`: who hears itself. Nothing goes from one side to the other then.
    MediaEcho {
        /// Nobody
        Blackhole = "blackhole" ["sinkhole"];
        /// The receiver of the message
        Forward = "forward" ["fwd", "fw"];
        /// The sender of the message
        Backward = "backwards" ["backward", "reverse", "back", "bkw", "bk"];
        /// Both
        Both = "both";
    }
}

/// `TOS`
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Tos {
    /// Leave what the call has: any negative number.
    Keep,
    /// The octet, 0 to 255. Larger numbers mean the default, as an absent key does.
    Set(u8),
}

//! Why a message is refused: the numbers are Janus', as rtpengine uses them.

/// A code and a sentence for the client.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Refusal {
    pub(crate) code: u16,
    pub(crate) reason: String,
}

impl Refusal {
    pub(crate) fn new(code: u16, reason: impl Into<String>) -> Self {
        let reason = reason.into();
        Self { code, reason }
    }
}

/// No token, or one that was not added; no secret, or a wrong one.
pub(crate) const UNAUTHORIZED: u16 = 403;
/// Cannot be done over this transport.
pub(crate) const TRANSPORT: u16 = 450;
/// Not JSON.
pub(crate) const INVALID_JSON: u16 = 454;
/// JSON, but no object.
pub(crate) const NOT_AN_OBJECT: u16 = 455;
/// A member is missing, or not what it should be.
pub(crate) const MISSING_ELEMENT: u16 = 456;
/// No such request, or one that needs a handle.
pub(crate) const INVALID_REQUEST: u16 = 457;
/// No such session.
pub(crate) const NO_SESSION: u16 = 458;
/// No such plugin.
pub(crate) const NO_PLUGIN: u16 = 460;
/// No such handle to detach.
pub(crate) const NOT_DETACHED: u16 = 463;
/// A candidate that cannot be read.
pub(crate) const BAD_CANDIDATE: u16 = 466;
/// There are as many of something as there may be.
pub(crate) const TOO_MANY: u16 = 468;
/// No such token to remove.
pub(crate) const NO_TOKEN: u16 = 470;
/// No such request of the plugin.
pub(crate) const NO_SUCH_REQUEST: u16 = 423;
/// No such room.
pub(crate) const NO_ROOM: u16 = 426;
/// A member of the plugin's request is not one of its words.
pub(crate) const INVALID_ELEMENT: u16 = 430;
/// The room has as many publishers as it may have.
pub(crate) const PUBLISHERS_FULL: u16 = 432;
/// The handle or the name is in use.
pub(crate) const EXISTS: u16 = 436;
/// The relay could not do it, or the handle is not what the request is for.
pub(crate) const FAILED: u16 = 512;

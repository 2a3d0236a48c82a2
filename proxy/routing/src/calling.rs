//! Who calls.

use std::sync::Arc;

use viaduct_trunk::{Caller, Line, MediaEncryption};

use crate::User;
use crate::media::Profile;

/// Somebody who may call: a user who has proven to be one, or a trunk that is known by where the call came from.
#[derive(Debug, Clone)]
pub(crate) enum Calling {
    User(Arc<User>),
    Trunk(Line),
}

impl Calling {
    /// As routes see it.
    pub(crate) fn as_caller(&self) -> Caller<'_> {
        match self {
            Self::User(user) => Caller::User(&user.name),
            Self::Trunk(line) => Caller::Trunk(&line.trunk().name),
        }
    }

    /// As people see it: `alice`, `trunk:acme`.
    pub(crate) fn label(&self) -> String {
        match self {
            Self::User(user) => user.name.clone(),
            Self::Trunk(line) => format!("trunk:{}", line.trunk().name),
        }
    }

    /// What its endpoints speak, if that is configured.
    pub(crate) fn profile(&self) -> Option<Profile> {
        match self {
            Self::User(user) => user.profile,
            Self::Trunk(line) => Some(profile_of(line)),
        }
    }

    /// Audio codecs that it takes, if there is a list.
    pub(crate) fn codecs(&self) -> Option<Vec<String>> {
        match self {
            Self::User(user) => user.codecs.clone(),
            Self::Trunk(line) => line.trunk().codecs.clone(),
        }
    }
}

/// What a trunk speaks.
pub(crate) fn profile_of(line: &Line) -> Profile {
    match line.trunk().encryption {
        MediaEncryption::None => Profile::Phone,
        MediaEncryption::Sdes => Profile::PhoneSdes,
        MediaEncryption::Dtls => Profile::PhoneDtls,
    }
}

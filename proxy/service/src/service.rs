use std::fmt;

/// What answers inside this process.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Service {
    /// A short tone pattern, then the caller's own audio.
    Echo,
    /// Music without end.
    Music,
}

impl Service {
    /// Every service.
    pub const ALL: [Self; 2] = [Self::Echo, Self::Music];

    /// The user part of the service's URI.
    pub fn name(self) -> &'static str {
        match self {
            Self::Echo => "echo",
            Self::Music => "music",
        }
    }

    /// The service that a user part names, escapes resolved. Case matters (RFC 3261 section 19.1.4).
    pub fn from_user(user: &[u8]) -> Option<Self> {
        Self::ALL
            .into_iter()
            .find(|service| service.name().as_bytes() == user)
    }
}

impl fmt::Display for Service {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_service_is_found_by_its_name() {
        for service in Service::ALL {
            assert_eq!(Service::from_user(service.name().as_bytes()), Some(service));
        }
        assert_eq!(Service::from_user(b"Echo"), None);
        assert_eq!(Service::from_user(b""), None);
    }
}

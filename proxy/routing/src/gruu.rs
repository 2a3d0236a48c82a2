//! GRUUs: addresses that reach one device of a user, from anywhere and at any time (RFC 5627).
//!
//! A public one is the address of record with the device in its `gr` parameter. A temporary one hides both: its user
//! part is sealed with a secret of ours, so that nothing need be stored, and it is good while the registration that it
//! was given for goes on (section 3.2): until its Call-ID changes.

use viaduct_sip::{Aor, Uri};

use crate::Binding;
use crate::sealed::Sealer;

/// What the user part of a temporary GRUU begins with.
const TEMPORARY: &str = "tgruu.";

/// Octets by which a device or a Call-ID is known again: 64 bits, compared within the bindings of one user only.
const MARK_OCTETS: usize = 8;

/// Makes and reads GRUUs. Two with the same secret understand each other.
#[derive(Debug, Clone)]
pub(crate) struct Gruus {
    sealer: Sealer,
}

/// Whom a request to a GRUU is for.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Wanted {
    /// The user.
    pub(crate) user: String,
    pub(crate) device: Device,
}

/// One device of a user.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Device {
    /// By its `+sip.instance`.
    Instance(String),
    /// By marks of its instance and of the Call-ID of its registration.
    Marked {
        instance: [u8; MARK_OCTETS],
        call_id: [u8; MARK_OCTETS],
    },
}

/// A temporary GRUU that we did not make.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("no GRUU of ours")]
pub(crate) struct NotOurs;

impl Gruus {
    /// A maker of GRUUs with this secret.
    pub(crate) fn new(secret: &[u8; 32]) -> Self {
        Self {
            sealer: Sealer::new(secret, *b"gruu"),
        }
    }

    /// The public GRUU of a device.
    pub(crate) fn public(aor: &Aor, instance: &str) -> String {
        let mut uri = aor.to_sip_uri();
        uri.push_str(";gr=");
        for octet in instance.bytes() {
            // What a URI parameter may hold (RFC 3261 section 25.1).
            if octet.is_ascii_alphanumeric() || b"-_.!~*'()[]/:&+$".contains(&octet) {
                uri.push(char::from(octet));
            } else {
                uri.push_str(&format!("%{octet:02X}"));
            }
        }
        uri
    }

    /// A temporary GRUU for the registration of a device with this Call-ID. `salt` makes it unlike others of the same.
    pub(crate) fn temporary(&self, aor: &Aor, instance: &str, call_id: &str, salt: u64) -> String {
        let mut octets = Vec::with_capacity(64);
        octets.extend_from_slice(&salt.to_be_bytes());
        octets.extend_from_slice(&self.mark(instance));
        octets.extend_from_slice(&self.mark(call_id));
        octets.extend_from_slice(aor.user().unwrap_or_default().as_bytes());
        format!(
            "sip:{TEMPORARY}{}@{};gr",
            self.sealer.seal(&[], &octets),
            aor.host()
        )
    }

    /// Whom a URI of our domain wants. `None` when it is no GRUU.
    pub(crate) fn read(&self, uri: &Uri<'_>) -> Option<Result<Wanted, NotOurs>> {
        let gr = uri.params().get("gr")?;
        if let Some(sealed) = uri.user().and_then(|user| user.strip_prefix(TEMPORARY)) {
            return Some(self.open(sealed).ok_or(NotOurs));
        }
        let instance = gr.value_unescaped()?;
        Some(Ok(Wanted {
            user: Aor::from_uri(uri)?.user()?.to_owned(),
            device: Device::Instance(String::from_utf8(instance.into_owned()).ok()?),
        }))
    }

    /// True for a binding of this device.
    pub(crate) fn is_of(&self, device: &Device, binding: &Binding) -> bool {
        let Some(instance) = &binding.instance else {
            return false;
        };
        match device {
            // URNs are compared without case (RFC 8141 section 3.1), and an instance is one.
            Device::Instance(wanted) => instance.eq_ignore_ascii_case(wanted),
            Device::Marked {
                instance: marked,
                call_id,
            } => self.mark(instance) == *marked && self.mark(&binding.call_id) == *call_id,
        }
    }

    fn open(&self, sealed: &str) -> Option<Wanted> {
        let octets = self.sealer.open(&[], sealed)?;
        let (_salt, rest) = octets.split_first_chunk::<8>()?;
        let (instance, rest) = rest.split_first_chunk::<MARK_OCTETS>()?;
        let (call_id, user) = rest.split_first_chunk::<MARK_OCTETS>()?;
        Some(Wanted {
            user: String::from_utf8(user.to_vec()).ok()?,
            device: Device::Marked {
                instance: *instance,
                call_id: *call_id,
            },
        })
    }

    fn mark(&self, text: &str) -> [u8; MARK_OCTETS] {
        self.sealer.mark(text)
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    const INSTANCE: &str = "urn:uuid:f81d4fae-7dec-11d0-a765-00a0c91e6bf6";

    fn aor(user: &str) -> Aor {
        Aor::from_uri(&Uri::parse(&format!("sip:{user}@example.com")).unwrap()).unwrap()
    }

    fn read(gruus: &Gruus, uri: &str) -> Option<Result<Wanted, NotOurs>> {
        gruus.read(&Uri::parse(uri).unwrap())
    }

    #[test]
    fn a_public_gruu_names_the_user_and_the_device() {
        let gruus = Gruus::new(&[1; 32]);
        let uri = Gruus::public(&aor("alice"), INSTANCE);
        assert_eq!(uri, format!("sip:alice@example.com;gr={INSTANCE}"));
        let wanted = read(&gruus, &uri).unwrap().unwrap();
        assert_eq!(
            (&*wanted.user, &wanted.device),
            ("alice", &Device::Instance(INSTANCE.to_owned()))
        );
        assert!(read(&gruus, "sip:alice@example.com").is_none());
        let odd = Gruus::public(&aor("a"), "urn:x:\"; %");
        let wanted = read(&gruus, &odd).unwrap().unwrap();
        assert_eq!(wanted.device, Device::Instance("urn:x:\"; %".to_owned()));
    }

    #[test]
    fn a_temporary_gruu_hides_whom_it_is_for() {
        let gruus = Gruus::new(&[1; 32]);
        let uri = gruus.temporary(&aor("alice"), INSTANCE, "call", 7);
        assert!(!uri.contains("alice") && !uri.contains("f81d4fae"));
        assert_ne!(uri, gruus.temporary(&aor("alice"), INSTANCE, "call", 8));
        let wanted = read(&gruus, &uri).unwrap().unwrap();
        assert_eq!(wanted.user, "alice");
        assert_eq!(read(&Gruus::new(&[2; 32]), &uri), Some(Err(NotOurs)));
    }

    proptest! {
        #[test]
        fn whatever_is_sealed_is_opened_again(
            user in "[a-zA-Z0-9._-]{1,64}",
            instance in "\\PC{0,80}",
            call_id in "\\PC{0,80}",
            salt: u64,
        ) {
            let gruus = Gruus::new(&[3; 32]);
            let uri = gruus.temporary(&aor(&user), &instance, &call_id, salt);
            let wanted = read(&gruus, &uri).unwrap().unwrap();
            prop_assert_eq!(&wanted.user, &user);
            let expected = Device::Marked { instance: gruus.mark(&instance), call_id: gruus.mark(&call_id) };
            prop_assert_eq!(wanted.device, expected);
        }
    }
}

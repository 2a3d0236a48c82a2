//! `o=` and `s=` (RFC 8866 sections 5.2 and 5.3), and the version that says whether an SDP has changed.

use std::hash::{DefaultHasher, Hasher};

use viaduct_ng::{Replace, Word};
use viaduct_sdp::{AddressFamily, Host, Origin, SessionOut};

use crate::call::Call;
use crate::exchange::Exchange;

/// What stands before the value of `o=` in every document.
const BEFORE_ORIGIN: usize = "v=0\r\no=".len();

impl Call {
    /// Completes a document and prints it.
    pub(super) fn write_origin(&mut self, exchange: &Exchange<'_>, mut out: SessionOut) -> Vec<u8> {
        let asked = |word: Replace| {
            debug_assert!(Replace::ALL.contains(&word));
            exchange.options.replace.contains(word)
        };
        let address = self.own_address(exchange);
        let written = &mut self.party_mut(exchange.reader).written;
        if out.name.is_empty() {
            // Chromium refuses an empty one; RFC 8866 section 5.3 asks for this in its place.
            out.name = b"-".to_vec();
        }
        let first_name = written.session_name.get_or_insert_with(|| out.name.clone());
        if asked(Replace::SessionName) {
            out.name.clone_from(first_name);
        }
        let Ok(Some(mut origin)) = exchange.session.origin() else {
            // None, or one that cannot be read: nothing in it can be replaced.
            if out.origin.is_empty() {
                let address = address.unwrap_or_else(|| AddressFamily::Ip4.unspecified());
                out.origin = format!("- 0 0 {}", Host::Ip(address)).into_bytes();
            }
            return out.to_bytes();
        };
        if (asked(Replace::Origin) || asked(Replace::OriginFull))
            && let Some(address) = address
        {
            origin.address = Host::Ip(address);
        }
        let first_user = written.username.get_or_insert_with(|| origin.username.clone());
        if asked(Replace::Username) || asked(Replace::OriginFull) {
            origin.username.clone_from(first_user);
        }
        let first_id = written
            .session_id
            .get_or_insert_with(|| origin.session_id.clone());
        if asked(Replace::OriginFull) {
            origin.session_id.clone_from(first_id);
        }
        let (before, after) = around_version(&origin);
        let place = BEFORE_ORIGIN + before.len();
        out.origin = [before, after].concat();
        let mut document = out.to_bytes();
        let mut hasher = DefaultHasher::new();
        hasher.write(&document);
        let digest = hasher.finish();
        let steady = asked(Replace::SdpVersion) || asked(Replace::OriginFull);
        let version = match written.version.take() {
            Some(last) if asked(Replace::ForceIncrementSdpVersion) => next_version(&last),
            Some(last) if steady && written.document == Some(digest) => last,
            Some(last) if steady => next_version(&last),
            Some(_) | None => origin.version,
        };
        written.document = Some(digest);
        written.version = Some(version.clone());
        // In no more room than it needs: it is kept.
        document.reserve_exact(version.len());
        document.splice(place..place, version.into_bytes());
        document
    }

    /// The address that stands for us: that of the reader's first live leg.
    fn own_address(&self, exchange: &Exchange<'_>) -> Option<std::net::IpAddr> {
        let reader = self.party(exchange.reader);
        let mut legs = reader
            .medias
            .iter()
            .filter_map(|media| self.legs.get(&media.leg?));
        exchange
            .options
            .media_address
            .or_else(|| Some(legs.next()?.primary().advertised))
    }
}

/// The value of `o=` before and after the version.
fn around_version(origin: &Origin) -> (Vec<u8>, Vec<u8>) {
    (
        format!("{} {} ", origin.username, origin.session_id).into_bytes(),
        format!(" {}", origin.address).into_bytes(),
    )
}

/// One more, in decimal digits of any length: senders use more than 64 bits.
fn next_version(version: &str) -> String {
    let mut digits: Vec<u8> = version.bytes().collect();
    for digit in digits.iter_mut().rev() {
        if *digit != b'9' {
            *digit += 1;
            return String::from_utf8_lossy(&digits).into_owned();
        }
        *digit = b'0';
    }
    digits.insert(0, b'1');
    String::from_utf8_lossy(&digits).into_owned()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn versions_count_in_any_length() {
        for (version, next) in [
            ("0", "1"),
            ("9", "10"),
            ("1999", "2000"),
            ("99999999999999999999999", "100000000000000000000000"),
        ] {
            assert_eq!(next_version(version), next);
        }
    }
}

//! Who is said to call (RFC 3323, RFC 3325): what a trunk is told, and what a user may see.

use viaduct_sip::{Aor, HeaderName, Message, NameAddr, Uri, quoted};

use crate::{Changes, HeaderEdit, NumberPlan, Trunk, is_e164};

/// A caller as a trunk is told about it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct CallerId {
    /// In E.164; `None` when the caller has no number, and the trunk none to show in its place.
    pub number: Option<String>,
    /// The name that goes with it, may be empty.
    pub name: String,
    /// The callee is not to know.
    pub anonymous: bool,
}

impl CallerId {
    /// The number that a user's call shows on a trunk: the first that the trunk has of the one that the user prefers
    /// (P-Preferred-Identity), the one in From, and `own`, further numbers of the account; else the trunk's own.
    pub fn choose(request: &Message, own: &[String], trunk: &Trunk, plan: &NumberPlan) -> Self {
        let preferred = request
            .addrs(HeaderName::PPreferredIdentity)
            .filter_map(Result::ok)
            .find_map(|addr| number_in(&addr, plan));
        let from = request.from().and_then(Result::ok);
        let in_from = from.as_ref().and_then(|addr| number_in(addr, plan));
        let of_account = own.iter().map(|number| plan.normalise(number));
        let number = preferred
            .into_iter()
            .chain(in_from)
            .chain(of_account)
            .find(|number| is_e164(number) && trunk.has_number(number))
            .or_else(|| trunk.caller_id.as_ref().map(|number| plan.normalise(number)));
        let name = from
            .as_ref()
            .and_then(NameAddr::display_name)
            .map(|name| String::from_utf8_lossy(&name).into_owned());
        Self {
            number,
            name: name.unwrap_or_default(),
            anonymous: wants_privacy(request) || from.as_ref().is_some_and(is_anonymous),
        }
    }

    /// The same with what a hook has changed. Its word is taken: the number need not be one that the trunk has. A caller
    /// who wants to stay unknown stays so.
    #[must_use]
    pub fn changed(mut self, changes: &Changes, plan: &NumberPlan) -> Self {
        if let Some(number) = &changes.from_number {
            self.number = Some(plan.normalise(number));
        }
        if let Some(name) = &changes.from_name {
            self.name.clone_from(name);
        }
        self
    }

    /// From on the trunk's side, without its tag. The name of an anonymous caller stays what RFC 3323 asks for.
    pub fn from_value(&self, trunk: &Trunk, plan: &NumberPlan, domain: &str) -> String {
        if self.anonymous {
            return "\"Anonymous\" <sip:anonymous@anonymous.invalid>".to_owned();
        }
        self.address(trunk, plan, domain)
    }

    /// What the headers of a request become that leaves to a trunk. Identity headers of the user's own making go: only
    /// we can assert who it is.
    pub fn header_edits(&self, trunk: &Trunk, plan: &NumberPlan, domain: &str) -> Vec<HeaderEdit> {
        let mut edits = vec![
            HeaderEdit::remove(HeaderName::PPreferredIdentity),
            HeaderEdit::remove(HeaderName::RemotePartyId),
        ];
        edits.push(if trunk.asserts_identity && self.number.is_some() {
            HeaderEdit::set(HeaderName::PAssertedIdentity, self.address(trunk, plan, domain))
        } else {
            HeaderEdit::remove(HeaderName::PAssertedIdentity)
        });
        if self.anonymous && trunk.asserts_identity {
            edits.push(HeaderEdit::set(HeaderName::Privacy, "id"));
        }
        edits
    }

    fn address(&self, trunk: &Trunk, plan: &NumberPlan, domain: &str) -> String {
        let uri = match (&self.number, &trunk.account) {
            (Some(number), _) => trunk.uri_of(&plan.format(number, trunk.format)),
            (None, Some(account)) => trunk.uri_of(&account.user),
            (None, None) => format!("sip:anonymous@{domain}"),
        };
        if self.name.is_empty() {
            format!("<{uri}>")
        } else {
            format!("{} <{uri}>", quoted::quote(&self.name))
        }
    }
}

/// What goes before a request of a user reaches another user: nobody has asserted anything about it.
pub fn between_users() -> [HeaderEdit; 1] {
    [HeaderEdit::remove(HeaderName::PAssertedIdentity)]
}

/// What goes before a request of a trunk reaches a user: who calls, if the caller wants that nobody knows (RFC 3325
/// section 7).
pub fn from_trunk(request: &Message) -> Vec<HeaderEdit> {
    if !wants_privacy(request) {
        return Vec::new();
    }
    [HeaderName::PAssertedIdentity, HeaderName::RemotePartyId]
        .map(HeaderEdit::remove)
        .into()
}

/// `Privacy: id`, alone or among others (RFC 3325 section 9.3).
fn wants_privacy(request: &Message) -> bool {
    request.headers(HeaderName::Privacy).any(|line| {
        let mut words = line.value().split(|&octet| octet == b';' || octet == b',');
        words.any(|word| {
            let word = word.trim_ascii();
            word.eq_ignore_ascii_case(b"id")
        })
    })
}

fn is_anonymous(from: &NameAddr<'_>) -> bool {
    let host = from.uri().ok().and_then(|uri| uri.host());
    host.is_some_and(|host| host.as_str().eq_ignore_ascii_case("anonymous.invalid"))
}

/// The number that an address names, in E.164 where it is one.
fn number_in(addr: &NameAddr<'_>, plan: &NumberPlan) -> Option<String> {
    let uri = addr.uri().ok()?;
    Some(plan.normalise(&dialled(&uri)?))
}

/// What a URI dials: its user part, unescaped, or the number of a `tel` URI without its visual separators.
pub fn dialled(uri: &Uri<'_>) -> Option<String> {
    if let Some(number) = uri.number() {
        return Some(number.chars().filter(|c| !"-.()".contains(*c)).collect());
    }
    Aor::from_uri(uri)?.user().map(str::to_owned)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::test::parse;
    use crate::{Account, HeaderKey, NumberFormat, Pattern};

    fn request(from: &str, headers: &str) -> Message {
        parse(
            format!(
                "INVITE sip:030@example.com SIP/2.0\r\nVia: SIP/2.0/UDP h;branch=z9hG4bK1\r\nFrom: {from};tag=1\r\n\
                 To: <sip:030@example.com>\r\nCall-ID: c\r\nCSeq: 1 INVITE\r\n{headers}\r\n"
            )
            .as_bytes(),
        )
    }

    fn trunk() -> Trunk {
        let mut trunk = Trunk::new("acme", "carrier.example");
        trunk.numbers = vec![Pattern::new("+4930123*")];
        trunk.caller_id = Some("030123000".to_owned());
        trunk
    }

    fn plan() -> NumberPlan {
        NumberPlan {
            country: Some("49".to_owned()),
            ..NumberPlan::default()
        }
    }

    fn shown(from: &str, headers: &str, own: &[&str]) -> String {
        let own: Vec<String> = own.iter().map(|&number| number.to_owned()).collect();
        let id = CallerId::choose(&request(from, headers), &own, &trunk(), &plan());
        id.number.unwrap()
    }

    #[test]
    fn a_caller_shows_a_number_that_the_trunk_has() {
        let preferred = "P-Preferred-Identity: <sip:030123777@example.com>\r\n";
        assert_eq!(shown("<sip:alice@example.com>", preferred, &[]), "+4930123777");
        let foreign = "P-Preferred-Identity: <tel:+1-212-555-0100>\r\n";
        assert_eq!(shown("<sip:030123456@example.com>", foreign, &[]), "+4930123456");
        assert_eq!(
            shown("<sip:alice@example.com>", "", &["030123-no", "030123888"]),
            "+4930123888"
        );
        assert_eq!(
            shown("<sip:alice@example.com>", "", &[]),
            "+4930123000",
            "the trunk's own"
        );
    }

    /// RFC 3325: what a user asserts about itself is worth nothing.
    #[test]
    fn only_the_gateway_asserts_who_calls() {
        let headers = "P-Asserted-Identity: <sip:+4930999@example.com>\r\n";
        let request = request("\"Alice \\\"A\\\"\" <sip:alice@example.com>", headers);
        let (trunk, plan) = (trunk(), plan());
        let id = CallerId::choose(&request, &[], &trunk, &plan);
        let edits = id.header_edits(&trunk, &plan, "example.com");
        let asserted = "\"Alice \\\"A\\\"\" <sip:+4930123000@carrier.example>";
        assert!(edits.contains(&HeaderEdit::set(HeaderName::PAssertedIdentity, asserted)));
        assert!(edits.contains(&HeaderEdit::remove(HeaderName::PPreferredIdentity)));
        assert_eq!(id.from_value(&trunk, &plan, "example.com"), asserted);
        let silent = Trunk {
            asserts_identity: false,
            ..trunk
        };
        let edits = id.header_edits(&silent, &plan, "example.com");
        assert!(edits.contains(&HeaderEdit::remove(HeaderName::PAssertedIdentity)));
    }

    #[test]
    fn numbers_are_shown_as_the_trunk_reads_them() {
        let mut trunk = trunk();
        trunk.format = NumberFormat::National;
        let id = CallerId::choose(&request("<sip:alice@example.com>", ""), &[], &trunk, &plan());
        assert_eq!(
            id.from_value(&trunk, &plan(), "example.com"),
            "<sip:030123000@carrier.example>"
        );
        trunk.caller_id = None;
        trunk.account = Some(Account::new("4930123", "secret"));
        let id = CallerId::choose(&request("<sip:alice@example.com>", ""), &[], &trunk, &plan());
        assert_eq!(
            id.from_value(&trunk, &plan(), "example.com"),
            "<sip:4930123@carrier.example>"
        );
    }

    /// RFC 3323: what a hook says does not make known who wants to stay unknown.
    #[test]
    fn a_hook_may_show_any_number_and_names_nobody_who_is_anonymous() {
        let changes = Changes {
            from_number: Some("030999".to_owned()),
            from_name: Some("Example Ltd".to_owned()),
            ..Changes::default()
        };
        let (trunk, plan) = (trunk(), plan());
        let from = |request: &Message| {
            let id = CallerId::choose(request, &[], &trunk, &plan).changed(&changes, &plan);
            id.from_value(&trunk, &plan, "example.com")
        };
        assert_eq!(
            from(&request("<sip:alice@example.com>", "")),
            "\"Example Ltd\" <sip:+4930999@carrier.example>"
        );
        let private = from(&request("<sip:alice@example.com>", "Privacy: id\r\n"));
        assert!(private.contains("anonymous.invalid"), "{private}");
    }

    /// RFC 3323 and RFC 3325: the trunk knows who it is, the callee does not.
    #[test]
    fn an_anonymous_caller_is_known_to_the_trunk_alone() {
        for (from, headers) in [
            ("<sip:alice@example.com>", "Privacy: header;id\r\n"),
            ("\"Anonymous\" <sip:anonymous@anonymous.invalid>", ""),
        ] {
            let id = CallerId::choose(&request(from, headers), &[], &trunk(), &plan());
            let edits = id.header_edits(&trunk(), &plan(), "example.com");
            assert!(edits.contains(&HeaderEdit::set(HeaderName::Privacy, "id")));
            assert!(
                id.from_value(&trunk(), &plan(), "example.com")
                    .contains("anonymous.invalid")
            );
            assert!(
                edits
                    .iter()
                    .any(|edit| matches!(edit, HeaderEdit::Set(HeaderKey::Known(HeaderName::PAssertedIdentity), value) if value.contains("+4930123000")))
            );
        }
    }

    #[test]
    fn a_user_does_not_see_who_wants_to_stay_unknown() {
        let asserted = "P-Asserted-Identity: <sip:+4930999@carrier.example>\r\n";
        let private = request("<sip:a@h>", &format!("{asserted}Privacy: ID\r\n"));
        assert!(from_trunk(&private).contains(&HeaderEdit::remove(HeaderName::PAssertedIdentity)));
        for privacy in ["", "Privacy: none\r\n", "Privacy: identity\r\n"] {
            let open = request("<sip:a@h>", &format!("{asserted}{privacy}"));
            assert_eq!(from_trunk(&open), []);
        }
    }
}

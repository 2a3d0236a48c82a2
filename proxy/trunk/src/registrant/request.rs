//! One REGISTER to a trunk.

use viaduct_sip::{HeaderName, Method, RequestBuilder};

use crate::Trunk;

/// A REGISTER that must be sent: everything that does not depend on how the trunk is reached.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct RegisterRequest {
    /// Call-ID, the same for every request of one registrant.
    pub call_id: String,
    /// The tag of From.
    pub from_tag: String,
    /// Rises with every request.
    pub cseq: u32,
    /// Seconds asked for.
    pub expires_s: u32,
    /// Answers to challenges.
    pub credentials: Vec<(HeaderName, String)>,
}

impl RegisterRequest {
    /// The request for a trunk that reaches us at `sent_by`, a host and a port. Its Via is left to the sender. The user
    /// part of the Contact is the trunk's name: a call that comes for it is known to be the trunk's.
    pub fn builder(&self, trunk: &Trunk, sent_by: &str, transport: &str) -> RequestBuilder {
        let user = trunk
            .account
            .as_ref()
            .map_or(&*trunk.name, |account| &*account.user);
        let address = trunk.uri_of(user);
        let contact_user = viaduct_sip::uri::escape_user(&trunk.name);
        let contact = format!("<sip:{contact_user}@{sent_by};transport={transport}>");
        let mut builder = RequestBuilder::new(Method::Register, &trunk.uri())
            .from(format!("<{address}>;tag={}", self.from_tag))
            .to(format!("<{address}>"))
            .call_id(&self.call_id)
            .cseq(self.cseq)
            .header(HeaderName::Contact, contact)
            .header(HeaderName::Expires, self.expires_s.to_string());
        for (name, value) in &self.credentials {
            builder = builder.header(*name, value);
        }
        builder
    }
}

//! `hook`: somebody else's program that decides about calls before the routes do.

use std::time::Duration;

use super::user_source::{read_token, warn_if_exposed};
use crate::code::Code;
use crate::decode::{section, section_default};
use crate::diagnostic::Diagnostic;
use crate::environment::Environment;
use crate::form::text::{Text, is_token};
use crate::form::time::{DAY, MILLISECOND, SECOND};
use crate::form::url::http_url;
use crate::form::{choice, choices, count, duration, list, path, token, variable};
use crate::positions::Positions;
use crate::secret::Secret;
use crate::source::Reporter;

/// A program that decides about requests, and how it is asked.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct HookSettings {
    /// Its URL.
    pub url: String,
    /// What is sent as `Authorization: Bearer`.
    pub token: Option<Secret>,
    /// How long a decision may take.
    pub timeout: Duration,
    /// Questions at the same time.
    pub at_once: u32,
    /// How long a decision is good for the same question.
    pub cache: Duration,
    /// Decisions that are remembered.
    pub entries: u32,
    /// What happens without a decision.
    pub on_failure: HookFailure,
    /// Which requests it is asked about.
    pub methods: Vec<HookMethod>,
    /// Headers that it is told.
    pub headers: Vec<String>,
}

section! {
    /// An HTTP service that decides about calls before `routes` does: docs/hook.md says what it is asked, in JSON, and what
    /// it may answer. It is asked once for each request outside any call, when it is known who sent it;
    /// never about calls to an emergency number.
    pub(crate) struct HookKeys {
        /// URL of the service; the question is its POST. Without it nobody is asked.
        url: Option<String> = absent(http_url(), "nobody is asked");
        /// File with the token for the service on one line; it is sent as `Authorization: Bearer`.
        token_file: Option<String> = absent(path(), "no token");
        /// Environment variable with the token.
        token_env: Option<String> = absent(variable(), "no token");
        /// How long a decision may take, waiting for a turn included. The caller hears nothing meanwhile.
        timeout: Duration = default(duration(10 * MILLISECOND, 30 * SECOND), "1s");
        /// Questions at the same time; further ones wait for their turn.
        at_once: u32 = default(count(1..=1_000), "32");
        /// How long a decision is used again for the same question: everything in it the same but the Call-ID. `0s` asks
        /// every time.
        cache: Duration = default(duration(Duration::ZERO, DAY), "0s");
        /// Decisions that are remembered; beyond, the oldest are forgotten.
        entries: u32 = default(count(100..=1_000_000), "10000");
        /// What happens when the service cannot be asked, takes too long or answers what is no decision.
        on_failure: HookFailure = default(choice::<HookFailure>(), "continue");
        /// Which requests it is asked about.
        methods: Vec<HookMethod> = default(list(choice::<HookMethod>()), "[INVITE]");
        /// Headers of the request that it is told, such as `[User-Agent, Diversion]`.
        headers: Vec<String> = default(list(header_name()), "[]");
    }
}
section_default!(HookKeys);

choices! {
    /// What becomes of a request about which the hook does not decide.
    pub enum HookFailure {
        /// `routes` decides, as without a hook.
        Continue = "continue",
        /// 503 with Retry-After.
        Reject = "reject",
    }
}

choices! {
    /// A method of requests outside any call.
    pub enum HookMethod {
        /// Calls.
        Invite = "INVITE",
        /// Text messages.
        Message = "MESSAGE",
        /// Transfers and other requests to call somebody.
        Refer = "REFER",
        /// Subscriptions.
        Subscribe = "SUBSCRIBE",
        /// Notifications outside a subscription that passed here.
        Notify = "NOTIFY",
        /// Publications.
        Publish = "PUBLISH",
        /// Questions what a user's phone can do.
        Options = "OPTIONS",
        /// Information outside any call.
        Info = "INFO",
    }
}

/// The name of a header that may be told.
fn header_name() -> Text {
    token(
        "the name of a header",
        64,
        |text| {
            let proves = ["Authorization", "Proxy-Authorization"];
            is_token(text) && !proves.iter().any(|name| text.eq_ignore_ascii_case(name))
        },
        "letters, digits and `-`; the headers with which users prove who they are stay here",
    )
}

impl HookKeys {
    /// The hook that the keys describe, `None` without one; what is wrong with them is reported.
    pub(crate) fn resolve(
        &self,
        positions: &Positions,
        environment: &dyn Environment,
        reporter: &mut Reporter,
    ) -> Option<HookSettings> {
        let at = |key: &str| positions.key(&["hook", key]);
        let Some(url) = &self.url else {
            let keys = <Self as crate::decode::Section>::keys();
            // A URL that is wrong has been told.
            if at("url").is_none() && keys.iter().any(|key| at(key.name).is_some()) {
                let diagnostic = Diagnostic::new(Code::MissingKey, "hook names no service")
                    .at(positions.nearest(&["hook"]))
                    .expected("`url`");
                reporter.report_consequence(diagnostic);
            }
            return None;
        };
        if let (Some(_), Some(second)) = (at("token_file"), at("token_env")) {
            let diagnostic = Diagnostic::new(Code::Exclusive, "hook has both `token_file` and `token_env`")
                .at(Some(second))
                .help("delete one of the two".to_owned());
            reporter.report_consequence(diagnostic);
            return None;
        }
        if self.cache.is_zero() && at("entries").is_some() {
            let diagnostic = Diagnostic::new(Code::Unused, "hook.entries has no effect without `cache`")
                .at(at("entries"))
                .help("delete it".to_owned());
            reporter.report_consequence(diagnostic);
        }
        warn_if_exposed(url, at("url"), reporter);
        let (file, variable) = (self.token_file.as_deref(), self.token_env.as_deref());
        let token = read_token("hook", file, variable, positions, environment, reporter)?;
        Some(HookSettings {
            url: url.clone(),
            token,
            timeout: self.timeout,
            at_once: self.at_once,
            cache: self.cache,
            entries: self.entries,
            on_failure: self.on_failure,
            methods: self.methods.clone(),
            headers: self.headers.clone(),
        })
    }
}

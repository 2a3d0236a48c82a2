//! Flag strings that requests refer to by name (rtpengine's signalling templates).

use std::collections::BTreeMap;

/// The name of the template that counts for every request with options.
const EVERY_REQUEST: &str = "default";

/// Flag strings by name, each written as the value of `rtpp-flags`.
///
/// A request gets those named `default` and like its command without asking, and the one that its key `template` names.
/// What the request says itself counts more.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Templates(BTreeMap<String, String>);

impl Templates {
    /// The templates with these names and texts. Of those with the same name the last counts.
    pub fn new(templates: impl IntoIterator<Item = (String, String)>) -> Self {
        Self(templates.into_iter().collect())
    }

    /// The flag string with this name.
    pub fn get(&self, name: &str) -> Option<&str> {
        self.0.get(name).map(String::as_str)
    }

    /// What a request with this command gets without asking, what counts less first.
    pub(crate) fn of_command<'t>(&'t self, command: &'t str) -> impl Iterator<Item = &'t str> {
        [EVERY_REQUEST, command]
            .into_iter()
            .filter_map(|name| self.get(name))
    }
}

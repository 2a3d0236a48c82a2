//! What settings need from outside, as values and a trait: the crate itself opens nothing.

use std::collections::BTreeMap;
use std::fmt;

/// Answers questions about files, environment variables and certificates.
///
/// Paths are passed as they are written in the settings; the caller resolves a relative one against the folder
/// of the configuration file.
pub trait Environment {
    /// The text of a file: a secret, or a user table.
    ///
    /// # Errors
    ///
    /// The reason in the words of the system, such as `no such file`.
    fn read_file(&self, path: &str) -> Result<String, Unavailable>;

    /// Whether a file exists and may be read.
    ///
    /// # Errors
    ///
    /// The reason in the words of the system.
    fn check_file(&self, path: &str) -> Result<(), Unavailable>;

    /// The value of an environment variable, `None` if it is not set.
    fn variable(&self, name: &str) -> Option<String>;

    /// The DNS names and addresses that a certificate file covers, `None` if the caller does not look inside.
    ///
    /// # Errors
    ///
    /// What is wrong with the file, such as `not a PEM certificate`.
    fn certificate_names(&self, path: &str) -> Result<Option<Vec<String>>, Unavailable> {
        let _ = path;
        Ok(None)
    }
}

/// Why a file cannot be used.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Unavailable {
    /// In the words of the system, without a full stop.
    pub reason: String,
}

impl Unavailable {
    /// With this reason.
    pub fn new(reason: impl Into<String>) -> Self {
        Self {
            reason: reason.into(),
        }
    }
}

impl fmt::Display for Unavailable {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.reason)
    }
}

impl std::error::Error for Unavailable {}

/// An environment whose files and variables are given as values, for tests and for programs without files.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct FixedEnvironment {
    /// Text by path.
    pub files: BTreeMap<String, String>,
    /// Value by name.
    pub variables: BTreeMap<String, String>,
    /// Names that a certificate covers, by path.
    pub certificates: BTreeMap<String, Vec<String>>,
}

impl FixedEnvironment {
    /// Adds a file.
    #[must_use]
    pub fn with_file(mut self, path: &str, text: &str) -> Self {
        self.files.insert(path.to_owned(), text.to_owned());
        self
    }

    /// Adds a variable.
    #[must_use]
    pub fn with_variable(mut self, name: &str, value: &str) -> Self {
        self.variables.insert(name.to_owned(), value.to_owned());
        self
    }
}

impl Environment for FixedEnvironment {
    fn read_file(&self, path: &str) -> Result<String, Unavailable> {
        let text = self.files.get(path).cloned();
        text.ok_or_else(|| Unavailable::new("no such file"))
    }

    fn check_file(&self, path: &str) -> Result<(), Unavailable> {
        self.read_file(path).map(|_| ())
    }

    fn variable(&self, name: &str) -> Option<String> {
        self.variables.get(name).cloned()
    }

    fn certificate_names(&self, path: &str) -> Result<Option<Vec<String>>, Unavailable> {
        self.check_file(path)?;
        Ok(self.certificates.get(path).cloned())
    }
}

/// Checks a relay flag string in the syntax of OpenSIPS' `rtpengine_offer()`: everything that is wrong with it.
///
/// The crate of the NG protocol has such a check; it is passed in, so that settings do not depend on a protocol.
pub type FlagCheck<'a> = dyn Fn(&str) -> Vec<FlagProblem> + 'a;

/// What is wrong with one token of a relay flag string.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct FlagProblem {
    /// Where the token starts, in bytes from the start of the string.
    pub position: usize,
    /// The token.
    pub token: String,
    /// What is wrong with it or expected there, such as `unknown flag; did you mean …?`.
    pub problem: String,
    /// Whether a relay would refuse the string or read something else; a token without effect is a warning.
    pub is_error: bool,
}

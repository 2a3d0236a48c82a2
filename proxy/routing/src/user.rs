//! Who may use this proxy.

use std::collections::HashMap;
use std::sync::Arc;

use viaduct_sip::Transport;
use viaduct_sip::digest::{Algorithm, Ha1};

use crate::Directory;
use crate::media::Profile;

/// The algorithms that one user is challenged with, in the order of the headers.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct UserChallenge {
    /// Over WS and WSS.
    pub websocket: Vec<Algorithm>,
    /// Over UDP, TCP and TLS.
    pub other: Vec<Algorithm>,
}

/// One account.
#[derive(Debug, Clone)]
pub struct User {
    /// The user part of its address of record, and its name in digest credentials.
    pub name: String,
    /// The name that people see, may be empty.
    pub display_name: String,
    /// What proves the password, one for each algorithm that it can be checked with.
    pub secrets: Vec<Ha1>,
    /// Contacts that may be registered at a time. `None` is the registrar's limit.
    pub contacts_max: Option<usize>,
    /// Transports that it may register and call over. `None` is all.
    pub transports: Option<Vec<Transport>>,
    /// Algorithms to challenge it with. `None` is the listener's lists.
    pub challenge: Option<UserChallenge>,
    /// What its endpoints speak. `None` decides by what each registered over and offers.
    pub profile: Option<Profile>,
    /// Audio codecs that its endpoints take, best first, as RTP names (`PCMA`). `None` is the profile's list.
    pub codecs: Option<Vec<String>>,
    /// Further names that it may use in From, besides its own.
    pub identities: Vec<String>,
}

impl User {
    /// An account with a password and every default.
    pub fn with_password(name: &str, realm: &str, password: &str) -> Self {
        let secret = |algorithm| Ha1::from_password(algorithm, name, realm, password);
        Self {
            name: name.to_owned(),
            display_name: String::new(),
            secrets: vec![secret(Algorithm::Md5), secret(Algorithm::Sha256)],
            contacts_max: None,
            transports: None,
            challenge: None,
            profile: None,
            codecs: None,
            identities: Vec::new(),
        }
    }

    /// What proves the password with this algorithm.
    pub fn secret(&self, algorithm: Algorithm) -> Option<&Ha1> {
        self.secrets.iter().find(|secret| secret.algorithm() == algorithm)
    }

    /// True when the account may use this name in From.
    pub fn may_call_as(&self, name: &str) -> bool {
        self.name == name || self.identities.iter().any(|identity| identity == name)
    }
}

/// All accounts, by name: those that the configuration lists, and those that a source has told of.
#[derive(Debug, Clone, Default)]
pub struct Users {
    listed: HashMap<String, Arc<User>>,
    directory: Option<Arc<Directory>>,
}

impl Users {
    /// The same accounts, and behind them those of a source.
    #[must_use]
    pub fn with_directory(mut self, directory: Arc<Directory>) -> Self {
        self.directory = Some(directory);
        self
    }

    /// The account of this name, as far as it is known.
    pub fn get(&self, name: &str) -> Option<Arc<User>> {
        match (self.listed.get(name), &self.directory) {
            (Some(user), _) => Some(user.clone()),
            (None, Some(directory)) => directory.get(name),
            (None, None) => None,
        }
    }

    /// True when a source stands behind the accounts of the configuration.
    pub(crate) fn has_directory(&self) -> bool {
        self.directory.is_some()
    }

    /// True when this is certainly nobody's name. What a source may know of is not.
    pub fn is_nobody(&self, name: &str) -> bool {
        self.directory.is_none() && !self.listed.contains_key(name)
    }

    /// The source's answers, when it is the source that knows of this name.
    pub fn directory_of(&self, name: &str) -> Option<&Directory> {
        self.directory
            .as_deref()
            .filter(|_| !self.listed.contains_key(name))
    }
}

impl FromIterator<User> for Users {
    fn from_iter<I: IntoIterator<Item = User>>(users: I) -> Self {
        let listed = users.into_iter().map(|user| (user.name.clone(), Arc::new(user)));
        Self {
            listed: listed.collect(),
            directory: None,
        }
    }
}

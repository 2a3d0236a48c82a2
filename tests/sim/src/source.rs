//! A source of users beside the proxy: a database or a service.

use std::collections::BTreeMap;
use std::sync::Arc;

use viaduct_routing::{Answer, Directory, Ticket, User};

/// Users who are not in the configuration.
#[derive(Debug, Default)]
pub struct UserSource {
    /// Who they are.
    pub users: BTreeMap<String, Arc<User>>,
    /// Whether it fails.
    pub is_broken: bool,
    /// Whether it answers only when [`World::let_source_answer`](crate::World::let_source_answer) says so.
    pub is_slow: bool,
    /// Every name that it was asked for.
    pub asked: Vec<String>,
    pub(crate) directory: Option<Arc<Directory>>,
    pub(crate) waiting: Vec<(Ticket, Vec<String>)>,
}

impl UserSource {
    /// Gives a user another password.
    pub fn change_password(&mut self, name: &str, password: &str) {
        let user = User::with_password(name, "example.com", password);
        self.users.insert(name.to_owned(), Arc::new(user));
    }

    pub(crate) fn answer(&self, name: &str) -> Answer {
        match self.users.get(name) {
            _ if self.is_broken => Answer::Failed,
            Some(user) => Answer::Found(user.clone()),
            None => Answer::Nobody,
        }
    }
}

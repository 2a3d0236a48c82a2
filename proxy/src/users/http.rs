//! Users whom an HTTP service keeps.

use anyhow::bail;
use http::StatusCode;
use viaduct_settings::{Secret, User, UserDefaults};

use crate::http_client::HttpService;

/// Octets of one answer.
const ANSWER_MAX: usize = 64 << 10;

/// The service.
#[derive(Debug)]
pub(crate) struct HttpUsers {
    service: HttpService,
}

impl HttpUsers {
    pub(crate) fn new(url: &str, token: Option<&Secret>, at_once: usize) -> anyhow::Result<Self> {
        Ok(Self {
            service: HttpService::new(url, token, at_once, ANSWER_MAX)?,
        })
    }

    /// Asks for one user. `None` when there is none of this name.
    pub(crate) async fn ask(
        &self,
        name: &str,
        realm: &str,
        defaults: &UserDefaults,
    ) -> anyhow::Result<Option<User>> {
        let answer = self.service.get(&[("user", name), ("realm", realm)]).await?;
        match answer.status {
            StatusCode::NOT_FOUND => Ok(None),
            StatusCode::OK => {
                let text = str::from_utf8(&answer.body)?;
                let user = defaults.user_of_json(name, text).map_err(anyhow::Error::msg)?;
                Ok(Some(user))
            }
            other => bail!("it answers {other}"),
        }
    }
}

//! The text interface that `rtpengine-ctl` and people's scripts know.
//!
//! Lines and texts are those of rtpengine as far as there is something true to say; lines about what this relay has
//! not (kernel forwarding by rtpengine's module, Redis, transcoding) show zero where scripts look for them, or are left
//! out.

mod calls;
mod command;
mod listener;
mod print;

use std::sync::Arc;

use viaduct_ng::{Reply, Request, Value};
use viaduct_settings::MediaSettings;

use self::command::{Command, Timeout};
pub(crate) use self::listener::serve;
use crate::interfaces::MediaInterface;
use crate::line::{Line, Unavailable};

/// Answers lines; clones share everything.
#[derive(Debug, Clone)]
pub(crate) struct Cli {
    line: Line,
    facts: Arc<Facts>,
}

/// What does not change while the relay runs.
#[derive(Debug)]
struct Facts {
    media: MediaSettings,
    interfaces: Vec<MediaInterface>,
}

impl Cli {
    pub(crate) fn new(line: Line, media: MediaSettings, interfaces: Vec<MediaInterface>) -> Self {
        Self {
            line,
            facts: Arc::new(Facts { media, interfaces }),
        }
    }

    /// The text that answers a line.
    pub(crate) async fn answer(&self, line: &str) -> String {
        let answer = match Command::parse(line) {
            Command::Help(text) => Ok(text.to_owned()),
            Command::Refused(text) => Ok(text),
            Command::ListTotals => self.totals().await,
            Command::ListJsonStats => self.json_stats().await,
            Command::ListKernel(which) => self.kernel(which).await,
            Command::ListNumSessions => self.num_sessions().await,
            Command::ListSessions(which) => self.sessions(which).await,
            Command::ListInterfaces => self.interfaces().await,
            Command::ListMaxSessions => self.max_sessions().await,
            Command::SetMaxSessions(max) => self.set_max_sessions(max).await,
            Command::ListTimeout(timeout) => Ok(self.timeout(timeout)),
            Command::Terminate(which) => self.terminate(which).await,
        };
        answer.unwrap_or_else(|why| format!("No answer: {why}.\n"))
    }

    async fn totals(&self) -> Result<String, Unavailable> {
        let reply = self.line.ng(None, Box::new(Request::Statistics)).await?;
        Ok(match reply {
            Reply::Ok(ok) => ok
                .statistics
                .map_or(String::new(), |statistics| print::totals(&statistics)),
            other => print::unexpected(&other),
        })
    }

    /// What `statistics` tells and the use of the ports, for programs that watch.
    async fn json_stats(&self) -> Result<String, Unavailable> {
        let reply = self.line.ng(None, Box::new(Request::Statistics)).await?;
        let usages = self.line.visit(|office| office.relay.port_usage()).await?;
        let reply = reply.to_value();
        let statistics = reply.as_dict().and_then(|reply| reply.get("statistics"));
        let mut told = statistics.and_then(Value::as_dict).cloned().unwrap_or_default();
        let interfaces = self.facts.interfaces.iter().flat_map(|interface| {
            let of_interface = interface.addresses.iter();
            let usages = of_interface.filter_map(|address| usages.iter().find(|usage| address.is_of(usage)));
            usages.map(|usage| print::json_interface(&interface.name, usage))
        });
        told.insert("interfaces", Value::List(interfaces.collect()));
        let json = viaduct_ng::json::encode(&Value::Dict(told));
        Ok(String::from_utf8_lossy(&json).into_owned() + "\n")
    }

    async fn max_sessions(&self) -> Result<String, Unavailable> {
        let max = self.line.visit(|office| office.relay.max_sessions()).await?;
        Ok(print::max_sessions(max))
    }

    /// Calls that run stay, so 0 drains the relay.
    async fn set_max_sessions(&self, max: Option<usize>) -> Result<String, Unavailable> {
        self.line
            .visit(move |office| office.relay.set_max_sessions(max))
            .await?;
        Ok(print::max_sessions(max))
    }

    async fn interfaces(&self) -> Result<String, Unavailable> {
        let usages = self.line.visit(|office| office.relay.port_usage()).await?;
        let mut text = String::new();
        for interface in &self.facts.interfaces {
            for address in &interface.addresses {
                if let Some(usage) = usages.iter().find(|usage| address.is_of(usage)) {
                    print::interface(&mut text, &interface.name, usage);
                }
            }
        }
        Ok(text)
    }

    fn timeout(&self, timeout: Timeout) -> String {
        let media = &self.facts.media;
        let (name, value) = match timeout {
            Timeout::Media => ("TIMEOUT", Some(media.idle_timeout)),
            Timeout::Silent => ("SILENT_TIMEOUT", Some(media.silent_timeout)),
            Timeout::Offer => ("OFFER_TIMEOUT", Some(media.offer_timeout)),
            Timeout::Final => ("FINAL_TIMEOUT", media.final_timeout),
        };
        format!("{name}={}\n", value.map_or(0, |value| value.as_secs()))
    }
}

//! A relay that answers at once, or as told, and keeps books of its sessions.

use std::collections::BTreeMap;

use viaduct_ng as ng;

/// One request that the relay got.
#[derive(Debug, Clone)]
pub struct Asked {
    /// The request.
    pub request: ng::Request,
}

impl Asked {
    /// `offer`, `answer`, `delete` …
    pub fn command(&self) -> &'static str {
        self.request.command()
    }

    /// The from-tag of the offerer.
    pub fn from_tag(&self) -> String {
        match &self.request {
            ng::Request::Offer(offer) => offer.from_tag.to_string(),
            ng::Request::Answer(answer) => answer.from_tag.to_string(),
            _ => String::new(),
        }
    }

    /// What was asked with an SDP.
    pub fn options(&self) -> &ng::Options {
        match &self.request {
            ng::Request::Offer(offer) => &offer.options,
            ng::Request::Answer(answer) => &answer.options,
            other => panic!("{} has no options", other.command()),
        }
    }
}

/// How the relay feels.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Mood {
    /// Answers at once.
    Well,
    /// Answers when [`World::let_relay_answer`](crate::World::let_relay_answer) says so.
    Slow,
    /// Never answers.
    Silent,
    /// Answers everything but `delete` with this error.
    Refusing(ng::ErrorReason),
}

/// The relay of a [`World`](crate::World).
#[derive(Debug)]
pub struct ScriptedRelay {
    /// How it feels.
    pub mood: Mood,
    /// Everything it was asked, in order.
    pub asked: Vec<Asked>,
    /// When each tag of a call was last heard, seconds since 1970, for `query`.
    pub last_packet: BTreeMap<String, u64>,
    sessions: BTreeMap<String, Vec<String>>,
    ports: u16,
}

impl Default for ScriptedRelay {
    fn default() -> Self {
        Self {
            mood: Mood::Well,
            asked: Vec::new(),
            last_packet: BTreeMap::new(),
            sessions: BTreeMap::new(),
            ports: 30_000,
        }
    }
}

impl ScriptedRelay {
    /// Call-ids of sessions that exist.
    pub fn sessions(&self) -> Vec<&str> {
        self.sessions.keys().map(String::as_str).collect()
    }

    /// The commands it was asked, in order.
    pub fn commands(&self) -> Vec<&'static str> {
        self.asked.iter().map(Asked::command).collect()
    }

    /// The last request.
    pub fn last(&self) -> &Asked {
        self.asked.last().expect("the relay was never asked")
    }

    /// Forgets what was asked so far.
    pub fn forget_asked(&mut self) {
        self.asked.clear();
    }

    /// Carries a request out.
    pub(crate) fn answer(&mut self, request: &ng::Request) -> ng::Reply {
        if let (Mood::Refusing(reason), false) = (&self.mood, matches!(request, ng::Request::Delete(_))) {
            return ng::Reply::error(reason.clone());
        }
        match request {
            // Candidates of somebody: nothing is written for anybody.
            ng::Request::Offer(offer) if offer.options.has(ng::Flag::Fragment) => ng::Reply::ok(),
            ng::Request::Offer(offer) => {
                let branches = self.sessions.entry(offer.call_id.to_string()).or_default();
                let branch = offer
                    .via_branch
                    .as_ref()
                    .map(ToString::to_string)
                    .unwrap_or_default();
                if !branches.contains(&branch) {
                    branches.push(branch);
                }
                self.sdp(&offer.options, &offer.sdp)
            }
            ng::Request::Answer(answer) => {
                if !self.sessions.contains_key(&*answer.call_id.to_text()) {
                    return ng::Reply::error(ng::ErrorReason::UnknownCallId);
                }
                self.sdp(&answer.options, &answer.sdp)
            }
            ng::Request::Delete(delete) => {
                self.delete(delete);
                ng::Reply::ok()
            }
            ng::Request::Query(query) if self.sessions.contains_key(&*query.call_id.to_text()) => {
                self.query()
            }
            ng::Request::Query(_) => ng::Reply::error(ng::ErrorReason::UnknownCallId),
            _ => ng::Reply::Pong,
        }
    }

    /// What the reader gets: an SDP of the relay that says for whom it is and from whom it came.
    fn sdp(&mut self, options: &ng::Options, received: &[u8]) -> ng::Reply {
        self.ports += 2;
        let received = String::from_utf8_lossy(received);
        let owner = received
            .lines()
            .find_map(|line| line.strip_prefix("o="))
            .unwrap_or("- ?");
        let transport = options
            .transport_protocol
            .map_or("RTP/AVP".to_owned(), |protocol| protocol.to_string());
        ng::Reply::sdp(format!(
            "v=0\r\no=relay 1 1 IN IP4 192.0.2.1\r\ns=-\r\nc=IN IP4 192.0.2.1\r\nt=0 0\r\n\
             m=audio {} {transport} 8 101\r\na=x-from:{owner}\r\n",
            self.ports
        ))
    }

    fn delete(&mut self, delete: &ng::Delete) {
        let call_id = delete.call_id.to_string();
        match &delete.via_branch {
            None => {
                self.sessions.remove(&call_id);
            }
            Some(branch) => {
                let branch = branch.to_string();
                if let Some(branches) = self.sessions.get_mut(&call_id) {
                    branches.retain(|have| *have != branch);
                    if branches.is_empty() {
                        self.sessions.remove(&call_id);
                    }
                }
            }
        }
    }

    fn query(&self) -> ng::Reply {
        let tags = self.last_packet.iter().map(|(tag, last)| {
            let stream = ng::StreamReport {
                last_packet: *last,
                ..ng::StreamReport::default()
            };
            let media = ng::MediaReport {
                streams: vec![stream],
                ..ng::MediaReport::default()
            };
            let report = ng::TagReport {
                tag: tag.as_str().into(),
                medias: vec![media],
                ..ng::TagReport::default()
            };
            (tag.as_str().into(), report)
        });
        ng::Reply::call(ng::CallReport {
            tags: ng::Entries(tags.collect()),
            ..ng::CallReport::default()
        })
    }
}

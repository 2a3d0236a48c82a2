//! What a relay is started with.

use std::net::SocketAddr;
use std::path::PathBuf;

use viaduct_ng::Templates;
use viaduct_settings::{
    CertificateKeys, CookieScope, Decimal, JanusSecret, MediaSettings, PublicIp, RelayListener, RelaySettings,
};

use crate::limits::RelayLimits;
use crate::threads::OnFailure;

/// How hard the machine may work before new calls are refused. `None` is no limit; calls that run are never touched.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct LoadLimits {
    /// The machine's load, the mean of a minute, in hundredths.
    pub load: Option<u64>,
    /// Use of all its processors together within the last second, in hundredths of a percent.
    pub cpu: Option<u64>,
    /// Media sent on within the last second, in octets.
    pub bandwidth: Option<u64>,
}

/// What a relay is started with.
#[derive(Debug, Clone)]
pub struct RelayConfig {
    /// The media side.
    pub media: MediaSettings,
    /// The machine's address as the internet sees it, for interfaces with `advertise: public`. `auto` is the machine's
    /// own: nobody is asked.
    pub public_ip: PublicIp,
    /// Where commands are taken and questions answered. None of it is needed within one process.
    pub listen: Vec<RelayListener>,
    /// What `https` listeners show.
    pub tls: Option<CertificateKeys>,
    /// DSCP and ECN byte of what is answered on NG listeners.
    pub control_tos: u8,
    /// Calls at the same time; 0 refuses new calls and keeps the running ones, `None` is no limit.
    pub max_sessions: Option<u32>,
    /// How hard the machine may work before new calls are refused.
    pub load_limits: LoadLimits,
    /// Whose repeated commands are recognised as repeated.
    pub ng_cookies: CookieScope,
    /// Flag strings that commands may refer to by name.
    pub templates: Templates,
    /// Whether the address that a SIP message came from counts as media address where the proxy does not say.
    pub sip_source: bool,
    /// Where digits are told of calls for which the proxy does not say.
    pub dtmf_log: Option<SocketAddr>,
    /// Whether digits of all calls are told to every NG connection over TCP.
    pub dtmf_log_ng_tcp: bool,
    /// Whether an SDP with an empty line in it is refused.
    pub reject_invalid_sdp: bool,
    /// Who may let clients of Janus' protocol in; `None` serves none.
    pub janus_secret: Option<JanusSecret>,
    /// File that keeps calls over a restart; `None` keeps none.
    pub state_file: Option<PathBuf>,
    /// Bounds and buffer sizes. They hold as they stand here; `media.limits` is what they were made from.
    pub limits: RelayLimits,
    /// What is done when a thread of the relay has panicked. Ends the process unless told otherwise.
    pub on_failure: OnFailure,
}

impl RelayConfig {
    /// A relay for the process that it runs in: no listeners.
    #[must_use]
    pub fn in_process(media: MediaSettings, public_ip: PublicIp) -> Self {
        let settings = RelaySettings {
            media,
            public_ip,
            listen: Vec::new(),
            ..RelaySettings::default()
        };
        Self::from(settings)
    }

    /// The same with room for so many calls at a time, where the settings leave that open. What was changed in
    /// [`limits`](Self::limits) before is as the settings say again.
    #[must_use]
    pub fn with_room_for(mut self, calls: usize) -> Self {
        self.limits = RelayLimits::of(&self.media.limits, Some(calls));
        self
    }
}

impl From<RelaySettings> for RelayConfig {
    /// Where the limits leave it open, they are made for as many calls as may be at a time.
    fn from(settings: RelaySettings) -> Self {
        let wanted = settings
            .max_sessions
            .map(|max| usize::try_from(max).unwrap_or(usize::MAX));
        Self {
            limits: RelayLimits::of(&settings.media.limits, wanted),
            media: settings.media,
            public_ip: settings.public_ip,
            listen: settings.listen,
            tls: settings.tls,
            // The settings allow no more.
            control_tos: u8::try_from(settings.control_tos).unwrap_or(u8::MAX),
            max_sessions: settings.max_sessions,
            load_limits: LoadLimits {
                load: settings.max_load.map(Decimal::hundredths),
                cpu: settings.max_cpu.map(Decimal::hundredths),
                bandwidth: settings.max_bandwidth.map(|octets| octets as u64),
            },
            ng_cookies: settings.ng_cookies,
            templates: Templates::new(settings.templates),
            sip_source: settings.sip_source,
            dtmf_log: settings.dtmf_log,
            dtmf_log_ng_tcp: settings.dtmf_log_ng_tcp,
            reject_invalid_sdp: settings.reject_invalid_sdp,
            janus_secret: settings.janus_secret,
            state_file: settings.state_file.map(PathBuf::from),
            on_failure: OnFailure::exit(),
        }
    }
}

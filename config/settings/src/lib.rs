//! Typed settings for every program of viaduct, with diagnostics that name file, line and column.
//!
//! The text of a configuration file goes in; settings with every default filled in come out, or **all** mistakes of
//! the file at once. Each mistake says what is wrong, where, why it matters and what to do. Three kinds of text are
//! read: the gateway's YAML ([`load_gateway`]), the relay's YAML ([`load_relay`]), and rtpengine's configuration file
//! and options ([`load_relay_conf`], [`parse_args`]).
//!
//! The crate refuses to read files, variables or clocks: what it must know from outside it asks an [`Environment`].
//! It never shows a secret, neither in a message nor in the source line beside it.
//!
//! **Contract:** for any text there is an answer, in time linear in its size; settings are returned only if no
//! diagnostic is an error.
//!
//! Each key is declared once, with its type, bounds, default and doc comment (the `section!` tables); decoding,
//! [`reference_markdown`] and the JSON Schemas all come from that.
//!
//! ```
//! use viaduct_settings::{FixedEnvironment, load_gateway};
//!
//! let environment = FixedEnvironment::default().with_file("secrets/alice", "apple pie\n");
//! let text = "site: { domain: voice.example.com }\nusers: { alice: { secret_file: secrets/alice } }\n";
//! let loaded = load_gateway("gateway.yaml", text, &environment, &|_| Vec::new())?;
//! assert_eq!(loaded.settings.users["alice"].devices, 10);
//!
//! let wrong = load_gateway("gateway.yaml", "limit: { calls: 5 }", &environment, &|_| Vec::new()).unwrap_err();
//! assert!(wrong.to_string().contains("gateway.yaml:1:1") && wrong.to_string().contains("did you mean `limits`?"));
//! # Ok::<(), viaduct_settings::Diagnostics>(())
//! ```

mod check;
mod code;
mod decode;
mod diagnostic;
mod environment;
mod form;
mod gateway;
mod listener;
mod load;
mod media;
mod positions;
mod reference;
mod relay;
mod relay_limits;
mod schema;
mod secret;
mod shape;
mod source;
mod suggest;
mod tree;
mod written;

pub use self::code::Code;
pub use self::diagnostic::{Diagnostic, Diagnostics, Place, Span};
pub use self::environment::{Environment, FixedEnvironment, FlagCheck, FlagProblem, Unavailable};
pub use self::form::address::PortRange;
pub use self::form::network::Network;
pub use self::form::number::Decimal;
pub use self::form::quantity::Rate;
pub use self::gateway::found_user::UserDefaults;
pub use self::gateway::hook::{HookFailure, HookMethod, HookSettings};
pub use self::gateway::limits::LimitSettings;
pub use self::gateway::listen::{AdvertisedHost, Listener, Scheme};
pub use self::gateway::live::RESTART_KEYS;
pub use self::gateway::media_policy::{FlagString, MediaPolicy, MediaRow, MediaTable};
pub use self::gateway::next_hops::{DnsSettings, ForeignDomains, UdpToTcp};
pub use self::gateway::numbers::{NumberRule, NumberSettings};
pub use self::gateway::proxies::{ProxySettings, TellBy};
pub use self::gateway::registrations::{Keep, RegistrationSettings};
pub use self::gateway::relay::{NgAddress, RelayMode, RelaySection};
pub use self::gateway::routes::{
    FailOn, ForkingSettings, FromUser, Pattern, Redirects, Ring, Route, RouteMatch, Service, Target,
};
pub use self::gateway::service::{
    AuthSettings, ChallengeSettings, LogFormat, LogLevel, LogSettings, MetricsSettings, Origins,
    RegistrarSettings, TimerSettings,
};
pub use self::gateway::site::{PublicIp, SiteSettings};
pub use self::gateway::tls::{Certificate, CertificateKeys, ClientCertificates, TlsSettings, TlsVersion};
pub use self::gateway::trunk_headers::TrunkHeaders;
pub use self::gateway::trunks::{
    Account, LoginKeys, MediaEncryption, NumberFormat, ProxyUri, RegisterKeys, Trunk, TrunkDiversion,
    TrunkHashes, TrunkKeys, TrunkRedirects, TrunkTransport,
};
pub use self::gateway::user_source::{LookupPlace, UserLookup, UserSource};
pub use self::gateway::users::{Algorithm, Credentials, Ha1, Profile, Transport, User};
pub use self::gateway::{GatewaySettings, load_gateway};
pub use self::listener::Layer;
pub use self::load::Loaded;
pub use self::media::{
    AdvertisedAddress, Bind, DtlsRole, DtlsVersion, FaxMode, IceMode, Interface, InterfaceAddress,
    KernelMode, Learning, MediaSettings, SdesMode, SteeringMode, UnnamedMedia,
};
pub use self::positions::Positions;
pub use self::reference::reference_markdown;
pub use self::relay::apply::load_relay_conf;
pub use self::relay::args::{Arguments, ConfigFile, Invocation, parse_args};
pub use self::relay::{CookieScope, JanusSecret, RelayListener, RelayScheme, RelaySettings, load_relay};
pub use self::relay_limits::{
    BufferLimits, DtlsLimits, ForwardingLimits, JanusLimits, ListenerLimits, NgLimits, PaceLimits,
    QueueLimits, RELAY_CALLS_MAX, RelayLimitSettings, SignallingLimits, SrtpLimits,
};
pub use self::schema::{gateway_schema, relay_schema};
pub use self::secret::Secret;
pub use self::source::{FileLimits, decode_utf8};
pub use self::written::{Difference, Written};

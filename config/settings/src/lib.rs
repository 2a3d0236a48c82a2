//! Typed settings.
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
mod schema;
mod secret;
mod shape;
mod source;
mod suggest;
mod tree;

pub use self::code::Code;
pub use self::diagnostic::{Diagnostic, Diagnostics, Place, Span};
pub use self::environment::{Environment, FixedEnvironment, FlagCheck, FlagProblem, Unavailable};
pub use self::form::address::PortRange;
pub use self::form::quantity::Rate;
pub use self::gateway::limits::LimitSettings;
pub use self::gateway::listen::{AdvertisedHost, Listener, Scheme};
pub use self::gateway::media_policy::{FlagString, MediaPolicy, MediaRow, MediaTable};
pub use self::gateway::relay::{NgAddress, RelayMode, RelaySection};
pub use self::gateway::routes::{Pattern, Ring, Route, RouteMatch, Service, Target};
pub use self::gateway::service::{
    AdminSettings, AuthSettings, ChallengeSettings, LogFormat, LogLevel, LogSettings, MetricsSettings,
    Origins, RegistrarSettings,
};
pub use self::gateway::site::{PublicIp, SiteSettings};
pub use self::gateway::tls::{Certificate, TlsSettings, TlsVersion};
pub use self::gateway::users::{Algorithm, Credentials, Profile, Transport, User};
pub use self::gateway::{GatewaySettings, load_gateway};
pub use self::listener::Layer;
pub use self::load::Loaded;
pub use self::media::{
    AdvertisedAddress, Bind, DtlsRole, IceMode, Interface, InterfaceAddress, Learning, MediaSettings,
};
pub use self::positions::Positions;
pub use self::reference::reference_markdown;
pub use self::relay::apply::load_relay_conf;
pub use self::relay::args::{Arguments, ConfigFile, Invocation, parse_args};
pub use self::relay::{CookieScope, RelayListener, RelayScheme, RelaySettings, load_relay};
pub use self::schema::{gateway_schema, relay_schema};
pub use self::secret::Secret;
pub use self::source::{FileLimits, decode_utf8};

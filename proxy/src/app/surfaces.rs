//! What is served over connections: SIP, the phone page, health and metrics.

use std::net::SocketAddr;
use std::sync::{Arc, Mutex, RwLock};

use anyhow::Context;
use tokio::net::TcpListener;
use viaduct_routing::Location;
use viaduct_settings::{GatewaySettings, RelayMode, Scheme};

use super::Extras;
use super::sockets::explain_bind;
use crate::http::{self, DialEntry, HttpContext, PhoneApi, Surface};
use crate::net::context::NetContext;
use crate::net::proxies::Proxies;
use crate::net::stream;
use crate::tls::Secure;

/// What the phone page is told about this gateway.
pub(super) fn phone_api(
    settings: &GatewaySettings,
    extras: Extras,
    location: Arc<Location>,
    bound: &[(Scheme, SocketAddr)],
) -> PhoneApi {
    let https = bound.iter().find(|(scheme, _)| *scheme == Scheme::Https);
    let of_browsers = extras.handed_out.iter().map(|user| DialEntry {
        number: user.name.clone(),
        label: user.display_name.clone(),
    });
    let dial = extras.dial.iter().cloned();
    PhoneApi {
        site: settings.site.domain.clone(),
        location,
        people: dial
            .filter(|entry| settings.users.contains_key(&entry.number))
            .chain(of_browsers)
            .collect(),
        handed_out: extras.handed_out,
        given_at: Mutex::default(),
        dial: extras.dial,
        udp_port: match settings.relay.mode {
            RelayMode::BuiltIn => settings.relay.media.browser_port,
            RelayMode::Ng(_) | RelayMode::None => None,
        },
        desk_phone: extras.desk_phone,
        https_port: https.map(|(_, address)| address.port()),
        web_dir: extras.web_dir,
    }
}

/// Starts a task for each TCP listener.
pub(super) fn serve_all(
    sockets: Vec<(Scheme, std::net::TcpListener)>,
    secure: Option<&Secure>,
    context: &HttpContext,
) -> anyhow::Result<()> {
    let web = secure.map(|secure| secure.web.clone());
    let sip = secure.map(|secure| secure.sip.clone());
    for (scheme, socket) in sockets {
        let listener = TcpListener::from_std(socket).context("listening")?;
        let net = context.net.clone();
        let router = |surface| http::router(context.clone(), surface);
        match scheme {
            Scheme::SipUdp => {}
            Scheme::SipTcp => drop(tokio::spawn(stream::serve(net, listener, None))),
            Scheme::SipTls => drop(tokio::spawn(stream::serve(net, listener, sip.clone()))),
            Scheme::Ws => drop(tokio::spawn(http::serve(
                net,
                listener,
                None,
                router(Surface::SipOnly),
            ))),
            Scheme::Wss => drop(tokio::spawn(http::serve(
                net,
                listener,
                web.clone(),
                router(Surface::SipOnly),
            ))),
            Scheme::Http => drop(tokio::spawn(http::serve(
                net,
                listener,
                None,
                router(Surface::Everything),
            ))),
            Scheme::Https => {
                drop(tokio::spawn(http::serve(
                    net,
                    listener,
                    web.clone(),
                    router(Surface::Everything),
                )));
            }
        }
    }
    Ok(())
}

/// Health and metrics, on a port of their own.
pub(super) async fn serve_metrics(settings: &GatewaySettings, context: &HttpContext) -> anyhow::Result<()> {
    let Some(address) = settings.metrics.listen else {
        return Ok(());
    };
    let listener = TcpListener::bind(address)
        .await
        .map_err(|error| anyhow::anyhow!(explain_bind(Scheme::Http, address, &error)))
        .context("health and metrics cannot be served")?;
    let router = http::router(context.clone(), Surface::Operations);
    let net = NetContext {
        conns: context.net.conns.apart(),
        // Whoever watches comes by himself.
        proxies: Arc::new(RwLock::new(Arc::new(Proxies::none()))),
        ..context.net.clone()
    };
    tokio::spawn(http::serve(net, listener, None, router));
    Ok(())
}

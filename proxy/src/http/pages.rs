//! The phone page and what it asks for.

use std::collections::HashMap;
use std::path::PathBuf;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

use axum::Json;
use axum::extract::{Query, State};
use axum::http::header::{ALLOW, CACHE_CONTROL, CONTENT_SECURITY_POLICY, CONTENT_TYPE, ETAG, IF_NONE_MATCH};
use axum::http::{HeaderMap, HeaderValue, Method, StatusCode, Uri};
use axum::response::{IntoResponse, Response};
use serde::Serialize;
use viaduct_routing::Location;
use viaduct_sip::{Aor, Host};

use super::HttpContext;

/// How long a page that was given a user has to register. Until then nobody else is given the same.
const TO_REGISTER: Duration = Duration::from_secs(5);

/// A user that the demo hands to browsers.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub(crate) struct PhoneUser {
    pub(crate) name: String,
    pub(crate) password: String,
    pub(crate) display_name: String,
}

/// A line of the quick dial list.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub(crate) struct DialEntry {
    pub(crate) number: String,
    pub(crate) label: String,
}

/// How a desk phone is set up by hand.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub(crate) struct DeskPhone {
    pub(crate) server: String,
    pub(crate) port: u16,
    pub(crate) transport: &'static str,
    pub(crate) user: String,
    pub(crate) password: String,
}

/// What the page is told about this site.
#[derive(Debug)]
pub(crate) struct PhoneApi {
    pub(crate) site: String,
    pub(crate) location: Arc<Location>,
    /// Users that are given to whoever opens the page: the demo's. Empty elsewhere.
    pub(crate) handed_out: Vec<PhoneUser>,
    /// When each of them was given to a page last, by their order.
    pub(crate) given_at: Mutex<HashMap<usize, Instant>>,
    pub(crate) dial: Vec<DialEntry>,
    /// Those who are users: they can be there or not, which a service cannot.
    pub(crate) people: Vec<DialEntry>,
    pub(crate) udp_port: Option<u16>,
    pub(crate) desk_phone: Option<DeskPhone>,
    pub(crate) https_port: Option<u16>,
    /// Pages are read from here instead of from the program: for whoever edits them.
    pub(crate) web_dir: Option<PathBuf>,
}

#[derive(Debug, Serialize)]
pub(super) struct PhoneAnswer<'a> {
    site: &'a str,
    sip_path: &'static str,
    demo: bool,
    user: Option<&'a PhoneUser>,
    dial: &'a [DialEntry],
    media: Media,
    desk_phone: Option<&'a DeskPhone>,
    https_port: Option<u16>,
}

#[derive(Debug, Serialize)]
struct Media {
    udp_port: Option<u16>,
}

#[derive(Debug, Serialize)]
struct Person<'a> {
    user: &'a str,
    label: &'a str,
    registered: bool,
}

impl PhoneApi {
    fn is_registered(&self, user: &str, now: Instant) -> bool {
        let Ok(host) = Host::parse(&self.site) else {
            return false;
        };
        !self.location.lookup(&Aor::new(user, &host), now).is_empty()
    }

    /// The user for a browser: the one it had before, else one that nobody has or is about to have. A page that is loaded again
    /// comes back faster than its old connection goes, so a user asked for by name is given even if it is registered.
    fn user_for(&self, wanted: Option<&str>, now: Instant) -> Option<&PhoneUser> {
        let users = &self.handed_out;
        // Nothing can be half done while it is held.
        let mut given_at = self.given_at.lock().unwrap_or_else(PoisonError::into_inner);
        let named = wanted.and_then(|wanted| users.iter().position(|user| user.name == wanted));
        let is_free = |at: &usize| !self.is_registered(&users[*at].name, now);
        let was_given = |at: &usize| {
            let given = given_at.get(at);
            given.is_some_and(|given| now.saturating_duration_since(*given) < TO_REGISTER)
        };
        let place = named
            .or_else(|| (0..users.len()).find(|at| is_free(at) && !was_given(at)))
            .or_else(|| (0..users.len()).find(is_free))
            .unwrap_or_default();
        given_at.insert(place, now);
        users.get(place)
    }
}

/// `GET /api/phone?prefer=<user>`: everything the page needs to start.
pub(super) async fn phone(
    State(context): State<HttpContext>,
    Query(query): Query<HashMap<String, String>>,
) -> Response {
    let api = &context.phone;
    let answer = PhoneAnswer {
        site: &api.site,
        sip_path: "/sip",
        demo: !api.handed_out.is_empty(),
        user: api.user_for(query.get("prefer").map(String::as_str), Instant::now()),
        dial: &api.dial,
        media: Media {
            udp_port: api.udp_port,
        },
        desk_phone: api.desk_phone.as_ref(),
        https_port: api.https_port,
    };
    let mut response = Json(answer).into_response();
    // It may hold a password.
    response
        .headers_mut()
        .insert(CACHE_CONTROL, HeaderValue::from_static("no-store"));
    response
}

/// `GET /api/phone/people`: who of them is there.
pub(super) async fn people(State(context): State<HttpContext>) -> Response {
    let api = &context.phone;
    let now = Instant::now();
    let people: Vec<Person<'_>> = api
        .people
        .iter()
        .map(|DialEntry { number, label }| Person {
            user: number,
            label,
            registered: api.is_registered(number, now),
        })
        .collect();
    let mut response = Json(people).into_response();
    response
        .headers_mut()
        .insert(CACHE_CONTROL, HeaderValue::from_static("no-store"));
    response
}

/// Everything else is a page or what belongs to one.
pub(super) async fn asset(
    State(context): State<HttpContext>,
    method: Method,
    uri: Uri,
    headers: HeaderMap,
) -> Response {
    if method != Method::GET && method != Method::HEAD {
        return (StatusCode::METHOD_NOT_ALLOWED, [(ALLOW, "GET, HEAD")]).into_response();
    }
    let mut response = match &context.phone.web_dir {
        Some(folder) => from_folder(folder, uri.path()).await,
        None => from_program(uri.path(), &headers),
    };
    let headers = response.headers_mut();
    headers.insert(
        CONTENT_SECURITY_POLICY,
        HeaderValue::from_static(viaduct_web::content_security_policy()),
    );
    headers.insert(
        "permissions-policy",
        HeaderValue::from_static(viaduct_web::permissions_policy()),
    );
    response
}

fn from_program(path: &str, headers: &HeaderMap) -> Response {
    let Some(asset) = viaduct_web::lookup(path) else {
        return StatusCode::NOT_FOUND.into_response();
    };
    let described = [
        (ETAG, asset.etag),
        (CACHE_CONTROL, asset.cache),
        (CONTENT_TYPE, asset.content_type),
    ];
    if headers
        .get(IF_NONE_MATCH)
        .is_some_and(|known| known.as_bytes() == asset.etag.as_bytes())
    {
        return (StatusCode::NOT_MODIFIED, described).into_response();
    }
    (described, asset.bytes).into_response()
}

async fn from_folder(folder: &std::path::Path, path: &str) -> Response {
    let Some(path) = viaduct_web::asset_path(path) else {
        return StatusCode::NOT_FOUND.into_response();
    };
    match tokio::fs::read(folder.join(path)).await {
        Ok(octets) => (
            [
                (CONTENT_TYPE, viaduct_web::content_type(path)),
                (CACHE_CONTROL, "no-store"),
            ],
            octets,
        )
            .into_response(),
        Err(_) => StatusCode::NOT_FOUND.into_response(),
    }
}

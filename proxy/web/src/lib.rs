//! The pages that the proxy serves, embedded at compile time: today the browser phone.
//!
//! The files below `assets/` are served as they are: plain ES modules and one stylesheet, without a build step. This
//! crate refuses to read files, to speak HTTP and to know what the pages do; it answers which bytes belong to a URL
//! path and how to label them.
//!
//! Contract: **every URL that an embedded file refers to is answered by [`lookup`], and nothing else is.**
//!
//! ```
//! let page = viaduct_web::lookup("/").expect("the phone page");
//! assert_eq!(page.content_type, "text/html; charset=utf-8");
//! assert!(page.bytes.starts_with(b"<!doctype html>"));
//!
//! // The same mapping for files on disk, while editing them.
//! assert_eq!(viaduct_web::asset_path("/phone/app.js"), Some("phone/app.js"));
//! assert_eq!(viaduct_web::asset_path("/../Cargo.toml"), None);
//! assert_eq!(viaduct_web::content_type("phone/app.js"), "text/javascript; charset=utf-8");
//! ```

#[cfg(test)]
mod tests;

/// One embedded file and the HTTP header fields that go with it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Asset {
    /// Path below `assets/`, with forward slashes: `phone/index.html`.
    pub path: &'static str,
    /// The content.
    pub bytes: &'static [u8],
    /// Value of `Content-Type`.
    pub content_type: &'static str,
    /// Value of `ETag` (RFC 9110 section 8.8.3), quotes included; it changes with the content.
    pub etag: &'static str,
    /// Value of `Cache-Control`.
    pub cache: &'static str,
}

impl Asset {
    const fn new(path: &'static str, bytes: &'static [u8], etag: &'static str) -> Self {
        Self {
            path,
            bytes,
            content_type: content_type(path),
            etag,
            cache: cache_control(path),
        }
    }
}

static ASSETS: &[Asset] = include!(concat!(env!("OUT_DIR"), "/table.rs"));

/// All embedded files, sorted by path.
#[must_use]
pub fn assets() -> &'static [Asset] {
    ASSETS
}

/// The embedded file for a URL path (without query), such as `/` or `/phone/app.js`.
#[must_use]
pub fn lookup(url_path: &str) -> Option<&'static Asset> {
    let path = asset_path(url_path)?;
    ASSETS
        .binary_search_by(|asset| asset.path.cmp(path))
        .ok()
        .and_then(|index| ASSETS.get(index))
}

/// The path below `assets/` that a URL path (without query) names. The file need not exist.
///
/// Whoever serves a folder from disk joins the result to that folder: it is relative, consists of plain names, and
/// none of them is hidden or leads upwards. Escaped URL paths are not decoded; no asset has a name that needs it.
#[must_use]
pub fn asset_path(url_path: &str) -> Option<&str> {
    match url_path {
        "/" | "/phone" | "/phone/" => return Some("phone/index.html"),
        _ => {}
    }
    let path = url_path.strip_prefix('/')?;
    let plain = |name: &str| {
        !name.is_empty()
            && !name.starts_with('.')
            && name
                .bytes()
                .all(|byte| byte.is_ascii_alphanumeric() || b"-_.".contains(&byte))
    };
    path.split('/').all(plain).then_some(path)
}

/// `Content-Type` by the ending of a file name; `application/octet-stream` for endings that no page uses.
#[must_use]
pub const fn content_type(path: &str) -> &'static str {
    match ending(path.as_bytes()) {
        b"css" => "text/css; charset=utf-8",
        b"html" => "text/html; charset=utf-8",
        b"js" | b"mjs" => "text/javascript; charset=utf-8",
        b"json" => "application/json",
        b"png" => "image/png",
        b"svg" => "image/svg+xml",
        b"txt" => "text/plain; charset=utf-8",
        b"webmanifest" => "application/manifest+json",
        b"woff2" => "font/woff2",
        _ => "application/octet-stream",
    }
}

/// `Cache-Control` for an embedded file. Vendored files carry their version in the name and never change; all others
/// are asked for again with their entity tag, so that a new server is seen at once.
#[must_use]
pub const fn cache_control(path: &str) -> &'static str {
    if has_folder(path.as_bytes(), b"vendor") {
        "public, max-age=31536000, immutable"
    } else {
        "no-cache"
    }
}

/// Value of `Content-Security-Policy` for every page and asset: nothing from elsewhere, nothing inline, no HTML made
/// from text. `connect-src 'self'` includes the WebSocket of the same host and port.
#[must_use]
pub const fn content_security_policy() -> &'static str {
    "default-src 'none'; base-uri 'none'; connect-src 'self'; form-action 'none'; frame-ancestors 'none'; \
     img-src 'self'; media-src 'self'; require-trusted-types-for 'script'; script-src 'self'; style-src 'self'; \
     trusted-types 'none'"
}

/// Value of `Permissions-Policy`: the page itself may use the microphone and choose a speaker, frames may not, and
/// the other sensors stay off.
#[must_use]
pub const fn permissions_policy() -> &'static str {
    "microphone=(self), speaker-selection=(self), camera=(), geolocation=(), display-capture=()"
}

/// What follows the last dot of the last name; empty without a dot.
const fn ending(path: &[u8]) -> &[u8] {
    let mut at = path.len();
    while at > 0 {
        at -= 1;
        match path[at] {
            b'.' => return path.split_at(at + 1).1,
            b'/' => break,
            _ => {}
        }
    }
    &[]
}

/// Whether one of the folders of `path` has this name.
const fn has_folder(path: &[u8], name: &[u8]) -> bool {
    let mut start = 0;
    let mut at = 0;
    while at < path.len() {
        if path[at] == b'/' {
            if equal(path.split_at(at).0.split_at(start).1, name) {
                return true;
            }
            start = at + 1;
        }
        at += 1;
    }
    false
}

const fn equal(left: &[u8], right: &[u8]) -> bool {
    if left.len() != right.len() {
        return false;
    }
    let mut at = 0;
    while at < left.len() {
        if left[at] != right[at] {
            return false;
        }
        at += 1;
    }
    true
}

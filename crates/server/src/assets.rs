//! The pages and the browser module, embedded in the program.
//!
//! A release build carries the files and compresses each when it is first asked for; a debug build reads them from the
//! source tree on every request, so that a change of a page needs no rebuild. Modules go out without their comments.

mod lean;

use std::borrow::Cow;
use std::collections::HashMap;
use std::io::Write as _;
use std::sync::{Arc, Mutex, PoisonError};

use axum::body::{Body, Bytes};
use axum::extract::{Request, State};
use axum::response::Response;
use flate2::Compression;
use flate2::write::GzEncoder;
use http::header::{
    ACCEPT_ENCODING, ACCESS_CONTROL_ALLOW_ORIGIN, ALLOW, CACHE_CONTROL, CONTENT_ENCODING, CONTENT_SECURITY_POLICY,
    CONTENT_TYPE, ETAG, IF_NONE_MATCH, ORIGIN, REFERRER_POLICY, VARY, X_CONTENT_TYPE_OPTIONS,
};
use http::uri::Authority;
use http::{HeaderMap, HeaderName, HeaderValue, Method, StatusCode, Uri};
use rust_embed::{EmbeddedFile, RustEmbed};

use crate::http::sentence;
use crate::server::Shared;

/// The files of the web app, without what only its developers use.
#[derive(RustEmbed)]
#[folder = "../../web"]
#[exclude = "*.json"]
#[exclude = "*.md"]
#[exclude = "*.ts"]
#[exclude = "*.test.js"]
#[exclude = "node_modules/*"]
#[exclude = "*/node_modules/*"]
struct Web;

/// What a page may do: load and run what this server serves, connect to this server and, by WebRTC, to peers. No inline
/// script or style, no frame, no form, no plug-in. What it may connect to comes last, and is completed by [`content_policy`].
const CONTENT_POLICY: &str = "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self' data: blob:; \
    font-src 'self'; manifest-src 'self'; base-uri 'none'; form-action 'none'; frame-ancestors 'none'; connect-src 'self'";

/// Longest host that a policy names, and its port (RFC 1035 §2.3.4).
const HOST_BYTES: usize = 255 + 6;

/// Powers that no page of ours asks for.
const PERMISSIONS: HeaderValue = HeaderValue::from_static(
    "accelerometer=(), camera=(), display-capture=(), geolocation=(), gyroscope=(), magnetometer=(), microphone=(), \
     payment=(), serial=(), usb=()",
);

const PERMISSIONS_POLICY: HeaderName = HeaderName::from_static("permissions-policy");
const OPENER_POLICY: HeaderName = HeaderName::from_static("cross-origin-opener-policy");
const RESOURCE_POLICY: HeaderName = HeaderName::from_static("cross-origin-resource-policy");

const MISSING: &str = "<!doctype html><html lang=\"en\"><meta charset=\"utf-8\"><title>Not found</title>\
    <p>There is nothing at this address. <a href=\"/\">Start a room</a> instead.</p></html>\n";

/// How a body is packed.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
enum Encoding {
    Brotli,
    Gzip,
    Identity,
}

/// Files that were compressed once; at most two entries for each file there is.
#[derive(Debug, Default)]
pub(crate) struct PackedFiles(Mutex<HashMap<(String, Encoding), Bytes>>);

/// Answers every path that has no door: a file, or that there is none.
pub(crate) async fn serve(State(shared): State<Arc<Shared>>, request: Request) -> Response {
    if !matches!(*request.method(), Method::GET | Method::HEAD) {
        let mut response = sentence(StatusCode::METHOD_NOT_ALLOWED, "Files are read with GET.");
        response.headers_mut().insert(ALLOW, HeaderValue::from_static("GET, HEAD"));
        return response;
    }
    let path = request.uri().path().trim_start_matches('/');
    let path = match path {
        "diagnostics" => "diagnostics.html".to_owned(),
        _ if path.is_empty() || path.ends_with('/') => format!("{path}index.html"),
        _ => path.to_owned(),
    };
    let (Some(file), Some(kind)) = (Web::get(&path), content_type(&path)) else { return missing(&shared, &request) };
    let mut response = answer(&shared, &path, file, kind, request.headers()).await;
    if is_page(kind) {
        response.headers_mut().insert(CONTENT_SECURITY_POLICY, content_policy(&shared, &request));
    }
    if is_module(&path) {
        share(&shared, &request, response.headers_mut());
    }
    response
}

async fn answer(
    shared: &Arc<Shared>,
    path: &str,
    file: EmbeddedFile,
    kind: &'static str,
    asked: &HeaderMap,
) -> Response {
    let encoding = if is_text(kind) && !cfg!(debug_assertions) { best_encoding(asked) } else { Encoding::Identity };
    let digest = file.metadata.sha256_hash();
    let tag = entity_tag(&digest, encoding);
    let mut response = Response::new(Body::empty());
    if asked.get_all(IF_NONE_MATCH).iter().any(|known| mentions(known, &tag)) {
        *response.status_mut() = StatusCode::NOT_MODIFIED;
    } else {
        let body = shared.packed.get(path, file, encoding).await;
        *response.body_mut() = Body::from(body);
    }
    let headers = response.headers_mut();
    headers.insert(CONTENT_TYPE, HeaderValue::from_static(kind));
    headers.insert(CACHE_CONTROL, HeaderValue::from_static("no-cache"));
    headers.insert(VARY, HeaderValue::from_static("Accept-Encoding, Origin"));
    if let Ok(tag) = HeaderValue::try_from(tag) {
        headers.insert(ETAG, tag);
    }
    match encoding {
        Encoding::Brotli => drop(headers.insert(CONTENT_ENCODING, HeaderValue::from_static("br"))),
        Encoding::Gzip => drop(headers.insert(CONTENT_ENCODING, HeaderValue::from_static("gzip"))),
        Encoding::Identity => {}
    }
    secure(headers, kind);
    response
}

impl PackedFiles {
    async fn get(&self, path: &str, file: EmbeddedFile, encoding: Encoding) -> Bytes {
        let plain = match (file.data, std::path::Path::new(path).extension()) {
            (data, Some(extension)) if extension == "js" => {
                Bytes::from(lean::without_comments(&String::from_utf8_lossy(&data)))
            }
            (Cow::Borrowed(data), _) => Bytes::from_static(data),
            (Cow::Owned(data), _) => Bytes::from(data),
        };
        if encoding == Encoding::Identity {
            return plain;
        }
        let key = (path.to_owned(), encoding);
        if let Some(packed) = self.0.lock().unwrap_or_else(PoisonError::into_inner).get(&key) {
            return packed.clone();
        }
        // Tens of milliseconds, once for each file. Two clients that ask at once may both do it.
        let packing = tokio::task::spawn_blocking(move || Bytes::from(pack(&plain, encoding)));
        let Ok(packed) = packing.await else { return Bytes::new() };
        self.0.lock().unwrap_or_else(PoisonError::into_inner).insert(key, packed.clone());
        packed
    }
}

fn pack(plain: &[u8], encoding: Encoding) -> Vec<u8> {
    let mut out = Vec::new();
    // Writing to memory has no way to fail.
    let _ = match encoding {
        Encoding::Brotli => brotli::CompressorWriter::new(&mut out, 4096, 11, 22).write_all(plain),
        Encoding::Gzip => {
            let mut encoder = GzEncoder::new(&mut out, Compression::best());
            encoder.write_all(plain).and_then(|()| encoder.finish().map(drop))
        }
        Encoding::Identity => out.write_all(plain),
    };
    out
}

/// The smallest form that the client takes (RFC 9110 §12.5.3). Browsers ask for brotli only over TLS and on localhost.
fn best_encoding(asked: &HeaderMap) -> Encoding {
    let values = || asked.get_all(ACCEPT_ENCODING).iter().filter_map(|value| value.to_str().ok());
    let takes = |name: &str| {
        values().flat_map(|value| value.split(',')).any(|item| {
            let (coding, quality) = item.split_once(';').unwrap_or((item, ""));
            let refused = quality.trim().strip_prefix("q=").is_some_and(|q| q.parse::<f32>().is_ok_and(|q| q <= 0.0));
            coding.trim().eq_ignore_ascii_case(name) && !refused
        })
    };
    match () {
        () if takes("br") => Encoding::Brotli,
        () if takes("gzip") => Encoding::Gzip,
        () => Encoding::Identity,
    }
}

/// Each form has its own strong tag (RFC 9110 §8.8.3.3).
fn entity_tag(digest: &[u8; 32], encoding: Encoding) -> String {
    let mut tag = String::from("\"");
    for byte in &digest[..12] {
        tag.push_str(&format!("{byte:02x}"));
    }
    tag.push_str(match encoding {
        Encoding::Brotli => "-br\"",
        Encoding::Gzip => "-gz\"",
        Encoding::Identity => "\"",
    });
    tag
}

fn mentions(known: &HeaderValue, tag: &str) -> bool {
    let Ok(known) = known.to_str() else { return false };
    known.split(',').map(str::trim).any(|known| known == "*" || known.strip_prefix("W/").unwrap_or(known) == tag)
}

fn content_type(path: &str) -> Option<&'static str> {
    let (_, extension) = path.rsplit_once('.')?;
    Some(match extension {
        "html" => "text/html; charset=utf-8",
        "js" | "mjs" => "text/javascript; charset=utf-8",
        "css" => "text/css; charset=utf-8",
        "svg" => "image/svg+xml",
        "png" => "image/png",
        "ico" => "image/x-icon",
        "txt" => "text/plain; charset=utf-8",
        "wasm" => "application/wasm",
        "woff2" => "font/woff2",
        "webmanifest" => "application/manifest+json",
        _ => return None,
    })
}

/// Whether compression is worth while.
fn is_text(kind: &str) -> bool {
    kind.starts_with("text/") || matches!(kind, "image/svg+xml" | "application/wasm" | "application/manifest+json")
}

/// Whether pages of other sites import this file: the browser module and its parts.
fn is_module(path: &str) -> bool {
    path == "switchboard.js" || path.starts_with("switchboard/")
}

/// Lets pages of the listed origins import a module.
fn share(shared: &Shared, asked: &Request, headers: &mut HeaderMap) {
    headers.insert(RESOURCE_POLICY, HeaderValue::from_static("cross-origin"));
    if let Some(origin) = asked.headers().get(ORIGIN)
        && shared.origins.admits(asked.headers(), asked.extensions())
    {
        headers.insert(ACCESS_CONTROL_ALLOW_ORIGIN, origin.clone());
    }
}

/// Whether a browser shows this by itself, so that its scripts would run.
fn is_page(kind: &str) -> bool {
    kind.starts_with("text/html") || kind == "image/svg+xml"
}

/// The policy for a page under the names by which people come. `'self'` is to cover WebSockets (CSP 3 §6.7.2.8), but browsers
/// that do not know that are in use, so the hosts are named too.
fn content_policy(shared: &Shared, asked: &Request) -> HeaderValue {
    let public = shared.config.public_url.as_ref().and_then(|url| url.parse::<Uri>().ok());
    let public = public.as_ref().and_then(Uri::authority).map(Authority::as_str);
    let mut hosts: Vec<&str> =
        public.into_iter().chain(shared.origins.hosts(asked.headers(), asked.extensions())).collect();
    hosts.retain(|host| is_plain(host));
    hosts.dedup();
    let named: String = hosts.iter().map(|host| format!(" ws://{host} wss://{host}")).collect();
    // Plain hosts are valid in a header.
    HeaderValue::try_from(format!("{CONTENT_POLICY}{named}")).unwrap_or(HeaderValue::from_static("default-src 'none'"))
}

/// Whether this is a name or an IPv4 address, perhaps with a port: what can stand in a policy and be nothing else there. IPv6
/// addresses cannot (CSP 3 §2.3.1).
fn is_plain(host: &str) -> bool {
    let (name, port) = host.split_once(':').unwrap_or((host, "0"));
    let is_name = |byte: u8| byte.is_ascii_alphanumeric() || matches!(byte, b'.' | b'-');
    let is_port = (1..=5).contains(&port.len()) && port.bytes().all(|byte| byte.is_ascii_digit());
    host.len() <= HOST_BYTES && !name.is_empty() && name.bytes().all(is_name) && is_port
}

fn secure(headers: &mut HeaderMap, kind: &str) {
    headers.insert(X_CONTENT_TYPE_OPTIONS, HeaderValue::from_static("nosniff"));
    headers.insert(REFERRER_POLICY, HeaderValue::from_static("no-referrer"));
    headers.insert(RESOURCE_POLICY, HeaderValue::from_static("same-origin"));
    if is_page(kind) {
        headers.insert(PERMISSIONS_POLICY, PERMISSIONS);
        headers.insert(OPENER_POLICY, HeaderValue::from_static("same-origin"));
    }
}

fn missing(shared: &Shared, asked: &Request) -> Response {
    let mut response = Response::new(Body::from(MISSING));
    *response.status_mut() = StatusCode::NOT_FOUND;
    let kind = "text/html; charset=utf-8";
    response.headers_mut().insert(CONTENT_TYPE, HeaderValue::from_static(kind));
    secure(response.headers_mut(), kind);
    response.headers_mut().insert(CONTENT_SECURITY_POLICY, content_policy(shared, asked));
    response
}

#[cfg(test)]
mod tests {
    use super::*;

    fn encoding(accept: &'static str) -> Encoding {
        best_encoding(&HeaderMap::from_iter([(ACCEPT_ENCODING, HeaderValue::from_static(accept))]))
    }

    #[test]
    fn chooses_the_smallest_encoding_that_the_client_takes() {
        assert_eq!(encoding("gzip, deflate, br, zstd"), Encoding::Brotli);
        assert_eq!(encoding("gzip, br;q=0"), Encoding::Gzip);
        assert_eq!(encoding("deflate"), Encoding::Identity);
        assert_eq!(best_encoding(&HeaderMap::new()), Encoding::Identity);
    }

    #[test]
    fn a_policy_names_what_can_be_nothing_but_a_host() {
        for plain in ["example.org", "EXAMPLE.org:8443", "192.168.1.7:3000", "localhost", "a-b.c"] {
            assert!(is_plain(plain), "{plain}");
        }
        let long = "a".repeat(HOST_BYTES + 1);
        for other in [
            "",
            "*",
            "*.org",
            "a b",
            "a;script-src *",
            "a,b",
            "a/b",
            "[::1]:3000",
            "a:",
            "a:1:2",
            "a:x",
            ":1",
            "'self'",
            &long,
        ] {
            assert!(!is_plain(other), "{other:?}");
        }
    }

    #[test]
    fn recognises_its_tags() {
        let tag = entity_tag(&[0xab; 32], Encoding::Gzip);
        assert_eq!(tag, "\"abababababababababababab-gz\"");
        assert!(mentions(&HeaderValue::from_static("\"x\", W/\"abababababababababababab-gz\""), &tag));
        assert!(mentions(&HeaderValue::from_static("*"), &tag));
        assert!(!mentions(&HeaderValue::from_static("\"abababababababababababab\""), &tag));
    }

    #[test]
    fn embeds_pages_and_leaves_out_what_developers_use() {
        assert!(Web::get("index.html").is_some());
        assert!(Web::get("switchboard.js").is_some());
        for path in Web::iter() {
            assert!(content_type(&path).is_some(), "no content type for {path}");
        }
    }

    #[test]
    fn packs_to_something_smaller() {
        let plain = "switchboard ".repeat(100);
        for encoding in [Encoding::Brotli, Encoding::Gzip] {
            assert!(pack(plain.as_bytes(), encoding).len() < plain.len() / 2, "{encoding:?}");
        }
    }
}

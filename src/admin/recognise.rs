//! Whether a request is for the admin route, and what it wants there.

use super::access::auth;
use super::dialects::url::path_of;
use super::dialects::{cloudflare, fastly, larder, refused, souin, varnish};
use super::routes::{self, Found, Route};
use super::{AdminResponse, Caller, Dialect, Problem};
use crate::config::{AdminConfig, Strangers};
use crate::http::RequestHead;

/// Whether a request is for the admin route, as far as its head tells.
#[derive(Clone, PartialEq, Debug)]
pub enum Recognised {
    /// A request like any other.
    NotForUs,
    /// A request with one of the purging methods but without any token: goes to the origin like any other, or is
    /// answered with 403 where the configuration says so.
    Stranger,
    /// A request for the route with a token that is not known, and the answer to it.
    Unauthorised(AdminResponse),
    /// It is, and this is the answer whatever its body says.
    Respond(AdminResponse),
    /// It is: collect the body, at most `body_bytes_max` of it, and ask [`Authorised::command`].
    Authorised(Authorised),
}

/// A request for the route whose caller is known.
#[derive(Clone, PartialEq, Debug)]
pub struct Authorised {
    /// Who sends it.
    pub caller: Caller,
    /// What it is for.
    pub route: &'static Route,
}

/// Whether a request is for the admin route. Looks for a known token before anything else.
#[must_use]
pub fn recognise(request: &RequestHead, config: &AdminConfig) -> Recognised {
    let Some(dialect) = dialect(request, config) else { return Recognised::NotForUs };
    let Some(caller) = auth::caller(request, config) else { return unknown(request, config) };
    match route(dialect, request, config) {
        Ok(Found::Route(route)) => Recognised::Authorised(Authorised { caller, route }),
        Ok(Found::Options(allow)) => {
            Recognised::Respond(AdminResponse::empty(204).with("allow", format!("{allow}, OPTIONS")))
        }
        Err(problem) => Recognised::Respond(refused(dialect, &problem)),
    }
}

/// The route that a command is on. Its head is looked at before its body comes: its method, and whether a body can be
/// read.
fn route(dialect: Dialect, request: &RequestHead, config: &AdminConfig) -> Result<Found, Problem> {
    let found = routes::find(dialect, request.method(), path_of(request)?, &config.path)?;
    if request.has_body {
        readable(request)?;
    }
    Ok(found)
}

/// What a request is whose caller is not known.
fn unknown(request: &RequestHead, config: &AdminConfig) -> Recognised {
    let is_method = config.methods && varnish::speaks(request.method());
    if !auth::has_credentials(request) {
        return if is_method { Recognised::Stranger } else { Recognised::NotForUs };
    }
    let dialect = match dialect(request, config) {
        None => return Recognised::NotForUs,
        Some(_) if is_method && config.strangers == Strangers::Pass => return Recognised::Stranger,
        // The same dialect on every path, so that the answer does not reveal the path of the admin route.
        Some(_) if is_method && !request.fields.contains("fastly-key") => Dialect::Varnish,
        Some(_) if is_method => Dialect::Fastly,
        Some(dialect) => dialect,
    };
    Recognised::Unauthorised(refused(dialect, &Problem::unauthorised()))
}

/// What becomes of a request with a known token whose caller is not let in ([`admits`]): it does not reach the origin,
/// token and all, and finds nothing here.
#[must_use]
pub fn turned_away(request: &RequestHead, config: &AdminConfig) -> AdminResponse {
    if config.methods && varnish::speaks(request.method()) {
        forbidden()
    } else {
        AdminResponse::text(404, "Not Found")
    }
}

/// The answer to a stranger's purge, unless the configuration lets it pass.
#[must_use]
pub fn forbidden() -> AdminResponse {
    AdminResponse::text(403, "Forbidden")
}

/// The dialect of a request, with or without a token.
pub(super) fn dialect(request: &RequestHead, config: &AdminConfig) -> Option<Dialect> {
    if config.tokens.is_empty() {
        return None;
    }
    let path = request.path();
    if larder::speaks(path, config) {
        Some(Dialect::Own)
    } else if souin::speaks(path) {
        Some(Dialect::Souin)
    } else if cloudflare::speaks(path) {
        Some(Dialect::Cloudflare)
    } else if fastly::speaks(request) && is_fastlys(request) && !is_for_varnish(request, config) {
        Some(Dialect::Fastly)
    } else {
        (config.methods && varnish::speaks(request.method())).then_some(Dialect::Varnish)
    }
}

/// Whether a `PURGE` with Fastly's token is not in Fastly's words.
fn is_for_varnish(request: &RequestHead, config: &AdminConfig) -> bool {
    config.methods && request.method() == b"PURGE" && varnish::selects(request).unwrap_or(true)
}

/// Whether a request has one of Fastly's methods, or else one of its paths, and is to be told its methods.
fn is_fastlys(request: &RequestHead) -> bool {
    matches!(request.method(), b"PURGE" | b"POST" | b"PUT")
        || path_of(request).is_ok_and(|path| routes::knows(Dialect::Fastly, path))
}

/// Whether a body can be read when it has come, and will come.
fn readable(request: &RequestHead) -> Result<(), Problem> {
    let text = |name: &str| {
        let value = request.fields.combined(name).unwrap_or_default();
        String::from_utf8_lossy(&value).trim().to_ascii_lowercase()
    };
    let coding = text("content-encoding");
    if !matches!(&coding[..], "" | "identity") {
        return Err(Problem::new(
            415,
            format!("expected a body without Content-Encoding, found {}", shortened(&coding)),
        ));
    }
    let kind = text("content-type");
    if kind.starts_with("multipart/") || kind.contains("xml") {
        return Err(Problem::new(415, format!("expected a body of JSON, found {}", shortened(&kind))));
    }
    // No 100 would be sent while the command is held, and the client might wait for ever. Clients that meet 417 send
    // the request again without (RFC 9110 §10.1.1).
    if text("expect") == "100-continue" {
        return Err(Problem::new(417, "send the command without Expect: 100-continue"));
    }
    Ok(())
}

fn shortened(text: &str) -> String {
    text.chars().take(40).collect()
}

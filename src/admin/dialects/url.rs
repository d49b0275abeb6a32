//! URLs, paths and queries as callers write them.

use super::reader::Reader;
use crate::admin::Problem;
use crate::http::{RequestHead, percent, uri};
use crate::invalidation::{Selector, Term};
use crate::json::shortened;

/// The most query parameters that are read. Beyond it the request is refused with a 400.
const PARAMETERS_MAX: usize = 32;

impl Reader<'_> {
    /// The canonical URI of an absolute URL; without a scheme it is taken for `http`.
    ///
    /// # Errors
    /// When it is not one; the message says what was expected.
    pub fn uri(&self, url: &str) -> Result<Vec<u8>, String> {
        let absolute = match uri::split_scheme(url) {
            _ if url.starts_with('/') => return Err(expected(url)),
            (Some(scheme), _) if uri::is_http(scheme) => (self.canonical)(url),
            (Some(_), _) => return Err(expected(url)),
            (None, _) => (self.canonical)(&format!("http://{url}")),
        };
        absolute.map_err(|why| format!("{}: {why}", expected(url)))
    }

    /// A selector, and those that cover what a URL in it may come to.
    #[must_use]
    pub fn all_forms(&self, selector: Selector) -> Vec<Selector> {
        all_forms(selector, self.forms)
    }

    /// One URI with any query.
    ///
    /// # Errors
    /// When it is not an absolute URL.
    pub fn any_query(&self, url: &str) -> Result<Selector, String> {
        let mut uri = self.uri(url)?;
        if let Some(query) = uri.iter().position(|b| *b == b'?') {
            uri.truncate(query);
        }
        Ok(Selector::UriAnyQuery(uri))
    }

    /// A path and what is below it.
    ///
    /// # Errors
    /// When it is not an absolute URL, or one with a query.
    pub fn prefix(&self, url: &str) -> Result<Selector, String> {
        if url.contains(['?', '#']) {
            return Err(format!(
                "{:?} is not a URL without a query; expected one such as \"https://host/path\"",
                shortened(url)
            ));
        }
        self.uri(url).map(Selector::Prefix)
    }

    /// A host: with a port just that one, without a port all of them.
    ///
    /// # Errors
    /// When it is not a host.
    pub fn host(&self, host: &str) -> Result<Selector, String> {
        let wrong = || wrong_host(host);
        if !may_be_authority(host) {
            return Err(wrong());
        }
        let has_port = uri::hostname(host.as_bytes()).len() < host.len();
        // So that the default port of either scheme is dropped as it is from the URIs.
        let scheme = if host.ends_with(":443") { "https" } else { "http" };
        let mut uri = (self.canonical)(&format!("{scheme}://{host}/")).map_err(|_| wrong())?;
        match uri.pop() {
            Some(b'/') if has_port => Ok(Selector::Host(uri)),
            Some(b'/') => Ok(Selector::Hostname(uri)),
            _ => Err(wrong()),
        }
    }

    /// The canonical URI of the target of a request.
    ///
    /// # Errors
    /// When the target is not one for the cache.
    pub fn target(&self, request: &RequestHead, path: &str) -> Result<Vec<u8>, Problem> {
        let text = |bytes| core::str::from_utf8(bytes).map_err(|_| Problem::bad("the target is not UTF-8"));
        // Clients of proxies, as Varnish's are, put the URL whole into the request line.
        if is_absolute(path) {
            return self.uri(path).map_err(Problem::bad);
        }
        let (scheme, authority) = (text(request.scheme())?, text(request.authority())?);
        if !path.starts_with('/') || authority.contains(['/', '?', '#', '@']) {
            return Err(Problem::bad(
                "expected a path, or an absolute URL with http or https, as the target",
            ));
        }
        (self.canonical)(&format!("{scheme}://{authority}{path}")).map_err(Problem::bad)
    }
}

/// A selector, and those with another form of the URL in it.
pub fn all_forms(selector: Selector, forms: &dyn Fn(&[u8]) -> Vec<Selector>) -> Vec<Selector> {
    let more = match &selector {
        Selector::Uri(uri) => forms(uri),
        Selector::And(terms) => {
            let url = |(at, term): (usize, &Term)| match &term.selector {
                Selector::Uri(uri) if !term.negated => Some((at, forms(uri))),
                _ => None,
            };
            let (at, forms) = terms.iter().enumerate().find_map(url).unwrap_or_default();
            let with = |form| {
                let mut terms = terms.clone();
                if let Some(term) = terms.get_mut(at) {
                    term.selector = form;
                }
                Selector::And(terms)
            };
            forms.into_iter().map(with).collect()
        }
        _ => Vec::new(),
    };
    core::iter::once(selector).chain(more).collect()
}

fn expected(url: &str) -> String {
    format!("{:?} is not an absolute URL; expected one such as \"https://host/path\"", shortened(url))
}

/// Whether a URL has one of the schemes of HTTP before it.
pub fn is_absolute(url: &str) -> bool {
    uri::split_scheme(url).0.is_some_and(uri::is_http)
}

/// Whether a text has nothing in it that no host has, or that would be taken for more than that.
pub fn may_be_authority(text: &str) -> bool {
    !text.contains(['/', '?', '#', '@', ' ', '*'])
}

/// The error about what is no host.
pub fn wrong_host(host: &str) -> String {
    format!("{:?} is not a host; expected a name, with or without a port", shortened(host))
}

/// Path and query of a request as text.
///
/// # Errors
/// When they are not UTF-8.
pub fn path_of(request: &RequestHead) -> Result<&str, Problem> {
    core::str::from_utf8(request.path()).map_err(|_| Problem::bad("the path is not UTF-8"))
}

/// The path without its query.
pub fn bare_path(path: &str) -> &str {
    path.split('?').next().unwrap_or_default()
}

/// A text in which `%` and two hexadecimal digits stand for a byte.
///
/// # Errors
/// When they do not, or the result is not UTF-8.
pub fn percent_decoded(text: &str) -> Result<String, Problem> {
    unescaped(text, false).map_err(Problem::bad)
}

/// A text in which `%` and two hexadecimal digits stand for a byte, and in forms `+` for a blank.
///
/// # Errors
/// When they do not, or the result is not UTF-8; in words.
pub fn unescaped(text: &str, form: bool) -> Result<String, String> {
    let bytes = text.as_bytes();
    let decoded =
        if form { percent::form_decoded(bytes).collect() } else { percent::decoded(bytes).collect() };
    match String::from_utf8(decoded) {
        Ok(decoded) if percent::is_well_formed(bytes) => Ok(decoded),
        _ => Err(format!("{:?} is not percent-encoded UTF-8", shortened(text))),
    }
}

/// The parameters of the query of a path as they are written.
///
/// # Errors
/// When there are too many.
pub fn raw_parameters(path: &str) -> Result<Vec<(&str, &str)>, Problem> {
    let query = path.split_once('?').map_or("", |(_, query)| query);
    let mut found = Vec::new();
    for parameter in query.split('&').filter(|p| !p.is_empty()) {
        if found.len() >= PARAMETERS_MAX {
            return Err(Problem::bad(format!("expected at most {PARAMETERS_MAX} query parameters")));
        }
        found.push(parameter.split_once('=').unwrap_or((parameter, "")));
    }
    Ok(found)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::admin::fixture;
    #[cfg(all(target_arch = "wasm32", target_os = "unknown"))]
    use wasm_bindgen_test::wasm_bindgen_test as test;

    #[test]
    fn urls_become_canonical_uris() {
        fixture::with_reader(|reader| {
            let cases = [
                ("https://Shop.Example:443/a?b=c", Some("shop.example/a?b=c")),
                ("shop.example/a", Some("shop.example/a")),
                ("shop.example", Some("shop.example/")),
                ("HTTPS://shop.example:443/a", Some("shop.example/a")),
                ("shop.example?u=http://x/", Some("shop.example/?u=http://x/")),
                ("shop.example/a?u=http://x/", Some("shop.example/a?u=http://x/")),
                ("/a", None),
                ("ftp://shop.example/", None),
                ("", None),
            ];
            for (url, expected) in cases {
                let uri = reader.uri(url).ok();
                assert_eq!(uri.as_deref(), expected.map(str::as_bytes), "{url}");
            }
        });
    }

    #[test]
    fn a_url_in_a_selector_stands_for_all_that_it_may_come_to() {
        let uri = |text: &str| Selector::Uri(text.as_bytes().to_vec());
        let forms = |_: &[u8]| vec![uri("h/a?b"), uri("h/a")];
        let all = |selector| all_forms(selector, &forms);
        assert_eq!(all(uri("h/a?b&c")), [uri("h/a?b&c"), uri("h/a?b"), uri("h/a")]);
        let and = |selector, negated| {
            Selector::And(vec![Term::is(Selector::Status(200)), Term { negated, selector }])
        };
        assert_eq!(all(and(uri("h/x"), false)), ["h/x", "h/a?b", "h/a"].map(|text| and(uri(text), false)));
        assert_eq!(all(and(uri("h/x"), true)), [and(uri("h/x"), true)]);
        assert_eq!(all(Selector::All), [Selector::All]);
    }

    #[test]
    fn a_host_without_a_port_means_all_ports() {
        fixture::with_reader(|reader| {
            let cases = [
                ("Shop.Example", Some(Selector::Hostname(b"shop.example".to_vec()))),
                ("shop.example:8080", Some(Selector::Host(b"shop.example:8080".to_vec()))),
                ("shop.example:443", Some(Selector::Host(b"shop.example".to_vec()))),
                ("shop.example/a", None),
                ("user@shop.example", None),
                ("*.example", None),
            ];
            for (host, expected) in cases {
                assert_eq!(reader.host(host).ok(), expected, "{host}");
            }
        });
    }

    #[test]
    fn queries_are_read_as_forms() {
        assert_eq!(raw_parameters("/x?a=b%26&&c=d=e&f"), Ok(vec![("a", "b%26"), ("c", "d=e"), ("f", "")]));
        assert_eq!(raw_parameters("/x"), Ok(vec![]));
        assert!(raw_parameters(&format!("/x?{}", "a&".repeat(99))).is_err());
        assert_eq!(unescaped("user%3A42+%C3%A9", true).as_deref(), Ok("user:42 é"));
        assert_eq!(unescaped("a+b", false).as_deref(), Ok("a+b"));
        for bad in ["%", "%4", "%zz", "%ff", "%+1"] {
            assert!(unescaped(bad, true).is_err(), "{bad}");
        }
    }
}

//! Target URIs as bytes: canonical hosts, references against a base (RFC 3986 §5, RFC 9110 §4.2.3).

/// Adds the host in lower case and, unless it is the scheme's default, the port.
pub fn push_host(out: &mut Vec<u8>, scheme: &[u8], authority: &[u8]) {
    let (host, port) = host_and_port(authority);
    push_lower_case(out, host);
    if let Some(port) = port
        && !port.is_empty()
        && Some(port) != default_port(scheme)
    {
        out.push(b':');
        out.extend_from_slice(port);
    }
}

/// Adds bytes, letters in lower case.
pub(super) fn push_lower_case(out: &mut Vec<u8>, bytes: &[u8]) {
    let at = out.len();
    out.extend_from_slice(bytes);
    if let Some(bytes) = out.get_mut(at..) {
        bytes.make_ascii_lowercase();
    }
}

/// The scheme of a URL, where it has one, and what comes behind its `://`; one in a path or a query is none.
#[must_use]
pub fn split_scheme(url: &str) -> (Option<&str>, &str) {
    match url.split_once("://") {
        Some((scheme, rest)) if !scheme.contains(['/', '?', '#']) => (Some(scheme), rest),
        _ => (None, url),
    }
}

/// Whether a scheme is `http` or `https`, in either case (RFC 3986 §3.1).
#[must_use]
pub fn is_http(scheme: &str) -> bool {
    default_port(scheme.as_bytes()).is_some()
}

/// The authority of a URL without its scheme, and what comes behind it.
#[must_use]
pub fn split_authority(rest: &str) -> (&str, &str) {
    let end = rest.find(['/', '?', '#']).unwrap_or(rest.len());
    rest.split_at_checked(end).unwrap_or((rest, ""))
}

/// The authority of a canonical URI, `host[:port]/path?query`.
#[must_use]
pub fn authority(canonical: &[u8]) -> &[u8] {
    canonical.split(|b| *b == b'/').next().unwrap_or_default()
}

/// The host of an authority: what comes before its port.
#[must_use]
pub fn hostname(authority: &[u8]) -> &[u8] {
    let end = authority.iter().rposition(|b| matches!(b, b':' | b']'));
    match end.and_then(|at| authority.split_at_checked(at)) {
        // Not the colons within an IPv6 address, in brackets or without.
        Some((name, [b':', ..])) if name.ends_with(b"]") || !name.contains(&b':') => name,
        _ => authority,
    }
}

/// The host and, where it is written, the port without leading zeros.
#[must_use]
pub fn host_and_port(authority: &[u8]) -> (&[u8], Option<&[u8]>) {
    let host = hostname(authority);
    let Some(port) = authority.get(host.len() + 1..) else { return (authority, None) };
    if !port.iter().all(u8::is_ascii_digit) {
        return (authority, None);
    }
    let zeros = port.iter().take_while(|b| **b == b'0').count().min(port.len().saturating_sub(1));
    (host, port.get(zeros..))
}

/// The default port of a scheme.
#[must_use]
pub fn default_port(scheme: &[u8]) -> Option<&'static [u8]> {
    if scheme.eq_ignore_ascii_case(b"http") {
        Some(b"80")
    } else if scheme.eq_ignore_ascii_case(b"https") {
        Some(b"443")
    } else {
        None
    }
}

/// Whether two pairs of scheme and authority are the same origin (RFC 9110 §4.3.1).
#[must_use]
pub fn same_origin(a: (&[u8], &[u8]), b: (&[u8], &[u8])) -> bool {
    let canonical = |(scheme, authority): (&[u8], &[u8])| {
        let mut host = Vec::with_capacity(authority.len());
        push_host(&mut host, scheme, authority);
        host
    };
    a.0.eq_ignore_ascii_case(b.0) && canonical(a) == canonical(b)
}

/// A reference resolved against the target URI of a request: its scheme, authority, and path with query.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Resolved {
    /// The scheme, as written.
    pub scheme: Vec<u8>,
    /// The authority, as written.
    pub authority: Vec<u8>,
    /// The path and query, without dot segments and fragment.
    pub target: Vec<u8>,
}

/// Resolves a reference as `Location` carries it (RFC 3986 §5.2); none when it cannot name an HTTP resource.
#[must_use]
pub fn resolve(scheme: &[u8], authority: &[u8], base: &[u8], reference: &[u8]) -> Option<Resolved> {
    let reference = reference.trim_ascii().split(|b| *b == b'#').next()?;
    let (scheme, rest) = match scheme_of(reference) {
        Some((scheme, rest)) => (scheme, rest),
        None => (scheme, reference),
    };
    if let Some(rest) = rest.strip_prefix(b"//") {
        let end = rest.iter().position(|b| matches!(b, b'/' | b'?')).unwrap_or(rest.len());
        let (authority, path) = rest.split_at(end);
        let target = rooted(path);
        return (!authority.is_empty()).then(|| Resolved {
            scheme: scheme.to_vec(),
            authority: authority.to_vec(),
            target,
        });
    }
    if rest.len() != reference.len() {
        return None; // `http:path` and `mailto:` name nothing here.
    }
    Some(Resolved { scheme: scheme.to_vec(), authority: authority.to_vec(), target: merged(base, rest) })
}

/// The path and query, with a `/` where the path is empty, and without dot segments.
fn rooted(target: &[u8]) -> Vec<u8> {
    let (path, query) = split_query(target);
    without_dots(if path.is_empty() { b"/" } else { path }, query)
}

fn merged(base: &[u8], reference: &[u8]) -> Vec<u8> {
    let (base_path, base_query) = split_query(base);
    let (path, query) = split_query(reference);
    if path.is_empty() {
        return without_dots(base_path, query.or(base_query));
    }
    if path.starts_with(b"/") {
        return without_dots(path, query);
    }
    let directory = base_path.iter().rposition(|b| *b == b'/').map_or(0, |at| at + 1);
    let mut whole = base_path.get(..directory).unwrap_or_default().to_vec();
    whole.extend_from_slice(path);
    without_dots(&whole, query)
}

/// A path and its query: what comes before and after the first `?`.
#[must_use]
pub fn split_query(target: &[u8]) -> (&[u8], Option<&[u8]>) {
    match target.iter().position(|b| *b == b'?') {
        Some(at) => (target.get(..at).unwrap_or_default(), target.get(at + 1..)),
        None => (target, None),
    }
}

fn without_dots(path: &[u8], query: Option<&[u8]>) -> Vec<u8> {
    let mut out: Vec<u8> = Vec::with_capacity(path.len() + query.map_or(0, |q| q.len() + 1) + 1);
    let segments = path.strip_prefix(b"/").unwrap_or(path).split(|b| *b == b'/');
    let mut directory = false;
    for segment in segments {
        directory = matches!(segment, b"." | b"..");
        match segment {
            b"." => {}
            b".." => out.truncate(out.iter().rposition(|b| *b == b'/').unwrap_or(0)),
            _ => {
                out.push(b'/');
                out.extend_from_slice(segment);
            }
        }
    }
    if directory || out.is_empty() {
        out.push(b'/');
    }
    if let Some(query) = query {
        out.push(b'?');
        out.extend_from_slice(query);
    }
    out
}

fn scheme_of(reference: &[u8]) -> Option<(&[u8], &[u8])> {
    let colon = reference.iter().position(|b| matches!(b, b':' | b'/' | b'?'))?;
    let (scheme, rest) = reference.split_at(colon);
    let letter = scheme.first().is_some_and(u8::is_ascii_alphabetic);
    let valid = scheme.iter().all(|b| b.is_ascii_alphanumeric() || b"+-.".contains(b));
    (letter && valid && rest.starts_with(b":")).then(|| (scheme, rest.get(1..).unwrap_or_default()))
}

#[cfg(test)]
mod tests {
    use super::*;
    #[cfg(all(target_arch = "wasm32", target_os = "unknown"))]
    use wasm_bindgen_test::wasm_bindgen_test as test;

    #[test]
    fn hosts_are_in_lower_case_without_their_default_port() {
        for (scheme, authority, expected) in [
            ("http", "Example.COM", "example.com"),
            ("http", "a:80", "a"),
            ("http", "a:0080", "a"),
            ("http", "a:", "a"),
            ("http", "a:443", "a:443"),
            ("https", "a:443", "a"),
            ("http", "[::1]", "[::1]"),
            ("http", "[::1]:80", "[::1]"),
            ("http", "[::1]:81", "[::1]:81"),
            ("http", "a:0", "a:0"),
        ] {
            let mut out = Vec::new();
            push_host(&mut out, scheme.as_bytes(), authority.as_bytes());
            assert_eq!(String::from_utf8(out).unwrap(), expected, "{scheme} {authority}");
        }
    }

    #[test]
    fn a_url_is_split_where_its_scheme_and_its_authority_end() {
        for (url, scheme, authority, rest) in [
            ("http://h/a", Some("http"), "h", "/a"),
            ("HTTPS://h:1?a", Some("HTTPS"), "h:1", "?a"),
            ("h/a", None, "h", "/a"),
            ("h", None, "h", ""),
            ("h/a?u=http://x/", None, "h", "/a?u=http://x/"),
            ("h?u=http://x/", None, "h", "?u=http://x/"),
            ("h#http://x/", None, "h", "#http://x/"),
            ("http://h/a?u=http://x/", Some("http"), "h", "/a?u=http://x/"),
            ("/http://x", None, "", "/http://x"),
            ("", None, "", ""),
        ] {
            let (found, behind) = split_scheme(url);
            assert_eq!((found, split_authority(behind)), (scheme, (authority, rest)), "{url}");
        }
        assert!(is_http("http") && is_http("HTTPS") && !is_http("ftp") && !is_http(""));
        assert_eq!((authority(b"h:1/a/b"), authority(b"h")), (&b"h:1"[..], &b"h"[..]));
    }

    #[test]
    fn a_host_name_ends_before_its_port() {
        for (authority, host, port) in [
            ("a.example", "a.example", None),
            ("a.example:8080", "a.example", Some("8080")),
            ("a.example:0080", "a.example", Some("80")),
            ("a.example:", "a.example", Some("")),
            ("[::1]", "[::1]", None),
            ("[::1]:8080", "[::1]", Some("8080")),
            ("::1", "::1", None),
            ("", "", None),
        ] {
            assert_eq!(hostname(authority.as_bytes()), host.as_bytes(), "{authority}");
            let found = host_and_port(authority.as_bytes());
            assert_eq!(found, (host.as_bytes(), port.map(str::as_bytes)), "{authority}");
        }
        // No port is a port by its digits alone.
        assert_eq!(host_and_port(b"a:b"), (&b"a:b"[..], None));
    }

    #[test]
    fn references_resolve_as_rfc_3986_has_it() {
        for (reference, expected) in [
            ("", "http://h/b/c/d?q"),
            ("?y", "http://h/b/c/d?y"),
            ("g", "http://h/b/c/g"),
            ("./g?y", "http://h/b/c/g?y"),
            ("g/", "http://h/b/c/g/"),
            ("/g", "http://h/g"),
            ("..", "http://h/b/"),
            ("../../../g", "http://h/g"),
            ("/./g/../x", "http://h/x"),
            (".", "http://h/b/c/"),
            ("//g", "http://g/"),
            ("//g?y", "http://g/?y"),
            ("https://x:1/y#z", "https://x:1/y"),
            ("g#s", "http://h/b/c/g"),
            ("g?y/./x", "http://h/b/c/g?y/./x"),
            ("/a:b", "http://h/a:b"),
        ] {
            let r = resolve(b"http", b"h", b"/b/c/d?q", reference.as_bytes()).unwrap();
            let text = [&r.scheme[..], b"://", &r.authority, &r.target].concat();
            assert_eq!(String::from_utf8(text).unwrap(), expected, "{reference}");
        }
        for reference in ["http:g", "mailto:a@b", "http:///x", "//"] {
            assert_eq!(resolve(b"http", b"h", b"/", reference.as_bytes()), None, "{reference}");
        }
    }

    #[test]
    fn origins_compare_by_scheme_host_and_port() {
        let same = |a: (&str, &str), b: (&str, &str)| {
            same_origin((a.0.as_bytes(), a.1.as_bytes()), (b.0.as_bytes(), b.1.as_bytes()))
        };
        assert!(same(("http", "A:80"), ("HTTP", "a")));
        assert!(!same(("http", "a"), ("https", "a")));
        assert!(!same(("http", "a"), ("http", "a:81")));
        assert!(!same(("http", "a"), ("http", "a.b")));
    }
}

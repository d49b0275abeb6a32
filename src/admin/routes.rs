//! The routes of the admin route, each once: from this table come what a request is for, the methods that a path has, the
//! index, and the list in `envoy/ADMIN.md`.

use core::fmt;

use serde_json::{Map, Value, json};

use super::dialects::reader::Asked;
use super::dialects::url::bare_path;
use super::dialects::{cloudflare, fastly, larder, queries, souin, varnish};
use super::{AdminResponse, Command, Dialect, Problem};

/// What a request can be for.
pub struct Route {
    /// The language that it belongs to.
    pub dialect: Dialect,
    /// Its methods.
    pub methods: &'static [&'static str],
    /// Its paths, which mean the same: those of Larder's own language below `admin.path`. `{name}` stands for one
    /// segment, `{name…}` for all that follows. Without any, it is on every path.
    pub paths: &'static [&'static str],
    /// Its parameters, as the query of an example.
    pub query: &'static str,
    /// The scope that its token needs.
    pub needs: Needs,
    /// What its body says.
    pub body: Body,
    /// Reads the command.
    pub read: fn(&Asked<'_>) -> Result<Command, Problem>,
    /// What it does, for the index and the page.
    pub does: &'static str,
}

/// The scope that a route needs; what covers everything needs `purge_all` besides.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Needs {
    /// None: any token will do.
    AnyToken,
    /// `read`.
    Read,
    /// `purge`, or `purge_all`.
    Purge,
}

/// What the body of a command says, and what to do instead where Envoy does not show bodies; `{prefix}` in that is
/// `admin.path`.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Body {
    /// Nothing.
    Ignored,
    /// What is wanted.
    Alone(&'static str),
    /// What is wanted, unless the query says it.
    OrQuery(&'static str),
    /// What is wanted, unless this field says it.
    OrField(&'static str, &'static str),
}

const DRAFT: Body = Body::Alone("use PURGE here, or POST {prefix}purge?tag=…&mode=hard without a body");

/// A command of Larder's own language, below `admin.path`.
const OWN: Route = Route {
    dialect: Dialect::Own,
    methods: &["GET"],
    paths: &[""],
    query: "",
    needs: Needs::Read,
    body: Body::Ignored,
    read: index,
    does: "",
};
const POST: Route = Route { methods: &["POST"], needs: Needs::Purge, ..OWN };
const ANYWHERE: Route = Route { dialect: Dialect::Varnish, paths: &[], read: varnish::command, ..POST };
const FASTLY: Route = Route { dialect: Dialect::Fastly, methods: &["POST", "PUT"], ..POST };
const SOUIN: Route = Route { dialect: Dialect::Souin, ..OWN };
const SOUIN_PURGE: Route = Route { methods: &["PURGE"], needs: Needs::Purge, ..SOUIN };

/// All of them. Of two that fit the first one counts.
pub static ROUTES: &[Route] = &[
    Route { needs: Needs::AnyToken, does: "this list, in JSON", ..OWN },
    Route { paths: &["stats"], read: |_| Ok(Command::Stats), does: "counters and gauges", ..OWN },
    Route {
        paths: &["health"],
        read: |_| Ok(Command::Health),
        does: "whether the cache works, and warnings about the configuration; 503 if it does not work",
        ..OWN
    },
    Route {
        paths: &["config"],
        read: |_| Ok(Command::Config),
        does: "the configuration in force, without the digests of tokens",
        ..OWN
    },
    Route {
        paths: &["journal"],
        query: "before=&limit=",
        read: queries::journal,
        does: "the newest records of the journal",
        ..OWN
    },
    Route {
        paths: &["receipts/{receipt}"],
        query: "cursor=",
        read: queries::receipt,
        does: "which stored responses a purge covers, by its receipt; `fleet:42` for a revision of the fleet's log",
        ..OWN
    },
    Route {
        paths: &["fleet"],
        read: |_| Ok(Command::Fleet),
        does: "how this Envoy stands to its fleet: revision, contact with etcd, what is still to be shared, the last error",
        ..OWN
    },
    Route {
        paths: &["entries"],
        query: "tag=&prefix=&host=&limit=&cursor=",
        read: queries::entries,
        does: "stored responses that a selector covers, page by page",
        ..OWN
    },
    Route {
        paths: &["entry"],
        query: "url=",
        read: queries::entry,
        does: "the stored responses of one URL, in full",
        ..OWN
    },
    Route {
        paths: &["explain"],
        query: "url=",
        read: queries::explain,
        does: "whether a GET would be a hit, why, and what to change; request fields as `header=name:value`",
        ..OWN
    },
    Route {
        paths: &["namespaces"],
        read: |_| Ok(Command::Namespaces),
        does: "the versions of all namespaces",
        ..OWN
    },
    Route {
        paths: &["purge"],
        query: "tag=&prefix=&host=&mode=",
        body: Body::OrQuery("say it in the query and send no body: POST {prefix}purge?tag=…&mode=hard"),
        read: larder::purge,
        does: "purge what selectors cover",
        ..POST
    },
    Route {
        paths: &["refresh"],
        query: "url=",
        body: Body::OrQuery("say it in the query and send no body: POST {prefix}refresh?url=…"),
        read: larder::refresh,
        does: "refresh URLs",
        ..POST
    },
    Route {
        paths: &["explain"],
        needs: Needs::Read,
        body: Body::Alone("GET {prefix}explain?url=… works"),
        read: queries::explain_body,
        does: "whether a request would be a hit, why, and what to change",
        ..POST
    },
    Route {
        paths: &["namespaces"],
        query: "prefix=&version=",
        body: Body::OrQuery("say it in the query and send no body: POST {prefix}namespaces?prefix=…"),
        read: larder::namespace,
        does: "change the version of a namespace",
        ..POST
    },
    Route {
        paths: &["invalidate"],
        body: Body::Alone("POST {prefix}purge?tag=…&mode=hard works, without a body"),
        read: souin::draft,
        does: "invalidate, in the JSON of the draft on cache invalidation",
        ..POST
    },
    Route { methods: &["PURGE"], does: "purge a URL, a prefix, or what header fields select", ..ANYWHERE },
    Route { methods: &["PURGEKEYS", "PURGETAGS"], does: "purge the tags in header fields", ..ANYWHERE },
    Route { methods: &["BAN"], does: "purge what regular expressions match", ..ANYWHERE },
    Route { methods: &["REFRESH"], does: "refresh a URL", ..ANYWHERE },
    Route {
        dialect: Dialect::Fastly,
        methods: &["PURGE"],
        read: fastly::purge,
        does: "purge a URL; with `Fastly-Key` or `Fastly-Soft-Purge`",
        ..ANYWHERE
    },
    Route {
        paths: &["/service/{id}/purge", "/service/{id}/purge/"],
        body: Body::OrField(
            "surrogate-key",
            "send the keys in the field Surrogate-Key, or one at a time to /service/{id}/purge/{key}",
        ),
        read: fastly::keys,
        does: "purge keys",
        ..FASTLY
    },
    Route { paths: &["/service/{id}/purge/{key…}"], read: fastly::key, does: "purge a key", ..FASTLY },
    Route {
        paths: &["/service/{id}/purge_all"],
        read: fastly::everything,
        does: "purge everything",
        ..FASTLY
    },
    Route { paths: &["/purge/{url…}"], read: fastly::url, does: "purge a URL", ..FASTLY },
    Route {
        dialect: Dialect::Cloudflare,
        paths: &["/client/v4/zones/{zone}/purge_cache"],
        body: Body::Alone(
            "Cloudflare's clients do not work: use POST {prefix}purge?tag=…&mode=hard instead, without a body",
        ),
        read: cloudflare::command,
        does: "purge files, tags, hosts, prefixes or everything",
        ..POST
    },
    Route { read: souin::keys, does: "the keys of stored responses", ..SOUIN },
    Route { paths: &["surrogate_keys"], read: souin::keys_by_tag, does: "the keys by tag", ..SOUIN },
    Route { paths: &["{regex…}"], read: souin::keys_like, does: "the keys that match", ..SOUIN },
    Route {
        dialect: Dialect::Souin,
        paths: &["", "{path…}"],
        body: DRAFT,
        read: souin::draft,
        does: "invalidate, in the JSON of the draft on cache invalidation",
        ..POST
    },
    Route { read: souin::tags, does: "purge the tags in `Surrogate-Key`", ..SOUIN_PURGE },
    Route { paths: &["flush"], read: souin::flush, does: "purge everything", ..SOUIN_PURGE },
    Route {
        paths: &["mapping"],
        needs: Needs::AnyToken,
        read: souin::mapping,
        does: "nothing: there is no mapping to clean",
        ..SOUIN_PURGE
    },
    Route {
        paths: &["{key…}"],
        read: souin::key,
        does: "purge the URL of a key, or what a regular expression matches",
        ..SOUIN_PURGE
    },
];

/// What a request is for.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum Found {
    /// A command of this route.
    Route(&'static Route),
    /// The question which methods the path has: these.
    Options(String),
}

/// What the last `{…}` of a route's path stands for.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub struct Name<'a> {
    /// Without the query.
    pub alone: &'a str,
    /// With the query.
    pub with_query: &'a str,
}

/// The route that a method on a path is; `prefix` is `admin.path`.
///
/// # Errors
/// With 405 when the path has other methods, with 404 when there is no such path.
pub fn find(dialect: Dialect, method: &[u8], path: &str, prefix: &str) -> Result<Found, Problem> {
    let of_dialect = || ROUTES.iter().filter(|route| route.dialect == dialect);
    let here = || of_dialect().filter(|route| route.name_in(path, prefix).is_some());
    let anywhere = of_dialect().filter(|route| route.paths.is_empty());
    if let Some(route) = here().chain(anywhere).find(|route| route.has(method)) {
        return Ok(Found::Route(route));
    }
    let mut allow: Vec<&str> = Vec::new();
    for method in here().flat_map(|route| route.methods) {
        if !allow.contains(method) {
            allow.push(method);
        }
    }
    match (allow.is_empty(), method) {
        (true, _) => Err(Problem::new(404, format!("no such endpoint: {}", bare_path(path)))),
        (false, b"OPTIONS") => Ok(Found::Options(allow.join(", "))),
        (false, _) => Err(Problem::method(allow.join(", "))),
    }
}

/// Whether a dialect has a path of its own, whatever the method.
pub fn knows(dialect: Dialect, path: &str) -> bool {
    ROUTES.iter().any(|route| route.dialect == dialect && route.name_in(path, "").is_some())
}

impl Route {
    fn has(&self, method: &[u8]) -> bool {
        self.methods.iter().any(|known| known.as_bytes() == method)
    }

    /// What the name in its path stands for; none when the path is another.
    pub fn name_in<'p>(&self, path: &'p str, prefix: &str) -> Option<Name<'p>> {
        let bare = bare_path(path);
        let below = match self.dialect {
            // Without its slash the prefix is what it is with it.
            Dialect::Own if Some(bare) == prefix.strip_suffix('/') => "",
            Dialect::Own => bare.strip_prefix(prefix)?,
            Dialect::Souin => bare.strip_prefix(souin::BASE)?.trim_start_matches('/'),
            Dialect::Varnish | Dialect::Fastly | Dialect::Cloudflare => bare,
        };
        let alone = self.paths.iter().find_map(|pattern| last_name(pattern, below))?;
        let query = path.len() - bare.len();
        let with_query = path.get(path.len().saturating_sub(query + alone.len())..).unwrap_or_default();
        Some(Name { alone, with_query })
    }

    /// Its path, as a page shows it.
    fn shown(&self, prefix: &str) -> String {
        let path = self.paths.first().copied().unwrap_or("any path");
        match self.dialect {
            Dialect::Own => format!("{prefix}{path}"),
            Dialect::Souin if path.is_empty() => souin::BASE.to_owned(),
            Dialect::Souin => format!("{}/{path}", souin::BASE),
            Dialect::Varnish | Dialect::Fastly | Dialect::Cloudflare => path.to_owned(),
        }
    }

    /// Its paths with examples of parameters.
    fn examples(&self, prefix: &str) -> Vec<String> {
        let path = self.shown(prefix);
        let with_query = (!self.query.is_empty()).then(|| format!("{path}?{}", self.query));
        match (self.body, with_query) {
            (Body::OrQuery(_), Some(with_query)) => vec![path, with_query],
            (_, Some(with_query)) => vec![with_query],
            (_, None) => vec![path],
        }
    }
}

// Two routes are one when they are the same row of the table.
impl PartialEq for Route {
    fn eq(&self, other: &Route) -> bool {
        core::ptr::eq(self, other)
    }
}

impl Eq for Route {}

impl fmt::Debug for Route {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} {}", self.methods.join(", "), self.shown(""))
    }
}

/// What the last `{…}` of a pattern stands for in a path; nothing in one without any.
fn last_name<'p>(pattern: &str, path: &'p str) -> Option<&'p str> {
    let (mut pattern, mut rest, mut name) = (pattern, path, "");
    while let Some((before, after)) = pattern.split_once('{') {
        let (what, after) = after.split_once('}')?;
        rest = rest.strip_prefix(before)?;
        let end = if what.ends_with('…') { rest.len() } else { rest.find('/').unwrap_or(rest.len()) };
        (name, rest) = rest.split_at_checked(end)?;
        if name.is_empty() {
            return None;
        }
        pattern = after;
    }
    (pattern == rest).then_some(name)
}

/// What there is in Larder's own language.
fn index(asked: &Asked<'_>) -> Result<Command, Problem> {
    let prefix = &asked.reader.config.path;
    let own = || ROUTES.iter().filter(|route| route.dialect == Dialect::Own);
    let mut index = Map::new();
    for method in ["GET", "POST"] {
        // The index itself is where its reader is.
        let routes = own().filter(|route| route.has(method.as_bytes()) && *route.paths != [""]);
        let paths: Vec<String> = routes.flat_map(|route| route.examples(prefix)).collect();
        index.insert(method.to_owned(), paths.into());
    }
    let shown = |route: &Route| {
        json!({
            "language": route.dialect.as_str(),
            "methods": route.methods,
            "path": route.shown(prefix),
            "scope": route.needs.as_str(),
            "does": route.does,
        })
    };
    index.insert("routes".to_owned(), ROUTES.iter().map(shown).collect());
    Ok(Command::Respond(AdminResponse::json(200, &Value::Object(index))))
}

impl Needs {
    /// The name of the scope; none where any token will do.
    #[must_use]
    pub const fn as_str(self) -> Option<&'static str> {
        match self {
            Needs::AnyToken => None,
            Needs::Read => Some("read"),
            Needs::Purge => Some("purge"),
        }
    }
}

/// The table as a page shows it, with the prefix that the route has unless configured.
#[must_use]
pub fn markdown(prefix: &str) -> String {
    let mut page =
        String::from("| Language | Method | Path | Scope | What it does |\n|---|---|---|---|---|\n");
    let mut last = None;
    for route in ROUTES {
        // A language is named once, in the first of its rows.
        let language =
            if last.replace(route.dialect) == Some(route.dialect) { "" } else { route.dialect.as_str() };
        let methods: Vec<String> = route.methods.iter().map(|method| format!("`{method}`")).collect();
        let path = match route.paths {
            [] => "any".to_owned(),
            _ => format!("`{}`", route.examples(prefix).last().map_or("", String::as_str)),
        };
        let scope = route.needs.as_str().map_or_else(String::new, |scope| format!("`{scope}`"));
        page.push_str(&format!(
            "| {language} | {} | {path} | {scope} | {} |\n",
            methods.join(", "),
            route.does
        ));
    }
    page
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::admin::fixture::{body, config, send};
    #[cfg(all(target_arch = "wasm32", target_os = "unknown"))]
    use wasm_bindgen_test::wasm_bindgen_test as test;

    /// A path of a route, as a client writes it.
    fn example(route: &Route, path: &str) -> String {
        let path = path.split(['{', '}']).enumerate().map(|(at, part)| if at % 2 == 1 { "3" } else { part });
        let path: String = path.collect();
        match route.dialect {
            Dialect::Own => format!("/_larder/{path}"),
            Dialect::Souin => format!("{}/{path}", souin::BASE),
            Dialect::Varnish | Dialect::Fastly | Dialect::Cloudflare => path,
        }
    }

    #[test]
    fn every_route_has_its_methods_and_says_so_to_any_other() {
        let key = [("fastly-key", "all")];
        for (route, path) in ROUTES.iter().flat_map(|route| route.paths.iter().map(move |path| (route, path)))
        {
            let path = example(route, path);
            let fields = if route.dialect == Dialect::Fastly { &key[..] } else { &[] };
            for method in route.methods {
                let found = find(route.dialect, method.as_bytes(), &path, "/_larder/");
                assert!(
                    matches!(found, Ok(Found::Route(found)) if found.has(method.as_bytes())),
                    "{method} {path}"
                );
            }
            for method in ["DELETE", "PATCH", "HEAD", "CONNECT"] {
                let refused = send(&format!("{method} {path}"), fields, "").unwrap_err();
                let allow =
                    refused.fields.get("allow").map(|allow| String::from_utf8_lossy(allow).into_owned());
                let allow = allow.unwrap_or_else(|| panic!("{method} {path}: {}", refused.status));
                assert_eq!(refused.status, 405, "{method} {path}");
                assert!(
                    route.methods.iter().all(|method| allow.split(", ").any(|one| one == *method)),
                    "{path}: {allow}"
                );
                assert!(
                    allow.split(", ").all(|method| find(
                        route.dialect,
                        method.as_bytes(),
                        &path,
                        "/_larder/"
                    )
                    .is_ok())
                );
            }
            let options = send(&format!("OPTIONS {path}"), fields, "").unwrap_err();
            assert_eq!(options.status, 204, "OPTIONS {path}");
            assert!(options.fields.get("allow").is_some_and(|allow| allow.ends_with(b", OPTIONS")), "{path}");
        }
    }

    #[test]
    fn a_wrong_method_gets_405_with_the_allowed_methods() {
        for (line, allow) in [
            ("POST /_larder/receipts/3", "GET"),
            ("POST /_larder/receipts/3?cursor=7", "GET"),
            ("PUT /_larder/explain", "GET, POST"),
            ("DELETE /_larder/namespaces", "GET, POST"),
            ("POST /_larder/", "GET"),
            ("POST /_larder", "GET"),
            ("GET /_larder/invalidate", "POST"),
            ("PUT /souin-api/souin/flush", "GET, POST, PURGE"),
            ("GET /client/v4/zones/z/purge_cache", "POST"),
        ] {
            let refused = send(line, &[], "").unwrap_err();
            assert_eq!(
                (refused.status, refused.fields.get("allow")),
                (405, Some(allow.as_bytes())),
                "{line}"
            );
        }
        for line in [
            "GET /service/s/purge_all",
            "DELETE /service/s/purge/k",
            "GET /service/s/purge/",
            "GET /purge/h/a",
        ] {
            let refused = send(line, &[("fastly-key", "all")], "").unwrap_err();
            assert_eq!(
                (refused.status, refused.fields.get("allow")),
                (405, Some(&b"POST, PUT"[..])),
                "{line}"
            );
        }
    }

    #[test]
    fn an_unknown_endpoint_is_a_404_with_any_method() {
        for method in ["GET", "POST", "DELETE", "OPTIONS"] {
            for path in ["nothing", "receipts", "receipts/", "receipts/3/4", "purge/x", "/purge", "stats/"] {
                let line = format!("{method} /_larder/{path}");
                let refused = send(&line, &[], "").unwrap_err();
                assert_eq!((refused.status, refused.fields.get("allow")), (404, None), "{line}");
            }
        }
    }

    #[test]
    fn a_name_is_what_stands_in_its_place() {
        for (pattern, path, expected) in [
            ("", "", Some("")),
            ("", "a", None),
            ("purge", "purge", Some("")),
            ("purge", "purge/", None),
            ("receipts/{receipt}", "receipts/3", Some("3")),
            ("receipts/{receipt}", "receipts/", None),
            ("receipts/{receipt}", "receipts/3/4", None),
            ("/service/{id}/purge/{key…}", "/service/s/purge/a/b", Some("a/b")),
            ("/service/{id}/purge/{key…}", "/service/s/purge/", None),
            ("/service/{id}/purge", "/service//purge", None),
            ("/zones/{zone}/purge_cache", "/zones/z/purge_cache", Some("z")),
        ] {
            assert_eq!(last_name(pattern, path), expected, "{pattern} {path}");
        }
        let route = ROUTES.iter().find(|route| *route.paths == ["/purge/{url…}"]).unwrap();
        let name = Name { alone: "h/a", with_query: "h/a?b=c" };
        assert_eq!(route.name_in("/purge/h/a?b=c", "/_larder/"), Some(name));
    }

    #[test]
    fn the_index_lists_what_there_is() {
        let Ok(Command::Respond(response)) = send("GET /_larder/", &[], "") else { panic!() };
        let index = body(&response);
        assert_eq!(index["GET"][0], "/_larder/stats");
        assert_eq!(index["GET"][4], "/_larder/receipts/{receipt}?cursor=");
        assert_eq!(index["POST"][1], "/_larder/purge?tag=&prefix=&host=&mode=");
        let routes = index["routes"].as_array().unwrap();
        assert_eq!(routes.len(), ROUTES.len());
        assert!(
            routes.iter().all(|route| !route["does"].as_str().unwrap().is_empty()),
            "each says what it does"
        );
        let stats = json!({
            "language": "Larder", "methods": ["GET"], "path": "/_larder/stats", "scope": "read", "does": "counters and gauges",
        });
        assert_eq!(routes[1], stats);
        assert!(
            markdown(&config().path).contains("| `GET` | `/_larder/receipts/{receipt}?cursor=` | `read` |")
        );
    }
}

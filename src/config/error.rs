//! What is wrong with a configuration, and where.

/// Why a configuration is refused.
pub use crate::json::ReadError as ConfigError;

#[cfg(test)]
mod tests {
    use crate::config::Config;
    #[cfg(all(target_arch = "wasm32", target_os = "unknown"))]
    use wasm_bindgen_test::wasm_bindgen_test as test;

    const DIGEST: &str = "2bb80d537b1da3e38bd30361aa855686bde0eacd7162fef6a25fe97bf527a25b";

    /// Each configuration (with apostrophes for quotes) is refused with an error that contains these pieces in order.
    #[rustfmt::skip] // One case after another, whatever their length.
    const REFUSED: &[(&str, &[&str])] = &[
        // No JSON, or no object.
        ("{", &["not valid JSON: ", "line 1 column 1"]),
        ("{} x", &["not valid JSON: trailing characters at line 1 column 4"]),
        ("{'ttl': {'min' 1}}", &["not valid JSON: ", "line 1 column 16"]),
        ("[]", &["a list is not an object; expected one in braces"]),
        ("5", &["5 is not an object; expected one in braces"]),
        ("null", &["null is not an object; expected one in braces"]),
        // Unknown and repeated fields.
        ("{'nmae': 'x'}", &["nmae: unknown field; expected one of name, ", ", ttl, ", ", rules"]),
        ("{'store': {'size': 1}}", &["store.size: unknown field; expected one of bytes_max, ", "worker_bytes_max"]),
        ("{'ttl': {'defualt': '1s'}}", &["ttl.defualt: unknown field; expected one of override, default, "]),
        ("{'rules': [{}, {'mach': {}}]}", &["rules[1].mach: unknown field; expected one of name, match, "]),
        ("{'rules': [{'match': {'hots': 'a'}}]}", &["rules[0].match.hots: unknown field; expected one of host, path, "]),
        ("{'name': 'a', 'name': 'b'}", &["name: duplicate field"]),
        ("{'store': {'bytes_max': '1MiB', 'bytes_max': '2MiB'}}", &["store.bytes_max: duplicate field"]),
        // Wrong types.
        ("{'store': []}", &["store: a list is not an object; expected one in braces"]),
        ("{'rules': {}}", &["rules: an object is not a list; expected one in square brackets"]),
        ("{'rules': [5]}", &["rules[0]: 5 is not an object; expected one in braces"]),
        ("{'key': []}", &["key: a list is not an object; expected one in braces"]),
        ("{'bypass': 'yes'}", &["bypass: \"yes\" is not a boolean; expected true or false"]),
        ("{'bypass': null}", &["bypass: null is not a boolean; expected true or false"]),
        ("{'keep': null}", &["keep: null is not a duration; expected a number and a unit"]),
        ("{'ttl': 90}", &["ttl: 90 is not a lifetime; expected a duration such as \"90s\", null, or an object"]),
        ("{'ttl': {'max': 90}}", &["ttl.max: 90 is not a duration; expected a number and a unit"]),
        ("{'tags': {'strip': 1}}", &["tags.strip: 1 is not a boolean; expected true or false"]),
        ("{'collapse': {'cluster': 5}}", &["collapse.cluster: 5 is not a cluster; expected the name of one, or null"]),
        // Values.
        ("{'name': '1x'}", &["name: \"1x\" is not a cache name; expected a structured-field token"]),
        ("{'name': 5}", &["name: 5 is not a cache name; expected"]),
        ("{'rules': [{}, {}, {'ttl': '90x'}]}", &["rules[2].ttl: \"90x\" is not a duration; expected a number and a unit (ms, s, m, h, d), such as \"90s\""]),
        ("{'ttl': {'default': '1s '}}", &["ttl.default: \"1s \" is not a duration; expected"]),
        ("{'ttl': {'status': {'40x': '1s'}}}", &["ttl.status.40x: \"40x\" is not a status code; expected a final one (200 to 599), a class such as \"4xx\""]),
        ("{'ttl': {'status': {'4xx': '1'}}}", &["ttl.status.4xx: \"1\" is not a duration; expected"]),
        ("{'ttl': {'min': '1h', 'max': '1m'}}", &["ttl.min: 1h is longer than max, which is 1m"]),
        ("{'heuristics': {'percent': 101}}", &["heuristics.percent: 101 is out of range; expected 0 to 100"]),
        ("{'heuristics': {'percent': -1}}", &["heuristics.percent: -1 is not a whole number; expected"]),
        ("{'heuristics': {'percent': 1.5}}", &["heuristics.percent: 1.5 is not a whole number; expected"]),
        ("{'request_directives': 'off'}", &["request_directives: \"off\" is not a way to treat request directives; expected one of \"honor\", \"ignore_revalidation\", \"ignore\""]),
        ("{'set_cookie': 5}", &["set_cookie: 5 is not a way to treat Set-Cookie; expected one of \"refuse\", \"strip\", \"store\""]),
        ("{'targeted': ['a b']}", &["targeted[0]: \"a b\" is not a header field name; expected"]),
        ("{'min_uses': 9}", &["min_uses: 9 is out of range; expected 1 to 8"]),
        ("{'variants_max': 0}", &["variants_max: 0 is out of range; expected 1 to 1000"]),
        ("{'key': {'query': 'none'}}", &["key.query: \"none\" is not a choice of query parameters; expected \"all\", {\"keep\": [names]} or {\"drop\": [names]}"]),
        ("{'key': {'query': 5}}", &["key.query: 5 is not a choice of query parameters; expected \"all\", "]),
        ("{'key': {'query': {}}}", &["key.query: expected either keep or drop"]),
        ("{'key': {'query': {'keep': [], 'drop': []}}}", &["key.query: expected either keep or drop"]),
        ("{'key': {'query': {'keep': ['a*b']}}}", &["key.query.keep[0]: \"a*b\" is not a query parameter; expected its name, which may end in *"]),
        ("{'key': {'headers': ['a', ':path']}}", &["key.headers[1]: \":path\" is not a header field name; expected"]),
        ("{'key': {'cookies': ['a=b']}}", &["key.cookies[0]: \"a=b\" is not a cookie name; expected"]),
        ("{'key': {'cookies_drop': ['_ga*x']}}", &["key.cookies_drop[0]: \"_ga*x\" is not a cookie name; expected its name, which may end in *"]),
        ("{'key': {'cookies_drop': ['']}}", &["key.cookies_drop[0]: \"\" is not a cookie name"]),
        ("{'key': {'accept_encoding': 'gzip'}}", &["key.accept_encoding: \"gzip\" is not a choice of content codings; expected [codings] or \"as_sent\""]),
        ("{'key': {'accept_encoding': ['GZIP']}}", &["key.accept_encoding[0]: \"GZIP\" is not a content coding; expected one of \"gzip\", \"deflate\", \"br\", \"zstd\""]),
        ("{'store': {'bytes_max': '1KiB'}}", &["store.bytes_max: 1KiB is out of range; expected 1MiB to 64GiB"]),
        ("{'store': {'bytes_max': '64mib'}}", &["store.bytes_max: \"64mib\" is not a size; expected a whole number of bytes, or one with a unit"]),
        ("{'store': {'bytes_max': 1.5}}", &["store.bytes_max: 1.5 is not a size; expected"]),
        ("{'store': {'object_bytes_max': 0}}", &["store.object_bytes_max: 0 is out of range; expected 1 to 64MiB"]),
        ("{'store': {'object_bytes_max': '64MiB'}}", &["store.bytes_max: a directory for so many entries, and keys for such bodies, take up to "]),
        ("{'store': {'bytes_max': '8MiB'}}", &["store.bytes_max: a directory", "an eighth of it (1MiB)", "lower store.entries_max"]),
        ("{'store': {'object_bytes_max': '2MiB', 'bytes_max': '1MiB'}}", &["store.object_bytes_max: 2MiB is more than store.bytes_max, which is 1MiB"]),
        ("{'store': {'entries_max': '5'}}", &["store.entries_max: \"5\" is not a whole number; expected"]),
        ("{'store': {'entries_max': 5}}", &["store.entries_max: 5 is out of range; expected 64 to 16777216"]),
        ("{'store': {'worker_bytes_max': '1GiB'}}", &["store.worker_bytes_max: 1GiB is out of range; expected 0 to 512MiB"]),
        ("{'collapse': {'lease': '4s'}}", &["collapse.wait_max: 10s is less than three times collapse.lease, which is 4s"]),
        ("{'collapse': {'lease': '1ms'}}", &["collapse.lease: 1ms is out of range; expected 300ms to 1m"]),
        ("{'collapse': {'fetch': 'Auto'}}", &["collapse.fetch: \"Auto\" is not a way to fetch; expected one of \"auto\", \"inline\", \"dispatched\""]),
        ("{'collapse': {'cluster': ''}}", &["collapse.cluster: \"\" is not a cluster; expected the name of one, or null"]),
        ("{'tags': {'headers': ['vary']}}", &["tags.headers[0]: \"vary\" is not a header field for tags; expected the name of a response header field"]),
        ("{'tags': {'count_max': 0}}", &["tags.count_max: 0 is out of range; expected 1 to 1024"]),
        ("{'tags': {'parents': {'': 'b'}}}", &["tags.parents.: \"\" is not a tag; expected"]),
        ("{'tags': {'parents': {'a': [5]}}}", &["tags.parents.a[0]: 5 is not a tag; expected"]),
        ("{'tags': {'parents': {'a': 'b', 'b': ['c', 'a']}}}", &["tags.parents: a tag is among its own parents: \"a\" is part of \"b\" is part of \"a\""]),
        // Rules.
        ("{'rules': [{'name': 'a b'}]}", &["rules[0].name: \"a b\" is not a name; expected one to 64 letters, digits or -_."]),
        ("{'rules': [{'name': 'a'}, {'name': 'a'}]}", &["rules: \"a\" is the name of two rules"]),
        ("{'rules': [{'match': {'host': 'http://a'}}]}", &["rules[0].match.host: \"http://a\" is not a host pattern; expected a host such as"]),
        ("{'rules': [{'match': {'path': 'img'}}]}", &["rules[0].match.path: \"img\" is not a path pattern; expected a path that begins with /"]),
        ("{'rules': [{'match': {'path': ['/a', 'b']}}]}", &["rules[0].match.path[1]: \"b\" is not a path pattern; expected"]),
        ("{'rules': [{'match': {'path': []}}]}", &["rules[0].match.path: an empty list matches nothing; leave the condition out"]),
        ("{'rules': [{'match': {'method': 'get'}}]}", &["rules[0].match.method: \"get\" is not a method; expected its name in upper case"]),
        ("{'rules': [{'match': {'status': [200, '9xx']}}]}", &["rules[0].match.status[1]: \"9xx\" is not a status code; expected"]),
        ("{'rules': [{'match': {'status': 100}}]}", &["rules[0].match.status: 100 is not a status code; expected"]),
        ("{'rules': [{'match': {'content_type': 'html'}}]}", &["rules[0].match.content_type: \"html\" is not a media type; expected"]),
        ("{'rules': [{'match': {'header': {'a b': true}}}]}", &["rules[0].match.header.a b: \"a b\" is not a header field name; expected"]),
        ("{'rules': [{'match': {'header': {'a': 5}}}]}", &["rules[0].match.header.a: the number is not a condition on a header field; expected true (present), false (absent), a value"]),
        ("{'rules': [{'match': {'header': {'a': ['x', 5]}}}]}", &["rules[0].match.header.a[1]: the number is not a value pattern; expected"]),
        ("{'rules': [{'tags': ['user:{id']}]}", &["rules[0].tags[0]: \"user:{id\" is not a tag; expected"]),
        ("{'rules': [{'tags': ['user:{id}']}]}", &["rules[0].tags: {id} is not in every pattern of match.path"]),
        ("{'rules': [{'match': {'path': ['/u/{id}', '/v/{x}']}, 'tags': ['user:{id}']}]}", &["rules[0].tags: {id} is not in every pattern of match.path"]),
        ("{'rules': [{'match': {'status': 404}, 'key': {'query': 'all'}}]}", &["rules[0].key: applies before there is a response"]),
        ("{'rules': [{'match': {'status': 404}, 'request_directives': 'ignore'}]}", &["rules[0].request_directives: applies before"]),
        ("{'rules': [{'match': {'content_type': 'image/*'}, 'collapse': false}]}", &["rules[0].collapse: applies before"]),
        ("{'rules': [{'object_bytes_max': '2MiB'}]}", &["rules[0].object_bytes_max: 2MiB is more than store.object_bytes_max, which is 1MiB"]),
        // Admin.
        ("{'admin': {'path': '/x'}}", &["admin.path: the text is not a path prefix; expected a path with a slash at both ends"]),
        ("{'admin': {'path': '/'}}", &["admin.path: the text is not a path prefix"]),
        ("{'admin': {'selectors_max': 0}}", &["admin.selectors_max: 0 is out of range; expected 1 to 10000"]),
        ("{'admin': {'tokens': [{'name': 'ops'}]}}", &["admin.tokens[0].sha256: is missing"]),
        ("{'admin': {'tokens': [{'sha256': '%'}]}}", &["admin.tokens[0].name: is missing"]),
        ("{'admin': {'tokens': [{'name': 'ops', 'sha256': 'tea'}]}}", &["admin.tokens[0].sha256: the value is not a SHA-256 digest; expected 64 hex digits"]),
        ("{'admin': {'tokens': [{'name': 'ops', 'sha256': '%', 'scopes': ['write']}]}}", &["admin.tokens[0].scopes[0]: the text is not a scope; expected one of \"read\", \"purge\", \"purge_all\""]),
        ("{'admin': {'tokens': [{'name': 'ops', 'sha256': '%', 'scopes': []}]}}", &["admin.tokens[0].scopes: an empty list allows nothing"]),
        ("{'admin': {'tokens': [{'name': 'a', 'sha256': '%'}, {'name': 'b', 'sha256': '%'}]}}", &["admin.tokens[1].sha256: the digest of another token too"]),
        ("{'admin': {'tokens': [{'name': 'a', 'sha256': '%'}, {'name': 'a', 'sha256': '%'}]}}", &["admin.tokens[1].name: the name of another token too"]),
    ];

    #[test]
    fn an_error_names_the_path_the_value_and_what_was_expected() {
        for (config, pieces) in REFUSED {
            let json = config.replace('\'', "\"").replace('%', DIGEST);
            let error = Config::parse(json.as_bytes()).expect_err(config).to_string();
            let mut rest = error.as_str();
            assert!(rest.starts_with(pieces[0]), "{config}\n{error}");
            for piece in *pieces {
                let at = rest.find(piece).unwrap_or_else(|| panic!("{config}\n{error}\n{piece}"));
                rest = &rest[at + piece.len()..];
            }
        }
    }

    #[test]
    fn an_error_shows_no_secret_and_is_never_long() {
        let token = Config::parse(br#"{"admin": {"tokens": [{"name": "ops", "sha256": "s3cr3t"}]}}"#);
        assert!(!token.unwrap_err().to_string().contains("s3cr3t"));
        let long = "x".repeat(100_000);
        for json in [
            format!(r#"{{"{long}": 1}}"#),
            format!(r#"{{"ttl": "{long}"}}"#),
            format!(r#"{{"bypass": "{long}"}}"#),
        ] {
            assert!(Config::parse(json.as_bytes()).unwrap_err().to_string().len() < 1_500);
        }
    }

    #[test]
    fn no_bytes_make_the_parser_panic() {
        let whole = br#"{"rules": [{"match": {"path": "/a/{b}", "status": [404]}, "ttl": {"max": "1h"}, "tags": ["{b}"]}]}"#;
        for cut in 0..whole.len() {
            let _ = Config::parse(&whole[..cut]);
            let mut damaged = whole.to_vec();
            for byte in [0, b'"', b'{', b'9', 0xff] {
                damaged[cut] = byte;
                let _ = Config::parse(&damaged);
            }
        }
        assert!(Config::parse("[".repeat(100_000).as_bytes()).is_err());
    }
}

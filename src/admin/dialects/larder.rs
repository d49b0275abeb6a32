//! Larder's own language: `POST /_larder/purge` with selectors, and all else below the path prefix.

use serde_json::{Value, json};

use super::json::{Node, Object};
use super::parameters;
use super::reader::Asked;
use super::selectors::read;
use crate::admin::{AdminResponse, Bump, Command, Dialect, JournalBusy, Problem, Purge, Refresh};
use crate::config::AdminConfig;
use crate::http::RequestHead;
use crate::invalidation::{Mode, Selector};

/// The longest reason of a purge in bytes. Beyond it the command is refused with a 400.
const REASON_BYTES_MAX: usize = 256;

/// The longest idempotency key in bytes. Beyond it the command is refused with a 400.
const IDEMPOTENCY_KEY_BYTES_MAX: usize = 128;

/// The longest namespace in bytes: the table of all of them is one value in shared data. Beyond it the command is refused
/// with a 400.
const NAMESPACE_BYTES_MAX: usize = 1024;

/// Whether a path is one of this dialect: below the prefix, or the prefix without its slash.
pub fn speaks(path: &[u8], config: &AdminConfig) -> bool {
    let prefix = config.path.as_bytes();
    let bare = prefix.strip_suffix(b"/").unwrap_or(prefix);
    path.strip_prefix(bare).is_some_and(|rest| matches!(rest, [] | [b'/' | b'?', ..]))
}

/// How a command is said.
enum Said {
    /// In JSON.
    Json(Node),
    /// In parameters of the query. What no other member is named is the one selector.
    Query(Node),
}

impl Said {
    fn of(asked: &Asked<'_>) -> Result<Said, Problem> {
        let members = parameters::members(asked.path)?;
        match (members.is_empty(), asked.body.is_empty()) {
            (true, false) => Node::parse(asked.body).map(Said::Json),
            (false, true) => Ok(Said::Query(Node::new(members.into()))),
            (true, true) => {
                Err(Problem::bad("expected a body in JSON, or parameters in the query such as ?tag=…"))
            }
            (false, false) => Err(either()),
        }
    }

    fn members(&self) -> Result<Object, Problem> {
        let (Said::Json(node) | Said::Query(node)) = self;
        node.clone().object()
    }
}

/// The complaint about a command that is said twice: one of the two would be left out.
pub fn either() -> Problem {
    Problem::bad("expected either a body or parameters in the query, not both")
}

/// Whether the query of a command says something.
pub fn has_parameters(request: &RequestHead) -> bool {
    request.path().split(|b| *b == b'?').nth(1).is_some_and(|query| !query.is_empty())
}

/// Reads a purge.
pub fn purge(asked: &Asked<'_>) -> Result<Command, Problem> {
    const KNOWN: &str = "selectors, mode, reason, dry_run, refresh, idempotency_key";
    let (said, reader) = (&Said::of(asked)?, asked.reader);
    let mut object = said.members()?;
    let mode = mode(&mut object)?;
    let reason = bounded(&mut object, "reason", REASON_BYTES_MAX)?;
    let (dry_run, refresh) = (flag(&mut object, "dry_run")?, flag(&mut object, "refresh")?);
    let idempotency_key = bounded(&mut object, "idempotency_key", IDEMPOTENCY_KEY_BYTES_MAX)?;
    let selectors = match said {
        Said::Query(_) => vec![object.rest()],
        Said::Json(_) => {
            let selectors = object.require("selectors", "a list of selectors")?;
            object.end(KNOWN)?;
            selectors.list(reader.config.selectors_max)?
        }
    };
    let read = |node: Node| Ok((node.value().clone(), read(node, reader)?));
    let selectors = selectors.into_iter().map(read).collect::<Result<Vec<_>, Problem>>()?;
    let mut purge = Purge::new(selectors, mode, Dialect::Own, asked.caller, reader);
    purge.invalidations.iter_mut().for_each(|record| record.reason.clone_from(&reason));
    (purge.dry_run, purge.refresh, purge.idempotency_key) = (dry_run, refresh, idempotency_key);
    Ok(Command::Purge(purge))
}

/// Reads the wish to change the version of a namespace.
pub fn namespace(asked: &Asked<'_>) -> Result<Command, Problem> {
    const KNOWN: &str = "namespace, version, mode";
    let (said, reader) = (&Said::of(asked)?, asked.reader);
    let mut object = said.members()?;
    let to = object.take("version").map(|node| node.number()).transpose()?;
    // Under a new version nothing is left of the old one.
    let mode = if object.take("mode").map_or(Ok(true), |node| hard_or_soft(&node))? {
        Mode::Hard
    } else {
        Mode::Soft
    };
    let node = match said {
        Said::Query(_) => object.rest(),
        Said::Json(_) => {
            let node = object.require("namespace", "a selector: a prefix, a host or a tag")?;
            object.end(KNOWN)?;
            node
        }
    };
    let wrong = node.expected("a selector of one prefix, one host or one tag, at most 1024 bytes long");
    let shown = node.value().clone();
    let selector = read(node, reader)?;
    match &selector {
        Selector::Prefix(name) | Selector::Host(name) | Selector::Hostname(name)
            if name.len() <= NAMESPACE_BYTES_MAX => {}
        Selector::Tags(tags) if tags.len() == 1 => {}
        _ => return Err(wrong),
    }
    let purge = Purge::new(vec![(shown, selector.clone())], mode, Dialect::Own, asked.caller, reader);
    Ok(Command::Namespace(Bump { selector, to, invalidations: purge.invalidations }))
}

fn hard_or_soft(node: &Node) -> Result<bool, Problem> {
    match node.value().as_str() {
        Some("hard") => Ok(true),
        Some("soft") => Ok(false),
        _ => Err(node.expected("\"hard\" or \"soft\"")),
    }
}

fn mode(object: &mut Object) -> Result<Mode, Problem> {
    let Some(node) = object.take("mode") else { return Ok(Mode::Soft) };
    match node.value().as_str() {
        Some("soft") => Ok(Mode::Soft),
        Some("revalidate") => Ok(Mode::Revalidate),
        Some("hard") => Ok(Mode::Hard),
        _ => Err(node.expected("\"soft\", \"revalidate\" or \"hard\"")),
    }
}

fn flag(object: &mut Object, name: &str) -> Result<bool, Problem> {
    object.take(name).map_or(Ok(false), |node| node.bool())
}

fn bounded(object: &mut Object, name: &str, max: usize) -> Result<Option<String>, Problem> {
    let Some(node) = object.take(name) else { return Ok(None) };
    let text = node.string()?;
    if text.len() > max {
        return Err(node.expected(&format!("at most {max} bytes")));
    }
    Ok(Some(text.to_owned()))
}

/// Reads the wish to have URLs fetched again.
pub fn refresh(asked: &Asked<'_>) -> Result<Command, Problem> {
    let (said, reader) = (&Said::of(asked)?, asked.reader);
    let mut object = said.members()?;
    let urls = match said {
        Said::Query(_) => {
            let url = object.require("url", "a URL")?;
            object.end("url, or host and path")?;
            let text = url.string()?.to_owned();
            vec![(url, text)]
        }
        Said::Json(_) => {
            let urls = object.require("urls", "a list of URLs")?;
            object.end("urls")?;
            urls.strings(reader.config.selectors_max)?
        }
    };
    let uri = |(node, url): (Node, String)| reader.uri(&url).map_err(|why| Problem::at(node.path(), why));
    let uris = urls.into_iter().map(uri).collect::<Result<_, _>>()?;
    Ok(Command::Refresh(Refresh { uris, dialect: Dialect::Own }))
}

/// The answer to a purge, given the receipt of each of those asked for: where the journal did not take all records,
/// those that it took hold.
pub fn purged(purge: &Purge, results: &[Result<u64, JournalBusy>]) -> AdminResponse {
    let selectors: Vec<Value> = purge
        .asked
        .iter()
        .zip(results)
        .enumerate()
        .map(|(at, (asked, r))| {
            result(asked, *r, purge.covered.as_ref().and_then(|covered| covered.each.get(at)))
        })
        .collect();
    let receipt = results.iter().filter_map(|result| result.ok()).max();
    let mut body = json!({ "receipt": receipt, "mode": purge.mode().as_str(), "selectors": selectors });
    if let (Some(covered), Some(members)) = (&purge.covered, body.as_object_mut()) {
        members.insert("complete".into(), covered.complete.into());
    }
    if let (Some(refreshed), Some(members)) = (&purge.refreshed, body.as_object_mut()) {
        members.insert("refresh".into(), refreshed.shown());
    }
    if results.iter().all(Result::is_ok) {
        return AdminResponse::json(200, &body);
    }
    let busy = Problem::busy();
    if let Some(members) = body.as_object_mut() {
        members.insert("error".into(), json!({ "message": busy.message }));
    }
    busy.complete(AdminResponse::json(busy.status, &body))
}

fn result(asked: &Value, result: Result<u64, JournalBusy>, covers: Option<&u64>) -> Value {
    match result {
        Ok(seq) => match covers {
            Some(count) => json!({ "selector": asked, "receipt": seq, "covers": count }),
            None => json!({ "selector": asked, "receipt": seq }),
        },
        Err(JournalBusy) => json!({ "selector": asked, "error": "busy" }),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::admin::Covered;
    use crate::admin::fixture::{asked, body, purge, request, send, tags};
    use crate::admin::{Recognised, purged, recognise};
    use crate::invalidation::Selector;
    #[cfg(all(target_arch = "wasm32", target_os = "unknown"))]
    use wasm_bindgen_test::wasm_bindgen_test as test;

    const PURGE: &str = "POST /_larder/purge";

    #[test]
    fn selectors_are_purged_softly_unless_told_otherwise() {
        let both = r#"[{"url":"http://host/path"},{"tag":"user:42"}]"#;
        let expected = || vec![Selector::Uri(b"host/path".to_vec()), tags(&["user:42"])];
        let cases = [
            ("", Mode::Soft),
            (r#","mode":"hard""#, Mode::Hard),
            (r#","mode":"revalidate""#, Mode::Revalidate),
        ];
        for (more, mode) in cases {
            assert_eq!(asked(PURGE, &[], &format!(r#"{{"selectors":{both}{more}}}"#)), (mode, expected()));
        }
    }

    #[test]
    fn a_purge_is_answered_with_a_receipt_for_each_selector() {
        let purge =
            purge(PURGE, &[], r#"{"selectors":[{"tag":"data"},{"status":404}],"reason":"deploy 812"}"#);
        assert_eq!(purge.invalidations[0].selector, tags(&["data", "user"]), "with its descendants");
        assert_eq!(purge.invalidations[1].reason.as_deref(), Some("deploy 812"));
        let response = purged(&purge, &[Ok(41), Ok(42)]);
        assert_eq!(response.status, 200);
        let expected = json!({
            "receipt": 42,
            "mode": "soft",
            "selectors": [
                {"selector": {"tag": "data"}, "receipt": 41},
                {"selector": {"status": 404}, "receipt": 42},
            ],
        });
        assert_eq!(body(&response), expected);
        let response = purged(&purge, &[Ok(41), Err(JournalBusy)]);
        assert_eq!(response.status, 503);
        assert_eq!(response.fields.get("retry-after"), Some(&b"1"[..]));
        assert_eq!(body(&response)["selectors"][1]["error"], "busy");
        assert_eq!(body(&response)["selectors"][0]["receipt"], 41);
    }

    #[test]
    fn extras_are_read() {
        let purge = purge(
            PURGE,
            &[],
            r#"{"selectors":[{"tag":"a"}],"dry_run":true,"refresh":true,"idempotency_key":"k"}"#,
        );
        assert!(purge.dry_run && purge.refresh);
        assert_eq!(purge.idempotency_key.as_deref(), Some("k"));
    }

    #[test]
    fn what_is_wrong_is_said_with_its_place_and_nothing_is_done() {
        let cases = [
            ("{", "", "the body is not valid JSON"),
            ("", "", "expected a body in JSON, or parameters in the query"),
            ("[]", "", "expected an object"),
            ("{}", "selectors", "is missing"),
            (r#"{"selectors":[]}"#, "selectors", "expected 1 to 4 elements, found 0"),
            (r#"{"selectors":[{"tag":"a"},{"tga":"b"}]}"#, "selectors[1].tga", "is not known"),
            (
                r#"{"selectors":[{"tag":"a"},{"glob":"*"}]}"#,
                "selectors[1]",
                "expected a selector that does not",
            ),
            (r#"{"selectors":[{"tag":"a"}],"mode":"gone"}"#, "mode", "expected \"soft\""),
            (r#"{"selectors":[{"tag":"a"}],"mdoe":"hard"}"#, "mdoe", "is not known here"),
            (r#"{"selectors":[{"tag":"a"}],"dry_run":"yes"}"#, "dry_run", "expected true or false"),
            (r#"{"selectors":[1,2,3,4,5]}"#, "selectors", "expected 1 to 4 elements, found 5"),
        ];
        for (text, path, message) in cases {
            let response = send(PURGE, &[], text).unwrap_err();
            assert_eq!(response.status, 400, "{text}");
            let error = &body(&response)["error"];
            assert_eq!(error["path"].as_str().unwrap_or_default(), path, "{text}");
            assert!(error["message"].as_str().unwrap().starts_with(message), "{text}: {error}");
        }
        let long = format!(r#"{{"selectors":[{{"tag":"a"}}],"reason":"{}"}}"#, "x".repeat(257));
        assert_eq!(send(PURGE, &[], &long).unwrap_err().status, 400);
    }

    #[test]
    fn an_answer_says_how_much_is_covered() {
        let mut purge = purge(PURGE, &[], r#"{"selectors":[{"tag":"a"},{"url":"http://h/"}]}"#);
        purge.covered = Some(Covered { each: vec![3, 1], total: 4, complete: false });
        let answer = body(&purged(&purge, &[Ok(7), Ok(8)]));
        assert_eq!(
            (&answer["selectors"][0]["covers"], &answer["selectors"][1]["covers"]),
            (&json!(3), &json!(1))
        );
        assert_eq!(answer["complete"], false);
        purge.dialect = Dialect::Varnish;
        let answer = purged(&purge, &[Ok(7), Ok(8)]);
        assert_eq!(answer.fields.get("larder-covers"), Some(&b"4;complete=?0"[..]));
    }

    #[test]
    fn a_token_does_what_its_scopes_allow() {
        let tag = r#"{"selectors":[{"tag":"a"}]}"#;
        let all = r#"{"selectors":[{"tag":"a"},{"all":true}]}"#;
        let slow = r#"{"selectors":[{"all":true,"regex":".*"}]}"#;
        let cases = [
            ("all", PURGE, tag, 200),
            ("all", PURGE, all, 200),
            ("purge", PURGE, tag, 200),
            ("purge", PURGE, all, 403),
            ("purge", PURGE, slow, 403),
            ("read", PURGE, tag, 403),
            ("read", "GET /_larder/stats", "", 200),
            ("purge", "GET /_larder/stats", "", 403),
            ("read", "POST /_larder/refresh", r#"{"urls":["http://h/"]}"#, 403),
            ("purge", "POST /_larder/refresh", r#"{"urls":["http://h/"]}"#, 200),
        ];
        for (token, line, text, status) in cases {
            let sent = send(line, &[("authorization", &format!("Bearer {token}"))], text);
            assert_eq!(
                sent.map_or_else(|response| response.status, |_| 200),
                status,
                "{token} {line} {text}"
            );
        }
    }

    #[test]
    fn without_a_token_the_route_does_not_exist_and_with_a_wrong_one_it_says_so() {
        let config = crate::admin::fixture::config();
        let lines = [
            "POST /_larder/purge",
            "GET /_larder/",
            "GET /_larder",
            "GET /_larder/nothing",
            "DELETE /_larder/purge",
        ];
        for line in lines {
            let request = request(line, &[("authorization", "")]);
            assert_eq!(recognise(&request, &config), Recognised::NotForUs, "{line}");
            for value in ["Bearer", "Bearer wrong", "Basic all"] {
                let request = crate::admin::fixture::request(line, &[("authorization", value)]);
                let Recognised::Unauthorised(answer) = recognise(&request, &config) else {
                    panic!("{line} {value}")
                };
                assert_eq!(
                    (answer.status, &body(&answer)["error"]["message"]),
                    (401, &"the token is not known here".into())
                );
                assert!(answer.fields.get("www-authenticate").unwrap().starts_with(b"Bearer"));
            }
        }
        // Nor is it without the prefix, or where no token is configured.
        for line in ["GET /other", "GET /_larderx", "GET /_larde"] {
            assert_eq!(recognise(&request(line, &[]), &config), Recognised::NotForUs);
        }
        let off = AdminConfig { tokens: Vec::new(), ..config };
        assert_eq!(recognise(&request(PURGE, &[]), &off), Recognised::NotForUs);
    }

    #[test]
    fn a_command_that_cannot_be_read_is_told_so_before_its_body_comes() {
        for (field, status) in [
            (("content-encoding", "gzip"), 415),
            (("content-type", "multipart/form-data; boundary=x"), 415),
            (("content-type", "text/xml"), 415),
            (("expect", "100-continue"), 417),
            (("content-encoding", "identity"), 200),
            (("content-type", "application/x-www-form-urlencoded"), 200),
        ] {
            let request = RequestHead { has_body: true, ..request(PURGE, &[field]) };
            let found = match recognise(&request, &crate::admin::fixture::config()) {
                Recognised::Respond(answer) => answer.status,
                Recognised::Authorised(_) => 200,
                other => panic!("{field:?}: {other:?}"),
            };
            assert_eq!(found, status, "{field:?}");
        }
        for (line, allow) in
            [("OPTIONS /_larder/purge", "POST, OPTIONS"), ("OPTIONS /_larder", "GET, OPTIONS")]
        {
            let answer = send(line, &[], "").unwrap_err();
            assert_eq!((answer.status, answer.fields.get("allow")), (204, Some(allow.as_bytes())), "{line}");
        }
    }

    #[test]
    fn with_a_token_a_wrong_path_or_method_is_an_error() {
        let cases = [
            ("GET /_larder/purge", 405),
            ("POST /_larder/stats", 405),
            ("DELETE /_larder/purge", 405),
            ("GET /_larder/nothing", 404),
            ("GET /_larder/purge/x", 404),
        ];
        for (line, status) in cases {
            assert_eq!(send(line, &[], "").unwrap_err().status, status, "{line}");
        }
        assert!(matches!(send("GET /_larder", &[], ""), Ok(Command::Respond(_))));
        assert_eq!(send("GET /_larder/stats?x", &[], ""), Ok(Command::Stats));
        assert_eq!(send("GET /_larder/health", &[], ""), Ok(Command::Health));
    }

    /// Every member of a selector has a parameter.
    #[test]
    fn a_purge_can_be_said_in_the_query() {
        use crate::admin::fixture::NOW;
        use crate::invalidation::{Part, Term};
        use crate::time::Timestamp;
        let term = |negated, selector| Term { negated, selector };
        let cases = [
            ("tag=product:42", tags(&["product:42"])),
            ("tag=data", tags(&["data", "user"])),
            ("tags=a,b", tags(&["a", "b"])),
            ("tags_all=a,b", Selector::And(vec![term(false, tags(&["a"])), term(false, tags(&["b"]))])),
            ("url=https://H/a%3Fb%26c", Selector::Uri(b"h/a?b&c".to_vec())),
            ("url=h/a+b", Selector::Uri(b"h/a+b".to_vec())),
            ("host=h&path=/a", Selector::Uri(b"h/a".to_vec())),
            ("url_any_query=h/a?b", Selector::UriAnyQuery(b"h/a".to_vec())),
            ("prefix=h/a/", Selector::Prefix(b"h/a/".to_vec())),
            ("host=h", Selector::Hostname(b"h".to_vec())),
            ("host=h:8080", Selector::Host(b"h:8080".to_vec())),
            ("glob=/a*", Selector::Glob(Part::Url, "/a*".into())),
            ("regex=%5C.css$", Selector::Regex(Part::Url, "\\.css$".into())),
            ("host_glob=*.h", Selector::Glob(Part::Host, "*.h".into())),
            ("host_regex=^w", Selector::Regex(Part::Host, "^w".into())),
            ("type=image/*", Selector::ContentType("image/*".into())),
            ("type_regex=^text/", Selector::Regex(Part::ContentType, "^text/".into())),
            ("tag_regex=^a", Selector::Regex(Part::Tags, "^a".into())),
            ("status=404", Selector::Status(404)),
            ("status=5xx", Selector::StatusClass(5)),
            ("rule=images", tags(&["rule:images"])),
            ("all=true", Selector::All),
            ("older_than=1m&all=true", Selector::StoredBefore(Timestamp(NOW.0 - 60_000))),
            ("stored_before=5&all=true", Selector::StoredBefore(Timestamp(5_000))),
            (
                "host=h&not.tag=keep",
                Selector::And(vec![
                    term(false, Selector::Hostname(b"h".to_vec())),
                    term(true, tags(&["keep"])),
                ]),
            ),
        ];
        for (query, selector) in cases {
            for (mode, expected) in
                [("", Mode::Soft), ("&mode=hard", Mode::Hard), ("&mode=revalidate", Mode::Revalidate)]
            {
                let asked = asked(&format!("{PURGE}?{query}{mode}"), &[], "");
                assert_eq!(asked, (expected, vec![selector.clone()]), "{query}{mode}");
            }
        }
        let all = format!("{PURGE}?tag=a&reason=deploy%20812&dry_run=true&refresh=true&idempotency_key=k");
        let purge = purge(&all, &[], "");
        assert!(purge.dry_run && purge.refresh);
        assert_eq!(purge.idempotency_key.as_deref(), Some("k"));
        assert_eq!(purge.invalidations[0].reason.as_deref(), Some("deploy 812"));
        let said = body(&purged(&purge, &[Ok(41)]));
        assert_eq!(said["selectors"], json!([{"selector": {"tag": "a"}, "receipt": 41}]));
    }

    #[test]
    fn what_is_wrong_in_the_query_is_said_with_its_name() {
        let cases = [
            ("purge?tga=a", "tga", "is not known: expected some of"),
            ("purge?tag=a&modus=hard", "modus", "is not known"),
            ("purge?tag=a&tag=b", "tag", "stands in the query twice"),
            ("purge?tag=", "tag", "is empty"),
            ("purge?tag=a&mode=", "mode", "is empty"),
            ("purge?mode=hard", "", "is empty: expected some of"),
            ("purge?tag=a&mode=gone", "mode", "expected \"soft\""),
            ("purge?tag=a&dry_run=yes", "dry_run", "expected true or false"),
            ("purge?tags=a,,b", "tags[1]", "expected a string"),
            ("purge?tags=a,b,c,d,e", "tags", "expected 1 to 4 elements"),
            ("purge?url=/a", "url", "expected an absolute URL"),
            ("purge?all=false", "all", "expected true"),
            ("purge?glob=*", "", "expected a selector that does not cover everything"),
            ("purge?not=a&host=h", "not", "expected an object"),
            ("purge?not.all=true&host=h", "not", "expected an object with one member"),
            ("purge?selectors=a", "selectors", "is not known"),
            ("refresh?tag=a", "url", "is missing"),
            ("refresh?url=h/a&x=1", "x", "is not known here: expected url"),
            ("refresh?url=/a", "url", "expected an absolute URL"),
            ("namespaces?prefix=h/&x=1", "x", "is not known"),
            ("namespaces?all=true", "", "expected a selector of one prefix"),
            ("namespaces?tag=a&version=-1", "version", "expected a whole number"),
            ("namespaces?tag=a&mode=revalidate", "mode", "expected \"hard\" or \"soft\""),
            ("purge", "", "expected a body in JSON, or parameters"),
            ("refresh", "", "expected a body in JSON, or parameters"),
            ("namespaces?", "", "expected a body in JSON, or parameters"),
        ];
        for (what, path, message) in cases {
            let response = send(&format!("POST /_larder/{what}"), &[], "").unwrap_err();
            let error = &body(&response)["error"];
            assert_eq!(response.status, 400, "{what}");
            assert_eq!(error["path"].as_str().unwrap_or_default(), path, "{what}: {error}");
            assert!(error["message"].as_str().unwrap().starts_with(message), "{what}: {error}");
        }
        for what in ["purge?tag=a", "refresh?url=h/a", "namespaces?tag=a"] {
            let both =
                send(&format!("POST /_larder/{what}"), &[], r#"{"selectors":[{"tag":"b"}]}"#).unwrap_err();
            assert!(String::from_utf8(both.body).unwrap().contains("either a body or parameters"), "{what}");
        }
        let all = send("POST /_larder/purge?all=true", &[("authorization", "Bearer purge")], "");
        assert_eq!(all.unwrap_err().status, 403);
    }

    #[test]
    fn urls_and_namespaces_can_be_said_in_the_query() {
        let Ok(Command::Refresh(refresh)) = send("POST /_larder/refresh?url=http://h/a%3Fb", &[], "") else {
            panic!()
        };
        assert_eq!(refresh.uris, [b"h/a?b".to_vec()]);
        let line = "POST /_larder/namespaces?prefix=h/v1/&version=7&mode=soft";
        let Ok(Command::Namespace(bump)) = send(line, &[], "") else { panic!() };
        let asked = (bump.selector, bump.to, bump.invalidations[0].mode);
        assert_eq!(asked, (Selector::Prefix(b"h/v1/".to_vec()), Some(7), Mode::Soft));
    }

    #[test]
    fn a_namespace_is_a_prefix_a_host_or_a_tag() {
        let line = "POST /_larder/namespaces";
        let cases = [
            (r#"{"namespace":{"prefix":"h/v1/"}}"#, Selector::Prefix(b"h/v1/".to_vec()), None, Mode::Hard),
            (
                r#"{"namespace":{"tag":"data"},"version":7,"mode":"soft"}"#,
                tags(&["data"]),
                Some(7),
                Mode::Soft,
            ),
        ];
        for (text, selector, to, mode) in cases {
            let Ok(Command::Namespace(bump)) = send(line, &[], text) else { panic!("{text}") };
            assert_eq!((bump.selector, bump.to, bump.invalidations[0].mode), (selector, to, mode), "{text}");
        }
        for wrong in [
            "{}",
            r#"{"namespace":{"all":true}}"#,
            r#"{"namespace":{"tags":["a","b"]}}"#,
            r#"{"namespace":{"tag":"a"},"version":-1}"#,
            r#"{"namespace":{"tag":"a"},"mode":"revalidate"}"#,
            r#"{"namespace":{"tag":"a"},"x":1}"#,
        ] {
            assert_eq!(send(line, &[], wrong).unwrap_err().status, 400, "{wrong}");
        }
        let read = send(line, &[("authorization", "Bearer read")], r#"{"namespace":{"tag":"a"}}"#);
        assert_eq!(read.unwrap_err().status, 403);
    }

    #[test]
    fn the_drafts_json_is_understood_here_too() {
        let text = r#"{"type":"group","groups":["a"],"purge":true}"#;
        assert_eq!(asked("POST /_larder/invalidate", &[], text), (Mode::Hard, vec![tags(&["a"])]));
    }

    #[test]
    fn urls_can_be_refreshed() {
        let sent = send("POST /_larder/refresh", &[], r#"{"urls":["http://h/a","h/b"]}"#);
        let Ok(Command::Refresh(refresh)) = sent else { panic!("{sent:?}") };
        assert_eq!(refresh.uris, [b"h/a".to_vec(), b"h/b".to_vec()]);
    }
}

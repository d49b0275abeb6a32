//! Larder's own language: `POST /_larder/purge` with selectors, and all else below the path prefix.

use serde_json::{Value, json};

use super::parameters;
use super::reader::{Asked, read_json};
use super::selectors::read;
use crate::admin::{AdminResponse, Bump, Command, Dialect, JournalBusy, Problem, Purge, Refresh, Wanted};
use crate::config::{Acknowledge, AdminConfig};
use crate::http::RequestHead;
use crate::invalidation::{Mode, Selector};
use crate::json::{At, Json, Object, Read, boolean};

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
struct Said {
    value: Json,
    /// Whether it is said in parameters of the query. What no other field is named is then the one selector.
    in_query: bool,
}

impl Said {
    fn of(asked: &Asked<'_>) -> Result<Said, Problem> {
        let parameters = parameters::command(asked.path)?;
        match (parameters.is_empty(), asked.body.is_empty()) {
            (true, false) => Ok(Said { value: asked.json()?, in_query: false }),
            (false, true) => Ok(Said { value: Json::Object(parameters), in_query: true }),
            (true, true) => {
                Err(Problem::bad("expected a body in JSON, or parameters in the query such as ?tag=…"))
            }
            (false, false) => Err(either()),
        }
    }

    /// What `read` makes of the fields of the command.
    fn read<T>(&self, read: impl FnOnce(&mut Object<'_>) -> Read<T>) -> Result<T, Problem> {
        read_json(&self.value, |at| at.object(read))
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
    let (said, reader) = (Said::of(asked)?, asked.reader);
    let (mut mode, mut reason, mut idempotency_key) = (Mode::Soft, None, None);
    let (mut dry_run, mut refresh, mut wanted) = (false, false, Wanted::default());
    let one = |at: &At<'_>| Ok((at.value.written(), read(at, reader)?));
    let selectors = said.read(|object| {
        object.field("mode", &mut mode, |at| at.one_of("a mode", &MODES))?;
        object.optional("reason", &mut reason, |at| bounded(at, REASON_BYTES_MAX))?;
        object.field("dry_run", &mut dry_run, boolean)?;
        object.field("refresh", &mut refresh, boolean)?;
        read_wanted(object, &mut wanted)?;
        object
            .optional("idempotency_key", &mut idempotency_key, |at| bounded(at, IDEMPOTENCY_KEY_BYTES_MAX))?;
        if said.in_query {
            return object.rest(one).map(|selector| vec![selector]);
        }
        object.required("selectors", |at| at.list_within(reader.config.selectors_max, one))
    })?;
    let mut purge = Purge::new(selectors, mode, Dialect::Own, asked.caller, reader);
    purge.invalidations.iter_mut().for_each(|record| record.reason.clone_from(&reason));
    (purge.dry_run, purge.refresh, purge.idempotency_key) = (dry_run, refresh, idempotency_key);
    purge.wanted = wanted;
    Ok(Command::Purge(purge))
}

const ACKNOWLEDGE: [(&str, Acknowledge); 3] =
    [("local", Acknowledge::Local), ("fleet", Acknowledge::Fleet), ("everywhere", Acknowledge::Everywhere)];

/// Reads what a command wants of the fleet.
fn read_wanted(object: &mut Object<'_>, wanted: &mut Wanted) -> Read<()> {
    object.optional("acknowledge", &mut wanted.acknowledge, |at| {
        at.one_of("when a command is answered", &ACKNOWLEDGE)
    })?;
    object.field("scope", &mut wanted.here, |at| at.one_of("a scope", &[("here", true), ("fleet", false)]))
}

const MODES: [(&str, Mode); 3] =
    [("soft", Mode::Soft), ("revalidate", Mode::Revalidate), ("hard", Mode::Hard)];

/// Reads the wish to change the version of a namespace.
pub fn namespace(asked: &Asked<'_>) -> Result<Command, Problem> {
    let (said, reader) = (Said::of(asked)?, asked.reader);
    // Under a new version nothing is left of the old one.
    let (mut to, mut mode, mut wanted) = (None, Mode::Hard, Wanted::default());
    let one = |at: &At<'_>| {
        let selector = read(at, reader)?;
        let is_one = match &selector {
            Selector::Prefix(name) | Selector::Host(name) | Selector::Hostname(name) => {
                name.len() <= NAMESPACE_BYTES_MAX
            }
            Selector::Tags(tags) => tags.len() == 1,
            _ => false,
        };
        let expected = "a selector of one prefix, one host or one tag, at most 1024 bytes long";
        if is_one { Ok((at.value.written(), selector)) } else { Err(at.wrong("a namespace", expected)) }
    };
    let (shown, selector) = said.read(|object| {
        object.optional("version", &mut to, |at| at.whole_number())?;
        object.field("mode", &mut mode, |at| {
            at.one_of("a mode", &[("hard", Mode::Hard), ("soft", Mode::Soft)])
        })?;
        read_wanted(object, &mut wanted)?;
        if said.in_query { object.rest(one) } else { object.required("namespace", one) }
    })?;
    let purge = Purge::new(vec![(shown, selector.clone())], mode, Dialect::Own, asked.caller, reader);
    Ok(Command::Namespace(Bump { selector, to, wanted, invalidations: purge.invalidations }))
}

fn bounded(at: &At<'_>, max: usize) -> Read<String> {
    match at.string()? {
        text if text.len() > max => Err(at.error(format!("is too long; expected at most {max} bytes"))),
        text => Ok(text.to_owned()),
    }
}

/// Reads the wish to refresh URLs.
pub fn refresh(asked: &Asked<'_>) -> Result<Command, Problem> {
    let (said, reader) = (Said::of(asked)?, asked.reader);
    let uri = |at: &At<'_>| reader.uri(at.string()?).map_err(|why| at.error(why));
    let mut wanted = Wanted::default();
    let uris = said.read(|object| {
        read_wanted(object, &mut wanted)?;
        if said.in_query {
            return object.required("url", uri).map(|uri| vec![uri]);
        }
        object.required("urls", |at| at.list_within(reader.config.selectors_max, uri))
    })?;
    Ok(Command::Refresh(Refresh { uris, wanted, dialect: Dialect::Own }))
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
    fn an_error_names_its_place_and_has_no_effect() {
        let cases = [
            ("{", "", "the body is not valid JSON"),
            ("", "", "expected a body in JSON, or parameters in the query"),
            ("[]", "", "a list is not an object"),
            ("{}", "selectors", "is missing"),
            (r#"{"selectors":[]}"#, "selectors", "0 elements; expected 1 to 4"),
            (r#"{"selectors":[{"tag":"a"},{"tga":"b"}]}"#, "selectors[1].tga", "unknown field"),
            (r#"{"selectors":[{"tag":"a"},{"glob":"*"}]}"#, "selectors[1]", "covers everything; expected"),
            (r#"{"selectors":[{"tag":"a"}],"mode":"gone"}"#, "mode", "\"gone\" is not a mode"),
            (
                r#"{"selectors":[{"tag":"a"}],"mdoe":"hard"}"#,
                "mdoe",
                "unknown field; expected one of mode, reason",
            ),
            (r#"{"selectors":[{"tag":"a"}],"dry_run":"yes"}"#, "dry_run", "\"yes\" is not a boolean"),
            (r#"{"selectors":[1,2,3,4,5]}"#, "selectors", "5 elements; expected 1 to 4"),
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
                    (401, &"unknown token".into())
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
    fn an_unreadable_content_coding_or_type_is_refused_before_the_body() {
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
            ("purge?tga=a", "tga", "unknown field; expected one of"),
            ("purge?tag=a&modus=hard", "modus", "unknown field"),
            ("purge?tag=a&tag=b", "tag", "duplicate field"),
            ("purge?tag=", "tag", "is empty"),
            ("purge?tag=a&mode=", "mode", "\"\" is not a mode"),
            ("purge?mode=hard", "", "is empty; expected some of"),
            ("purge?tag=a&mode=gone", "mode", "\"gone\" is not a mode; expected one of \"soft\", "),
            ("purge?tag=a&dry_run=yes", "dry_run", "\"yes\" is not a boolean; expected true or false"),
            ("purge?tag=a&dry_run", "dry_run", "\"\" is not a boolean"),
            ("purge?all=true&stored_before=1e9", "stored_before", "\"1e9\" is not a time"),
            ("purge?tags=a,,b", "tags[1]", "is empty; expected a value"),
            ("purge?tags=a,b,c,d,e", "tags", "5 elements; expected 1 to 4"),
            ("purge?url=/a", "url", "\"/a\" is not an absolute URL"),
            ("purge?all=false", "all", "false is not a confirmation; expected true"),
            ("purge?glob=*", "", "covers everything; expected \"all\": true"),
            ("purge?not=a&host=h", "not", "\"a\" is not a negated condition"),
            ("purge?not.all=true&host=h", "not", "an object is not a negated condition"),
            ("purge?selectors=a", "selectors", "unknown field"),
            ("refresh?tag=a", "url", "is missing"),
            ("refresh?url=h/a&x=1", "x", "unknown field; expected one of acknowledge, scope, url"),
            ("refresh?url=/a", "url", "\"/a\" is not an absolute URL"),
            ("namespaces?prefix=h/&x=1", "x", "unknown field"),
            ("namespaces?all=true", "", "an object is not a namespace; expected a selector of one prefix"),
            ("namespaces?tag=a&version=-1", "version", "\"-1\" is not a whole number"),
            (
                "namespaces?tag=a&mode=revalidate",
                "mode",
                "\"revalidate\" is not a mode; expected one of \"hard\", \"soft\"",
            ),
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

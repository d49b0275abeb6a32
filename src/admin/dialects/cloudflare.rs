//! Cloudflare's purging API, for its clients: `POST /client/v4/zones/{zone}/purge_cache`.
//!
//! Purges are hard. The zone is not looked at; of a file with header fields all variants are purged.

use serde_json::{Value, json};

use super::json::Node;
use super::reader::{Asked, Reader};
use crate::admin::{AdminResponse, Command, Dialect, Problem, Purge};
use crate::invalidation::{Mode, Selector, Tag};

/// Whether a path is one of this dialect.
pub fn speaks(path: &[u8]) -> bool {
    let bare = path.split(|b| *b == b'?').next().unwrap_or_default();
    bare.strip_prefix(b"/client/v4/zones/")
        .and_then(|rest| rest.strip_suffix(b"/purge_cache"))
        .is_some_and(|zone| !zone.is_empty() && !zone.contains(&b'/'))
}

/// Reads a command.
pub fn command(asked: &Asked<'_>) -> Result<Command, Problem> {
    let reader = asked.reader;
    const KNOWN: &str = "files, tags, hosts, prefixes or purge_everything";
    let mut object = Node::parse(asked.body)?.object()?;
    let mut selectors = Vec::new();
    let max = reader.config.selectors_max;
    if let Some(node) = object.take("purge_everything") {
        if !node.bool()? {
            return Err(node.expected("true"));
        }
        selectors.push((Value::Null, Selector::All));
    }
    let lists: [(&str, Read); 4] = [("files", file), ("tags", tag), ("hosts", host), ("prefixes", prefix)];
    for (name, read) in lists {
        let Some(list) = object.take(name) else { continue };
        for node in list.list(max)? {
            selectors.push((Value::Null, read(node, reader)?));
        }
    }
    object.end(KNOWN)?;
    if !(1..=max).contains(&selectors.len()) {
        return Err(Problem::bad(format!("expected {KNOWN}, with 1 to {max} elements together")));
    }
    Ok(Command::Purge(Purge::new(selectors, Mode::Hard, Dialect::Cloudflare, asked.caller, reader)))
}

type Read = fn(Node, &Reader<'_>) -> Result<Selector, Problem>;

fn file(node: Node, reader: &Reader<'_>) -> Result<Selector, Problem> {
    let url = match node.value() {
        Value::Object(_) => {
            let mut object = node.object()?;
            let url = object.require("url", "a URL")?;
            if let Some(headers) = object.take("headers") {
                headers.object()?;
            }
            object.end("url, headers")?;
            url
        }
        _ => node,
    };
    reader.uri(url.string()?).map(Selector::Uri).map_err(|why| Problem::at(url.path(), why))
}

fn tag(node: Node, _: &Reader<'_>) -> Result<Selector, Problem> {
    let tag = Tag::new(node.string()?).ok_or_else(|| node.expected("a tag"))?;
    Ok(Selector::Tags(vec![tag]))
}

fn host(node: Node, reader: &Reader<'_>) -> Result<Selector, Problem> {
    reader.host(node.string()?).map_err(|why| Problem::at(node.path(), why))
}

fn prefix(node: Node, reader: &Reader<'_>) -> Result<Selector, Problem> {
    reader.prefix(node.string()?).map_err(|why| Problem::at(node.path(), why))
}

/// The answer to a purge.
pub fn purged(positions: &[u64]) -> AdminResponse {
    let id = positions.last().map(u64::to_string).unwrap_or_default();
    let body = json!({ "success": true, "errors": [], "messages": [], "result": { "id": id } });
    AdminResponse::json(200, &body)
}

/// The answer to a command that is not carried out.
pub fn problem(problem: &Problem) -> AdminResponse {
    let error = json!({ "code": problem.status, "message": problem.sentence() });
    let body = json!({ "success": false, "errors": [error], "messages": [], "result": null });
    problem.complete(AdminResponse::json(problem.status, &body))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::admin::fixture::{answer, asked, body, config, request, send, tags};
    use crate::admin::{JournalBusy, Recognised, purged, recognise};
    #[cfg(all(target_arch = "wasm32", target_os = "unknown"))]
    use wasm_bindgen_test::wasm_bindgen_test as test;

    const LINE: &str = "POST /client/v4/zones/023e105f/purge_cache";

    #[test]
    fn requests_become_hard_purges() {
        let uri = |text: &str| Selector::Uri(text.as_bytes().to_vec());
        let cases = [
            (r#"{"files":["http://w.example/a?b"]}"#, vec![uri("w.example/a?b")]),
            (
                r#"{"files":[{"url":"https://w.example/a","headers":{"CF-Device-Type":"mobile"}}]}"#,
                vec![uri("w.example/a")],
            ),
            (r#"{"tags":["a","data"]}"#, vec![tags(&["a"]), tags(&["data", "user"])]),
            (r#"{"hosts":["w.example"]}"#, vec![Selector::Hostname(b"w.example".to_vec())]),
            (r#"{"prefixes":["w.example/blog"]}"#, vec![Selector::Prefix(b"w.example/blog".to_vec())]),
            (r#"{"purge_everything":true}"#, vec![Selector::All]),
            (r#"{"tags":["a"],"files":["w.example/"]}"#, vec![uri("w.example/"), tags(&["a"])]),
        ];
        for (text, selectors) in cases {
            assert_eq!(asked(LINE, &[], text), (Mode::Hard, selectors), "{text}");
        }
    }

    #[test]
    fn the_answer_has_the_shape_that_clients_parse() {
        let response = answer(LINE, &[], r#"{"tags":["a","b"]}"#);
        let expected = json!({"success": true, "errors": [], "messages": [], "result": {"id": "12"}});
        assert_eq!((response.status, body(&response)), (200, expected));
    }

    #[test]
    fn what_is_wrong_is_an_error_with_its_place() {
        let cases = [
            ("", "the body is not valid JSON"),
            ("{}", "expected files, tags"),
            (r#"{"tag":["a"]}"#, "tag: is not known here"),
            (r#"{"tags":["a",7]}"#, "tags[1]: expected a string"),
            (r#"{"tags":[]}"#, "tags: expected 1 to 4"),
            (r#"{"tags":["a","b","c"],"hosts":["d","e"]}"#, "expected files, tags"),
            (r#"{"files":[{"headers":{}}]}"#, "files[0].url: is missing"),
            (r#"{"files":["/a"]}"#, "files[0]: expected an absolute URL"),
            (r#"{"prefixes":["w.example/a?b"]}"#, "prefixes[0]: expected a URL without query"),
            (r#"{"purge_everything":false}"#, "purge_everything: expected true"),
        ];
        for (text, expected) in cases {
            let response = send(LINE, &[], text).unwrap_err();
            let body = body(&response);
            assert_eq!((response.status, &body["success"]), (400, &json!(false)), "{text}");
            let message = body["errors"][0]["message"].as_str().unwrap();
            assert!(message.starts_with(expected), "{text}: {message}");
        }
        let everything = r#"{"purge_everything":true}"#;
        assert_eq!(send(LINE, &[("authorization", "Bearer purge")], everything).unwrap_err().status, 403);
        assert_eq!(send(&LINE.replace("POST", "GET"), &[], "").unwrap_err().status, 405);
    }

    #[test]
    fn a_busy_journal_is_no_success() {
        let purge = crate::admin::fixture::purge(LINE, &[], r#"{"tags":["a","b"]}"#);
        let response = purged(&purge, &[Ok(1), Err(JournalBusy)]);
        assert_eq!((response.status, &body(&response)["success"]), (503, &json!(false)));
        assert!(response.fields.contains("retry-after"));
    }

    #[test]
    fn a_wrong_token_is_an_error_of_this_dialect() {
        for (field, value) in [("authorization", "Bearer wrong"), ("x-auth-key", "wrong")] {
            let wrong = request(LINE, &[("authorization", ""), (field, value)]);
            let Recognised::Unauthorised(answer) = recognise(&wrong, &config()) else { panic!("{field}") };
            assert_eq!((answer.status, &body(&answer)["success"]), (401, &json!(false)));
        }
        let nobody = request(LINE, &[("authorization", "")]);
        assert_eq!(recognise(&nobody, &config()), Recognised::NotForUs);
        for path in
            ["/client/v4/zones/a/b/purge_cache", "/client/v4/zones//purge_cache", "/client/v4/zones/a"]
        {
            let request = request(&format!("POST {path}"), &[]);
            assert_eq!(recognise(&request, &config()), Recognised::NotForUs, "{path}");
        }
    }
}

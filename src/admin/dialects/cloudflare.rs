//! Cloudflare's purging API, for its clients: `POST /client/v4/zones/{zone}/purge_cache`.
//!
//! Purges are hard. The zone is not looked at; of a file with header fields all variants are purged.

use serde_json::{Value, json};

use super::reader::{Asked, Reader};
use super::selectors::read_tag;
use crate::admin::{AdminResponse, Command, Dialect, Problem, Purge};
use crate::invalidation::{Mode, Selector};
use crate::json::{At, Json, Read, boolean};

/// Whether a path is one of this dialect.
pub fn speaks(path: &[u8]) -> bool {
    let bare = path.split(|b| *b == b'?').next().unwrap_or_default();
    bare.strip_prefix(b"/client/v4/zones/")
        .and_then(|rest| rest.strip_suffix(b"/purge_cache"))
        .is_some_and(|zone| !zone.is_empty() && !zone.contains(&b'/'))
}

/// Reads a command.
pub fn command(asked: &Asked<'_>) -> Result<Command, Problem> {
    let (reader, max) = (asked.reader, asked.reader.config.selectors_max);
    let mut selectors = Vec::new();
    asked.body_as(|at| {
        at.object(|object| {
            object.field("purge_everything", &mut (), |at| {
                if !boolean(at)? {
                    return Err(at.wrong("a purge", "true"));
                }
                selectors.push(Selector::All);
                Ok(())
            })?;
            for (name, read) in LISTS {
                let read = |at: &At<'_>| at.list_within(max, |at| read(at, reader));
                object.field(name, &mut (), |at| read(at).map(|list| selectors.extend(list)))?;
            }
            Ok(())
        })
    })?;
    if !(1..=max).contains(&selectors.len()) {
        let names = LISTS.map(|(name, _)| name).join(", ");
        return Err(Problem::bad(format!(
            "expected purge_everything, {names}, with 1 to {max} elements together"
        )));
    }
    let selectors = selectors.into_iter().map(|selector| (Value::Null, selector)).collect();
    Ok(Command::Purge(Purge::new(selectors, Mode::Hard, Dialect::Cloudflare, asked.caller, reader)))
}

type ReadOne = fn(&At<'_>, &Reader<'_>) -> Read<Selector>;

const LISTS: [(&str, ReadOne); 4] = [("files", file), ("tags", tag), ("hosts", host), ("prefixes", prefix)];

fn file(at: &At<'_>, reader: &Reader<'_>) -> Read<Selector> {
    let url = |at: &At<'_>| reader.uri(at.string()?).map(Selector::Uri).map_err(|why| at.error(why));
    match at.value {
        Json::Object(_) => at.object(|object| {
            object.field("headers", &mut (), |at| at.entries(|_, _| Ok(())).map(drop))?;
            object.required("url", url)
        }),
        _ => url(at),
    }
}

fn tag(at: &At<'_>, _: &Reader<'_>) -> Read<Selector> {
    read_tag(at).map(|tag| Selector::Tags(vec![tag]))
}

fn host(at: &At<'_>, reader: &Reader<'_>) -> Read<Selector> {
    reader.host(at.string()?).map_err(|why| at.error(why))
}

fn prefix(at: &At<'_>, reader: &Reader<'_>) -> Read<Selector> {
    reader.prefix(at.string()?).map_err(|why| at.error(why))
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
            ("{}", "expected purge_everything, files, tags"),
            (
                r#"{"tag":["a"]}"#,
                "tag: unknown field; expected one of purge_everything, files, tags, hosts, prefixes",
            ),
            (r#"{"tags":["a",7]}"#, "tags[1]: 7 is not a string"),
            (r#"{"tags":[]}"#, "tags: 0 elements; expected 1 to 4"),
            (r#"{"tags":["a","b","c"],"hosts":["d","e"]}"#, "expected purge_everything, files, tags"),
            (r#"{"files":[{"headers":{}}]}"#, "files[0].url: is missing"),
            (r#"{"files":["/a"]}"#, "files[0]: \"/a\" is not an absolute URL"),
            (
                r#"{"prefixes":["w.example/a?b"]}"#,
                "prefixes[0]: \"w.example/a?b\" is not a URL without a query",
            ),
            (r#"{"purge_everything":false}"#, "purge_everything: false is not a purge; expected true"),
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

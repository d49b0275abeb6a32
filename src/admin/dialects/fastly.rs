//! Fastly's purging API, for its clients: `PURGE` with `Fastly-Key`, `POST /purge/{host}/{path}`,
//! `POST /service/{id}/purge/{key}`, `POST /service/{id}/purge` with many keys, `POST /service/{id}/purge_all`.
//!
//! Purges are hard; with `Fastly-Soft-Purge: 1` they are soft, here also those of everything. The service in the
//! path is not looked at.

use serde_json::{Map, Value, json};

use super::reader::{Asked, Reader};
use super::selectors::read_tag;
use super::url::percent_decoded;
use super::varnish::{self, tag_list};
use crate::admin::{AdminResponse, Command, Dialect, Problem, Purge};
use crate::http::RequestHead;
use crate::invalidation::{Mode, Selector, Tag};

/// Whether a request is in this dialect.
pub fn speaks(request: &RequestHead) -> bool {
    let (path, has) = (request.path(), |name| request.fields.contains(name));
    match request.method() {
        b"PURGE" => has("fastly-key") || has("fastly-soft-purge"),
        _ => (path.starts_with(b"/service/") || path.starts_with(b"/purge/")) && has("fastly-key"),
    }
}

/// Reads the purge of a URL by its own method.
pub fn purge(asked: &Asked<'_>) -> Result<Command, Problem> {
    if varnish::selects(asked.request)? {
        return Err(Problem::bad("purging by header fields needs admin.methods: nothing has been purged"));
    }
    let uri = asked.reader.target(asked.request, asked.path)?;
    Ok(command(asked, vec![(Value::Null, Selector::Uri(uri))]))
}

/// Reads the purge of a URL in the path.
pub fn url(asked: &Asked<'_>) -> Result<Command, Problem> {
    url_purge(asked.name_and_query, asked.reader).map(|urls| command(asked, urls))
}

/// Reads the purge of everything.
pub fn everything(asked: &Asked<'_>) -> Result<Command, Problem> {
    Ok(command(asked, vec![(Value::Null, Selector::All)]))
}

/// Reads the purge of a key in the path.
pub fn key(asked: &Asked<'_>) -> Result<Command, Problem> {
    let name = percent_decoded(asked.name)?;
    let tag = Tag::new(&name).ok_or_else(|| Problem::bad(format!("\"{name}\" cannot be a key")))?;
    Ok(command(asked, vec![(Value::Null, Selector::Tags(vec![tag]))]))
}

/// Reads the purge of keys in a field or in the body.
pub fn keys(asked: &Asked<'_>) -> Result<Command, Problem> {
    let tags = match asked.request.fields.combined("surrogate-key") {
        Some(value) => {
            let value = String::from_utf8(value).map_err(|_| Problem::bad("surrogate-key is not UTF-8"))?;
            tag_list("surrogate-key", &value, asked.reader.config.selectors_max)?
        }
        None => keys_of_body(asked)?,
    };
    let keys = tags.into_iter().map(|tag| (Value::from(tag.as_str()), Selector::Tags(vec![tag])));
    Ok(command(asked, keys.collect()))
}

fn command(asked: &Asked<'_>, selectors: Selectors) -> Command {
    let soft = asked.request.fields.get("fastly-soft-purge").is_some_and(|value| value.trim_ascii() != b"0");
    let mode = if soft { Mode::Soft } else { Mode::Hard };
    Command::Purge(Purge::new(selectors, mode, Dialect::Fastly, asked.caller, asked.reader))
}

type Selectors = Vec<(Value, Selector)>;

/// Clients disagree on whether the URL in the path is encoded once more: then both readings are purged.
fn url_purge(url: &str, reader: &Reader<'_>) -> Result<Selectors, Problem> {
    let mut uris = vec![reader.uri(url).map_err(Problem::bad)?];
    if let Ok(decoded) = percent_decoded(url)
        && let Ok(uri) = reader.uri(&decoded)
        && !uris.contains(&uri)
    {
        uris.push(uri);
    }
    Ok(uris.into_iter().map(|uri| (Value::Null, Selector::Uri(uri))).collect())
}

fn keys_of_body(asked: &Asked<'_>) -> Result<Vec<Tag>, Problem> {
    let max = asked.reader.config.selectors_max;
    asked.body_as(|at| {
        at.object(|object| object.required("surrogate_keys", |at| at.list_within(max, read_tag)))
    })
}

/// The answer to a purge. With many keys each has its own receipt; they are strings.
pub fn purged(purge: &Purge, positions: &[u64]) -> AdminResponse {
    let mut ids = Map::new();
    for (asked, position) in purge.asked.iter().zip(positions) {
        if let Some(key) = asked.as_str() {
            ids.insert(key.to_owned(), position.to_string().into());
        }
    }
    if ids.is_empty() {
        let id = positions.last().map(u64::to_string);
        return AdminResponse::json(200, &json!({ "status": "ok", "id": id }));
    }
    AdminResponse::json(200, &Value::Object(ids))
}

/// The answer to a command that is not carried out.
pub fn problem(problem: &Problem) -> AdminResponse {
    let body = json!({ "msg": problem.message, "detail": problem.path });
    problem.complete(AdminResponse::json(problem.status, &body))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::admin::fixture::{answer, asked, body, config, request, send, tags};
    use crate::admin::recognise::dialect;
    use crate::admin::{Recognised, recognise};
    #[cfg(all(target_arch = "wasm32", target_os = "unknown"))]
    use wasm_bindgen_test::wasm_bindgen_test as test;

    const KEY: (&str, &str) = ("fastly-key", "all");
    const SOFT: (&str, &str) = ("fastly-soft-purge", "1");

    fn uri(text: &str) -> Selector {
        Selector::Uri(text.as_bytes().to_vec())
    }

    #[test]
    fn requests_become_purges() {
        use Mode::{Hard, Soft};
        type Case =
            (&'static str, &'static [(&'static str, &'static str)], &'static str, Mode, Vec<Selector>);
        let cases: Vec<Case> = vec![
            ("PURGE /a?b", &[KEY], "", Hard, vec![uri("h.example/a?b")]),
            ("PURGE /a", &[SOFT], "", Soft, vec![uri("h.example/a")]),
            ("POST /purge/www.example/a?b=c", &[KEY], "", Hard, vec![uri("www.example/a?b=c")]),
            (
                "POST /purge/www.example/a%3Fb=c",
                &[KEY, SOFT],
                "",
                Soft,
                vec![uri("www.example/a%3Fb=c"), uri("www.example/a?b=c")],
            ),
            ("POST /service/SU1/purge/user%2042", &[KEY], "", Hard, vec![tags(&["user 42"])]),
            ("POST /service/SU1/purge/a/b", &[KEY, SOFT], "", Soft, vec![tags(&["a/b"])]),
            ("POST /service/SU1/purge/data", &[KEY], "", Hard, vec![tags(&["data", "user"])]),
            (
                "POST /service/SU1/purge",
                &[KEY, ("surrogate-key", "a b")],
                "",
                Hard,
                vec![tags(&["a"]), tags(&["b"])],
            ),
            (
                "POST /service/SU1/purge",
                &[KEY, SOFT],
                r#"{"surrogate_keys":["a","b c"]}"#,
                Soft,
                vec![tags(&["a"]), tags(&["b c"])],
            ),
            ("POST /service/SU1/purge_all", &[KEY], "", Hard, vec![Selector::All]),
            ("POST /service/SU1/purge_all", &[KEY, SOFT], "", Soft, vec![Selector::All]),
        ];
        for (line, fields, text, mode, selectors) in cases {
            assert_eq!(asked(line, fields, text), (mode, selectors), "{line} {fields:?}");
        }
    }

    #[test]
    fn answers_have_the_shape_that_clients_parse() {
        let ok = |id| json!({"status": "ok", "id": id});
        let cases = [
            ("POST /service/SU1/purge/a", "", ok("11")),
            ("POST /service/SU1/purge_all", "", ok("11")),
            ("POST /purge/www.example/a", "", ok("11")),
            ("POST /service/SU1/purge", r#"{"surrogate_keys":["a","b"]}"#, json!({"a": "11", "b": "12"})),
        ];
        for (line, text, expected) in cases {
            let response = answer(line, &[KEY], text);
            assert_eq!((response.status, body(&response)), (200, expected), "{line}");
        }
    }

    #[test]
    fn what_is_wrong_is_refused_in_the_dialect() {
        let cases = [
            ("POST /service/SU1", "", 404),
            ("POST /service/SU1/version", "", 404),
            ("POST /service/SU1/purge", "", 400),
            ("POST /service/SU1/purge", r#"{"keys":["a"]}"#, 400),
            ("POST /service/SU1/purge", r#"{"surrogate_keys":["a","b","c","d","e"]}"#, 400),
            ("POST /service/SU1/purge/%zz", "", 400),
        ];
        for (line, text, status) in cases {
            let response = send(line, &[KEY], text).unwrap_err();
            assert_eq!(response.status, status, "{line} {text}");
            assert!(body(&response)["msg"].is_string());
        }
        let response = send("POST /service/SU1/purge_all", &[("fastly-key", "purge")], "").unwrap_err();
        assert_eq!(response.status, 403);
    }

    #[test]
    fn a_wrong_key_is_an_error_of_this_dialect() {
        for line in ["POST /service/SU1/purge/a", "POST /purge/www.example/a", "PURGE /a"] {
            let request = request(line, &[("fastly-key", "wrong")]);
            let Recognised::Unauthorised(answer) = recognise(&request, &config()) else { panic!("{line}") };
            assert_eq!((answer.status, body(&answer)["msg"].is_string()), (401, true), "{line}");
        }
        assert_eq!(recognise(&request("GET /service/SU1", &[KEY]), &config()), Recognised::NotForUs);
    }

    #[test]
    fn fields_that_select_are_not_in_these_words() {
        // With the methods of Varnish they are in its.
        assert_eq!(asked("PURGE /a", &[KEY, ("xkey", "a")], ""), (Mode::Hard, vec![tags(&["a"])]));
        assert_eq!(send("PURGE /a", &[KEY, ("x-tags", "a")], "").unwrap_err().status, 400);
        let off = crate::config::AdminConfig { methods: false, ..config() };
        assert_eq!(dialect(&request("PURGE /a", &[KEY, ("xkey", "a")]), &off), Some(Dialect::Fastly));
    }
}

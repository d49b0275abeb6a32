//! What can be asked in Larder's own language, with `GET` and query parameters, or `POST` where there is more to say.

use super::reader::{Asked, Reader, read_json};
use super::{parameters, selectors};
use crate::admin::{Command, EntriesQuery, ExplainQuery, Problem, Shape};
use crate::http::{Fields, RequestHead, uri};
use crate::json::{At, Json, Object, Read, shortened};

/// How many entries or records a page has unless asked otherwise, and at most.
const PAGE: (u64, u64) = (100, 1000);

/// The most request fields of a question for an explanation. Beyond it the question is refused with a 400.
const FIELDS_MAX: usize = 64;

/// What `read` makes of the parameters of the query.
fn query<T>(asked: &Asked<'_>, read: impl FnOnce(&mut Object<'_>) -> Read<T>) -> Result<T, Problem> {
    read_json(&Json::Object(parameters::fields(asked.path)?), |at| at.object(read))
}

fn limit(object: &mut Object<'_>) -> Read<usize> {
    let (mut limit, max) = PAGE;
    object.field("limit", &mut limit, |at| at.number_within(1, max))?;
    Ok(limit as usize)
}

fn number(object: &mut Object<'_>, name: &'static str) -> Read<Option<u64>> {
    let mut number = None;
    object.optional(name, &mut number, |at| at.whole_number())?;
    Ok(number)
}

fn owned(at: &At<'_>) -> Read<String> {
    at.string().map(str::to_owned)
}

/// The journal's tail.
pub fn journal(asked: &Asked<'_>) -> Result<Command, Problem> {
    query(asked, |object| Ok(Command::Journal { before: number(object, "before")?, limit: limit(object)? }))
}

/// A receipt.
pub fn receipt(asked: &Asked<'_>) -> Result<Command, Problem> {
    let wrong =
        || Problem::new(404, format!("{:?} is not a receipt; expected its number", shortened(asked.name)));
    if let Some(revision) = asked.name.strip_prefix("fleet:") {
        let revision = revision.parse().map_err(|_| wrong())?;
        return query(asked, |_| Ok(Command::FleetReceipt { revision }));
    }
    let seq = asked.name.parse().map_err(|_| wrong())?;
    query(asked, |object| Ok(Command::Receipt { seq, cursor: number(object, "cursor")? }))
}

/// Entries that a selector covers; its fields are query parameters.
pub fn entries(asked: &Asked<'_>) -> Result<Command, Problem> {
    let mut fields = parameters::command(asked.path)?;
    // A page of everything is nothing to be careful about.
    if fields.iter().all(|(name, _)| name != "all") {
        fields.push(("all".into(), Json::Bool(true)));
    }
    read_json(&Json::Object(fields), |at| {
        at.object(|object| {
            let (limit, cursor) = (limit(object)?, number(object, "cursor")?);
            let selector = object.rest(|at| selectors::read(at, asked.reader))?;
            Ok(Command::Entries(EntriesQuery { selector, cursor, limit, shape: Shape::Own }))
        })
    })
}

/// All stored responses of one URL in full.
pub fn entry(asked: &Asked<'_>) -> Result<Command, Problem> {
    query(asked, |object| {
        let uri = object.required("url", |at| asked.reader.uri(at.string()?).map_err(|why| at.error(why)))?;
        Ok(Command::Entry { uri })
    })
}

/// What a GET of a URL would find, with the fields `header=name:value`.
pub fn explain(asked: &Asked<'_>) -> Result<Command, Problem> {
    let mut parameters = parameters::fields(asked.path)?;
    let mut lines = Vec::new();
    while let Some(line) = parameters::take(&mut parameters, "header") {
        let (name, value) = line.text().and_then(|line| line.split_once(':')).ok_or_else(|| {
            Problem::at("header", format!("{line} is not a header field; expected name:value"))
        })?;
        lines.push((name.trim().to_owned(), value.trim().to_owned()));
    }
    let url = read_json(&Json::Object(parameters), |at| at.object(|object| object.required("url", owned)))?;
    question(&url, "GET", lines, asked.reader)
}

/// What a request would find, in JSON: `{"url": …, "method": …, "headers": {…}}`.
pub fn explain_body(asked: &Asked<'_>) -> Result<Command, Problem> {
    let (mut method, mut lines) = ("GET".to_owned(), Vec::new());
    let url = asked.body_as(|at| {
        at.object(|object| {
            object.field("method", &mut method, owned)?;
            object.field("headers", &mut lines, |at| at.entries(line))?;
            object.required("url", owned)
        })
    })?;
    question(&url, &method, lines, asked.reader)
}

fn line(name: &At<'_>, value: &At<'_>) -> Read<(String, String)> {
    let text = value.value.text().ok_or_else(|| value.wrong("a string", "one in quotes"))?;
    Ok((name.value.text().unwrap_or_default().to_owned(), text.to_owned()))
}

fn question(
    url: &str,
    method: &str,
    lines: Vec<(String, String)>,
    reader: &Reader<'_>,
) -> Result<Command, Problem> {
    let canonical = reader.uri(url).map_err(|why| Problem::at("url", why))?;
    if lines.len() > FIELDS_MAX {
        return Err(Problem::at("headers", format!("expected at most {FIELDS_MAX}")));
    }
    let (scheme, rest) = uri::split_scheme(url);
    let scheme = scheme.unwrap_or("http").to_ascii_lowercase();
    let (authority, path) = uri::split_authority(rest);
    let path = path.split('#').next().unwrap_or_default();
    let path = if path.starts_with('/') { path.to_owned() } else { format!("/{path}") };
    // As clients spell the host of a URL.
    let mut host = Vec::with_capacity(authority.len());
    uri::push_host(&mut host, scheme.as_bytes(), authority.as_bytes());
    let target = [(":method", method.as_bytes()), (":scheme", scheme.as_bytes()), (":authority", &host)];
    let mut fields = Fields::from_iter(target);
    fields.push(":path", path);
    for (name, value) in lines.iter().filter(|(name, _)| !name.is_empty() && !name.starts_with(':')) {
        fields.push(name, value);
    }
    let request = RequestHead { fields, has_body: false };
    Ok(Command::Explain(ExplainQuery { url: url.to_owned(), uri: canonical, request }))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::admin::fixture::{send, tags};
    use crate::invalidation::{Selector, Term};
    #[cfg(all(target_arch = "wasm32", target_os = "unknown"))]
    use wasm_bindgen_test::wasm_bindgen_test as test;

    fn ask(what: &str) -> Result<Command, String> {
        send(&format!("GET /_larder/{what}"), &[], "")
            .map_err(|response| format!("{} {}", response.status, String::from_utf8(response.body).unwrap()))
    }

    fn entries(selector: Selector, cursor: Option<u64>, limit: usize) -> Command {
        Command::Entries(EntriesQuery { selector, cursor, limit, shape: Shape::Own })
    }

    #[test]
    fn questions_are_read() {
        let both =
            Selector::And(vec![Term::is(Selector::Hostname(b"h".to_vec())), Term::is(Selector::Status(404))]);
        let cases = [
            ("stats", Command::Stats),
            ("health", Command::Health),
            ("config", Command::Config),
            ("namespaces", Command::Namespaces),
            ("journal", Command::Journal { before: None, limit: 100 }),
            ("journal?before=42&limit=5", Command::Journal { before: Some(42), limit: 5 }),
            ("fleet", Command::Fleet),
            ("receipts/fleet:42", Command::FleetReceipt { revision: 42 }),
            ("receipts/42", Command::Receipt { seq: 42, cursor: None }),
            ("receipts/42?cursor=7", Command::Receipt { seq: 42, cursor: Some(7) }),
            ("entries", entries(Selector::All, None, 100)),
            ("entries?tag=user%3A42&limit=7&cursor=9", entries(tags(&["user:42"]), Some(9), 7)),
            ("entries?prefix=h/blog/", entries(Selector::Prefix(b"h/blog/".to_vec()), None, 100)),
            ("entries?status=404&host=h", entries(both, None, 100)),
            ("entries?tags=a,b&all=true", entries(tags(&["a", "b"]), None, 100)),
            ("entry?url=https://h/a%3Fb=c", Command::Entry { uri: b"h/a?b=c".to_vec() }),
            // As in a purge of it.
            ("entry?url=https://h/a+b", Command::Entry { uri: b"h/a+b".to_vec() }),
        ];
        for (what, expected) in cases {
            assert_eq!(ask(what), Ok(expected), "{what}");
        }
    }

    #[test]
    fn a_request_to_explain_is_built() {
        let Ok(Command::Explain(get)) = ask("explain?url=https://H/a%3Fb&header=Accept-Language:+de") else {
            panic!()
        };
        let lines = [
            (":method", "GET"),
            (":scheme", "https"),
            (":authority", "h"),
            (":path", "/a?b"),
            ("accept-language", "de"),
        ];
        assert_eq!((&get.uri[..], &get.request.fields), (&b"h/a?b"[..], &Fields::from_iter(lines)));
        let text = r#"{"url":"h","method":"HEAD","headers":{"X":"1",":path":"/evil"}}"#;
        let Ok(Command::Explain(post)) = send("POST /_larder/explain", &[], text) else { panic!() };
        let lines =
            [(":method", "HEAD"), (":scheme", "http"), (":authority", "h"), (":path", "/"), ("x", "1")];
        assert_eq!(post.request.fields, Fields::from_iter(lines));
        // A scheme in a query is none, and one in capitals is the same.
        for (url, scheme, path) in
            [("h/r?u=http://x/", "http", "/r?u=http://x/"), ("HTTPS://h/", "https", "/")]
        {
            let text = format!(r#"{{"url":"{url}"}}"#);
            let Ok(Command::Explain(ask)) = send("POST /_larder/explain", &[], &text) else {
                panic!("{url}")
            };
            let lines = [(":method", "GET"), (":scheme", scheme), (":authority", "h"), (":path", path)];
            assert_eq!(ask.request.fields, Fields::from_iter(lines), "{url}");
        }
    }

    #[test]
    fn an_error_names_its_place() {
        let cases = [
            (
                "journal?limit=0",
                "400 {\"error\":{\"message\":\"0 is out of range; expected 1 to 1000\",\"path\":\"limit\"}}",
            ),
            ("journal?before=x", "400 {\"error\":{\"message\":\"\\\"x\\\" is not a whole number"),
            ("journal?after=1", "400 {\"error\":{\"message\":\"unknown field; expected one of before, limit"),
            ("receipts/x", "404"),
            ("receipts/fleet:x", "404"),
            ("receipts/", "404"),
            ("entries?cursor=x", "400 {\"error\":{\"message\":\"\\\"x\\\" is not a whole number"),
            ("entries?tga=x", "400 {\"error\":{\"message\":\"unknown field; expected one of url"),
            ("entries?tag=a&tag=b", "400 {\"error\":{\"message\":\"duplicate field"),
            ("entries?all=1", "400"),
            ("entries?all=false", "400"),
            ("entries?not=1", "400"),
            ("entry", "400 {\"error\":{\"message\":\"is missing\",\"path\":\"url\"}}"),
            ("entry?url=/a", "400"),
            ("explain?url=/a", "400"),
            ("explain?url=h/a&header=x", "400"),
            ("nothing", "404"),
        ];
        for (what, expected) in cases {
            let found = ask(what).unwrap_err();
            assert!(found.starts_with(expected), "{what}: {found}");
        }
    }
}

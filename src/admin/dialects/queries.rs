//! What can be asked in Larder's own language, with `GET` and query parameters, or `POST` where there is more to say.

use serde_json::Value;

use super::json::Node;
use super::reader::{Asked, Reader};
use super::url::parameters as decoded_parameters;
use super::{parameters, selectors};
use crate::admin::{Command, EntriesQuery, ExplainQuery, Problem, Shape};
use crate::http::{Fields, RequestHead, uri};

/// How many entries or records a page has unless asked otherwise, and at most.
const PAGE: (u64, u64) = (100, 1000);

/// The most request fields of a question for an explanation. Beyond it the question is refused with a 400.
const FIELDS_MAX: usize = 64;

/// The parameters of a query, taken out one by one.
struct Parameters(Vec<(String, String)>);

impl Parameters {
    fn of(path: &str) -> Result<Parameters, Problem> {
        decoded_parameters(path).map(Parameters)
    }

    fn take(&mut self, name: &str) -> Option<String> {
        let at = self.0.iter().position(|(n, _)| n == name)?;
        Some(self.0.remove(at).1)
    }

    fn number(&mut self, name: &str) -> Result<Option<u64>, Problem> {
        let wrong = |text: &str| Problem::at(name, format!("expected a whole number, found \"{text}\""));
        self.take(name).map(|text| text.parse().map_err(|_| wrong(&text))).transpose()
    }

    fn limit(&mut self) -> Result<usize, Problem> {
        let (default, max) = PAGE;
        let limit = self.number("limit")?.unwrap_or(default);
        if (1..=max).contains(&limit) {
            Ok(limit as usize)
        } else {
            Err(Problem::at("limit", format!("expected 1 to {max}")))
        }
    }

    fn require(&mut self, name: &str) -> Result<String, Problem> {
        self.take(name).ok_or_else(|| Problem::at(name, "is missing from the query"))
    }

    fn end(self) -> Result<(), Problem> {
        match self.0.first() {
            Some((name, _)) => Err(Problem::at(name, "is not known in the query, or stands there twice")),
            None => Ok(()),
        }
    }
}

/// The journal's tail.
pub fn journal(asked: &Asked<'_>) -> Result<Command, Problem> {
    let mut query = Parameters::of(asked.path)?;
    let (before, limit) = (query.number("before")?, query.limit()?);
    query.end()?;
    Ok(Command::Journal { before, limit })
}

/// A receipt.
pub fn receipt(asked: &Asked<'_>) -> Result<Command, Problem> {
    let wrong = || Problem::new(404, format!("expected the number of a receipt, found \"{}\"", asked.name));
    let seq = asked.name.parse().map_err(|_| wrong())?;
    let mut query = Parameters::of(asked.path)?;
    let cursor = query.number("cursor")?;
    query.end()?;
    Ok(Command::Receipt { seq, cursor })
}

/// Entries that a selector covers; its members are query parameters.
pub fn entries(asked: &Asked<'_>) -> Result<Command, Problem> {
    let mut members = parameters::members(asked.path)?;
    let mut query = Parameters(Vec::new());
    for name in ["limit", "cursor"] {
        let value = members.remove(name).and_then(|value| value.as_str().map(str::to_owned));
        query.0.extend(value.map(|value| (name.to_owned(), value)));
    }
    let (limit, cursor) = (query.limit()?, query.number("cursor")?);
    // A page of everything is nothing to be careful about.
    members.insert("all".into(), true.into());
    let selector = selectors::read(Node::new(Value::Object(members)), asked.reader)?;
    Ok(Command::Entries(EntriesQuery { selector, cursor, limit, shape: Shape::Own }))
}

/// All stored responses of one URL in full.
pub fn entry(asked: &Asked<'_>) -> Result<Command, Problem> {
    let mut query = Parameters::of(asked.path)?;
    let url = query.require("url")?;
    query.end()?;
    Ok(Command::Entry { uri: asked.reader.uri(&url).map_err(|why| Problem::at("url", why))? })
}

/// What a GET of a URL would find, with the fields `header=name:value`.
pub fn explain(asked: &Asked<'_>) -> Result<Command, Problem> {
    let mut query = Parameters::of(asked.path)?;
    let url = query.require("url")?;
    let mut fields = Vec::new();
    while let Some(line) = query.take("header") {
        let (name, value) =
            line.split_once(':').ok_or_else(|| Problem::at("header", "expected name:value"))?;
        fields.push((name.trim().to_owned(), value.trim().to_owned()));
    }
    query.end()?;
    question(&url, "GET", fields, asked.reader)
}

/// What a request would find, in JSON: `{"url": …, "method": …, "headers": {…}}`.
pub fn explain_body(asked: &Asked<'_>) -> Result<Command, Problem> {
    let mut object = Node::parse(asked.body)?.object()?;
    let url = object.require("url", "an absolute URL")?.string()?.to_owned();
    let method =
        object.take("method").map_or(Ok("GET".to_owned()), |node| node.string().map(str::to_owned))?;
    let mut fields = Vec::new();
    if let Some(headers) = object.take("headers") {
        let mut headers = headers.object()?;
        while let Some((name, value)) = headers.take_any() {
            fields.push((name, value.value().as_str().ok_or_else(|| value.expected("a string"))?.to_owned()));
        }
    }
    object.end("url, method, headers")?;
    question(&url, &method, fields, asked.reader)
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
    let (scheme, rest) = url.split_once("://").unwrap_or(("http", url));
    let end = rest.find(['/', '?', '#']).unwrap_or(rest.len());
    let (authority, path) = rest.split_at_checked(end).unwrap_or((rest, ""));
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
            ("receipts/42", Command::Receipt { seq: 42, cursor: None }),
            ("receipts/42?cursor=7", Command::Receipt { seq: 42, cursor: Some(7) }),
            ("entries", entries(Selector::All, None, 100)),
            ("entries?tag=user%3A42&limit=7&cursor=9", entries(tags(&["user:42"]), Some(9), 7)),
            ("entries?prefix=h/blog/", entries(Selector::Prefix(b"h/blog/".to_vec()), None, 100)),
            ("entries?status=404&host=h", entries(both, None, 100)),
            ("entries?tags=a,b&all=true", entries(tags(&["a", "b"]), None, 100)),
            ("entry?url=https://h/a%3Fb=c", Command::Entry { uri: b"h/a?b=c".to_vec() }),
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
    }

    #[test]
    fn what_is_wrong_is_said_with_its_place() {
        let cases = [
            ("journal?limit=0", "400 {\"error\":{\"message\":\"expected 1 to 1000\",\"path\":\"limit\"}}"),
            ("journal?before=x", "400 {\"error\":{\"message\":\"expected a whole number"),
            ("journal?after=1", "400 {\"error\":{\"message\":\"is not known in the query"),
            ("receipts/x", "404"),
            ("receipts/", "404"),
            ("entries?cursor=x", "400 {\"error\":{\"message\":\"expected a whole number"),
            ("entries?tga=x", "400 {\"error\":{\"message\":\"is not known: expected some of"),
            ("entries?tag=a&tag=b", "400 {\"error\":{\"message\":\"stands in the query twice"),
            ("entries?all=1", "400"),
            ("entries?not=1", "400"),
            ("entry", "400 {\"error\":{\"message\":\"is missing from the query\",\"path\":\"url\"}}"),
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

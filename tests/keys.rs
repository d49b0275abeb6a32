//! What a cache key makes equal, the origin sees as equal: whenever the stored answer to one request is given to another,
//! what the two send on is the same in every field and part that the key is made of. So nobody chooses what others get
//! by a spelling that only the origin tells apart.
//!
//! Pairs of requests that are nearly alike meet every option of the key. For the parts that an origin reads by itself
//! (cookies, parameters that do not count), "the same" is what several ways of reading them find.

use std::rc::Rc;

use larder::cache::{Cache, Context, Effect, Identity};
use larder::config::Config;
use larder::exchange::{Edit, Ending, Exchange, Kept, Step};
use larder::http::{Fields, RequestHead, ResponseHead};
use larder::store::Seed;
use larder::time::{Monotonic, Now, Timestamp};

use crate::chance::Chance;
use crate::world::World;

const PAIRS: u64 = 6_000;
const NOW: Now = Now { wall: Timestamp::from_secs(1_700_000_000), mono: Monotonic(1_000_000) };

/// A worker that nobody else is around.
struct Worker {
    config: Rc<Config>,
    cache: Cache,
    kept: Kept,
    world: World,
    streams: u32,
}

impl Worker {
    fn new(config: &str) -> Worker {
        let config = Rc::new(Config::parse(config.as_bytes()).unwrap_or_else(|e| panic!("{config}: {e}")));
        let mut cache = Cache::new(Rc::clone(&config), Identity { nonce: 1, seed: Seed(1, 2) });
        let world = World::default();
        cache.register(world.at(NOW));
        Worker { config, cache, kept: Kept::new(Identity { nonce: 1, seed: Seed(1, 2) }), world, streams: 0 }
    }

    fn begin(&mut self, request: &Fields) -> (Exchange, Step) {
        self.streams += 1;
        let mut exchange = Exchange::new(self.streams);
        let request = RequestHead { fields: request.clone(), has_body: false };
        let (mut cx, kept) = self.context();
        let step = exchange.request_head(&mut cx, kept, request);
        (exchange, step)
    }

    fn context(&mut self) -> (Context<'_, World>, &mut Kept) {
        let Worker { config, cache, kept, world, .. } = self;
        (Context { cache, config, turn: world.at(NOW) }, kept)
    }

    /// What a request sends on; none when it is answered here.
    fn sends(&mut self, request: &Fields) -> Option<(Exchange, Fields)> {
        match self.begin(request) {
            (exchange, Step::Continue(edits)) => Some((exchange, edited(request, edits))),
            _ => None,
        }
    }

    /// Answers a request that has been sent on.
    fn answered(&mut self, mut exchange: Exchange, fields: &[(&str, &str)]) {
        let all = [("cache-control", "max-age=60"), ("content-length", "4")];
        let response = ResponseHead { status: 200, fields: all.iter().chain(fields).copied().collect() };
        let (mut cx, kept) = self.context();
        exchange.response_head(&mut cx, &mut kept.unsafe_methods, &response, false);
        if exchange.captures() {
            exchange.response_body(&mut cx, Some(b"page".to_vec()), true);
        }
        if !exchange.is_over() {
            exchange.end(&mut cx, Ending::ClientLeft);
        }
    }

    /// What the root sends in the place of a request, where it does.
    fn dispatches(&mut self, request: &Fields) -> Option<Fields> {
        self.begin(request);
        while let Some(effect) = self.cache.next_effect() {
            if let Effect::Dispatch(generation) = effect {
                let call = self.cache.call(self.world.at(NOW), generation)?;
                return Some(call.fields.iter().map(|(name, value)| (name, value)).collect());
            }
        }
        None
    }
}

fn edited(request: &Fields, edits: Vec<Edit>) -> Fields {
    let mut sent = request.clone();
    for edit in edits {
        match edit {
            Edit::Set(name, value) => sent.set(name, value),
            Edit::Add(name, value) => sent.push(name, value),
            Edit::Lines(name, values) => {
                sent.remove(&name);
                values.iter().for_each(|value| sent.push(&name, value));
            }
            Edit::Remove(name) => sent.remove(&name),
        }
    }
    sent
}

/// What a key may be made of.
struct Options {
    dropped: Option<Vec<&'static str>>,
    kept: Option<Vec<&'static str>>,
    sorted: bool,
    forward_dropped: bool,
    headers: Vec<&'static str>,
    cookies: Vec<&'static str>,
    cookies_drop: Vec<&'static str>,
    encodings: Option<Vec<&'static str>>,
    nominated: Vec<&'static str>,
}

const FIELDS: [&str; 6] = ["accept-encoding", "accept-language", "cookie", "x-list", "user-agent", "accept"];

fn some(by: &mut Chance, odds: u64, of: &[&'static str]) -> Vec<&'static str> {
    of.iter().copied().filter(|_| by.odds(odds)).collect()
}

impl Options {
    fn new(by: &mut Chance) -> Options {
        let which = by.below(4);
        Options {
            dropped: (which == 0).then(|| vec!["utm_*", "x"]),
            kept: (which == 1).then(|| vec!["a", "b"]),
            sorted: by.odds(30),
            forward_dropped: by.odds(30),
            headers: some(by, 15, &FIELDS),
            cookies: some(by, 30, &["lang", "a_b"]),
            cookies_drop: some(by, 20, &["_ga*", "lang*"]),
            encodings: by.odds(80).then(|| some(by, 60, &["gzip", "br", "zstd", "deflate"])),
            nominated: some(by, 40, &FIELDS),
        }
    }

    fn config(&self, more: &str) -> String {
        let quoted = |names: &[&str]| format!("{names:?}");
        let query = match (&self.dropped, &self.kept) {
            (Some(names), _) => format!("{{\"drop\": {}}}", quoted(names)),
            (_, Some(names)) => format!("{{\"keep\": {}}}", quoted(names)),
            _ => "\"all\"".to_owned(),
        };
        let (sorted, forward, headers) = (self.sorted, self.forward_dropped, quoted(&self.headers));
        let (cookies, cookies_drop) = (quoted(&self.cookies), quoted(&self.cookies_drop));
        let encodings = self.encodings.as_deref().map_or("\"as_sent\"".to_owned(), quoted);
        format!(
            r#"{{"store": {{"entries_max": 64}}, "key": {{"query": {query}, "query_sorted": {sorted}, "forward_dropped": {forward},
                "headers": {headers}, "cookies": {cookies}, "cookies_drop": {cookies_drop},
                "accept_encoding": {encodings},
                "unkeyed": {{"x-strip": "strip", "x-key": "key"}}}}{more}}}"#
        )
    }

    fn counts(&self, name: &[u8]) -> bool {
        let matches = |pattern: &&str| match pattern.strip_suffix('*') {
            Some(prefix) => name.starts_with(prefix.as_bytes()),
            None => name == pattern.as_bytes(),
        };
        match (&self.dropped, &self.kept) {
            (Some(names), _) => !names.iter().any(matches),
            (_, Some(names)) => names.iter().any(matches),
            _ => true,
        }
    }
}

const AUTHORITIES: [&str; 12] = [
    "shop.example",
    "SHOP.example",
    "shop.example:80",
    "shop.example:",
    "shop.example:0000080",
    "shop.example:443",
    "shop.example:8080",
    "shop.example:08080",
    "shop.example.",
    "[::a]",
    "[::A]",
    "[::a]:80",
];
const PARAMETERS: [&str; 14] = [
    "a=1",
    "a=2",
    "b=1",
    "%61=1",
    "a",
    "a=",
    "",
    "utm_x=1",
    "utm%5Fx=2",
    "x=1;a=9",
    "x;a=9",
    "A=1",
    "c=+",
    "c=%20",
];
const ENCODINGS: [&str; 26] = [
    "gzip",
    "GZIP",
    "x-gzip",
    "gzip;q=0",
    "gzip; q=0.0",
    "identity",
    "",
    "br",
    "gzip, br",
    "br,gzip",
    "gzip, br;q=0",
    "gzip;q=0, br",
    "gzip, deflate, br",
    "gzip, deflate, br, zstd",
    "gzip, deflate;q=0",
    "deflate",
    "*",
    "*;q=0",
    "gzip, *;q=0",
    "identity;q=0",
    "identity;q=1, *;q=0",
    "gzip;q=0.5, identity",
    "br;q=1.0, gzip;q=0.8, *;q=0.1",
    "gzip;q=2",
    "gzip br",
    "gzip, gzip;q=0",
];
const LANGUAGES: [&str; 14] = [
    "de, en",
    "en, de",
    "de,en",
    "DE , En",
    "de, en;q=0.5",
    "en;q=0.50,de",
    "en;q=0.5, de",
    "en;q=0",
    "en-GB",
    "en-gb",
    "zh-hant-tw",
    "en, en",
    "de;x=1, en",
    "de en",
];
const COOKIES: [&str; 25] = [
    "_ga=1; lang=de",
    "_ga=2; lang=de; _ga_X=3",
    "_gab",
    "lang=de",
    "lang=xx",
    "lang=de; lang=xx",
    "lang=xx; lang=de",
    "lang =xx",
    "lang= de",
    "a=1; lang=de",
    "a=1;lang=de",
    "a=1;  lang=de",
    "lang=de; a=1",
    "lang=de ;a=1",
    "LANG=xx",
    "l%61ng=xx",
    "a=1, lang=xx",
    "a=\"1; lang=xx\"",
    "lang=\"de\"",
    "lang",
    "language=de",
    "a.b=1",
    "a_b=1",
    "a b=1",
    "a[b=1",
];
const LISTS: [&str; 8] = ["1", "1, 2", "1,2", "1 ,2", "2", "\"1,2\"", "\"1, 2\"", ""];

const LINES: [(&str, &[&str]); 10] = [
    ("accept", &LISTS),
    ("accept-encoding", &ENCODINGS),
    ("accept-language", &LANGUAGES),
    ("cookie", &COOKIES),
    ("user-agent", &LISTS),
    ("x-forwarded-host", &LISTS),
    ("x-forwarded-proto", &["http", "https"]),
    ("x-key", &LISTS),
    ("x-list", &LISTS),
    ("x-strip", &LISTS),
];

/// Lines of a field: any of these, or one that stands next to the one that there was.
fn lines(by: &mut Chance, of: &[&'static str], were: &[&'static str]) -> Vec<&'static str> {
    match were {
        [one] if by.odds(70) => {
            let at =
                of.iter().position(|line| line == one).unwrap_or(0) + of.len() + by.below(5) as usize - 2;
            vec![of[at % of.len()]]
        }
        _ => (0..*by.pick(&[0, 1, 1, 1, 1, 2])).map(|_| *by.pick(of)).collect(),
    }
}

/// A request in parts, so that one of them can be drawn anew.
#[derive(Clone)]
struct Parts {
    scheme: &'static str,
    authority: &'static str,
    path: &'static str,
    parameters: Vec<&'static str>,
    lines: Vec<(&'static str, Vec<&'static str>)>,
}

impl Parts {
    fn new(by: &mut Chance) -> Parts {
        let mut parts = Parts {
            scheme: "http",
            authority: AUTHORITIES[0],
            path: "/p",
            parameters: Vec::new(),
            lines: vec![("x-forwarded-proto", vec!["http"])],
        };
        (0..by.below(5)).for_each(|_| parts.redraw(by));
        parts
    }

    /// Draws one part anew.
    fn redraw(&mut self, by: &mut Chance) {
        match by.below(6) {
            0 => self.authority = *by.pick(&AUTHORITIES),
            1 => self.scheme = *by.pick(&["http", "https"]),
            2 => self.path = *by.pick(&["/p", "/P", "/%70", "/p?"]),
            3 => self.redraw_parameters(by),
            _ => {
                let (name, _) = by.pick(&LINES);
                self.redraw_lines(by, name);
            }
        }
    }

    /// Draws a part anew that there is.
    fn respell(&mut self, by: &mut Chance) {
        let name = self.lines.get(by.below(self.lines.len() as u64 + 1) as usize).map(|(name, _)| *name);
        match name {
            Some(name) => self.redraw_lines(by, name),
            None if self.parameters.is_empty() => self.redraw(by),
            None => self.redraw_parameters(by),
        }
    }

    fn redraw_lines(&mut self, by: &mut Chance, name: &'static str) {
        let at = self.lines.iter().position(|(known, _)| *known == name);
        let were = at.map(|at| self.lines.swap_remove(at).1).unwrap_or_default();
        let (_, of) = LINES.iter().find(|(known, _)| *known == name).unwrap();
        self.lines.push((name, lines(by, of, &were)));
        self.lines.sort_unstable();
    }

    fn redraw_parameters(&mut self, by: &mut Chance) {
        let count = self.parameters.len();
        if count > 1 && by.odds(50) {
            return self.parameters.rotate_left(1);
        }
        let at = by.below(count as u64 + 1) as usize;
        if at < count && by.odds(50) {
            self.parameters.remove(at);
        } else {
            self.parameters.insert(at, *by.pick(&PARAMETERS));
        }
    }

    fn fields(&self) -> Fields {
        let query = self.parameters.join("&");
        let path =
            if self.parameters.is_empty() { self.path.into() } else { format!("{}?{query}", self.path) };
        let target =
            [(":method", "GET"), (":scheme", self.scheme), (":authority", self.authority), (":path", &*path)];
        let lines =
            self.lines.iter().flat_map(|(name, values)| values.iter().map(move |value| (*name, *value)));
        target.into_iter().chain(lines).collect()
    }
}

/// What an origin could tell two requests apart by, although their key is one; none when there is nothing.
fn difference(a: &Fields, b: &Fields, options: &Options) -> Option<String> {
    let lines =
        |fields: &Fields, name: &str| -> Vec<Vec<u8>> { fields.get_all(name).map(<[u8]>::to_vec).collect() };
    let own =
        [":method", ":scheme", ":authority", "x-forwarded-proto", "x-forwarded-host", "x-key", "x-strip"];
    let names = own.iter().chain(&options.headers).chain(&options.nominated);
    if let Some(name) = names.copied().find(|name| lines(a, name) != lines(b, name)) {
        return Some(name.to_owned());
    }
    let target = |fields: &Fields| String::from_utf8(fields.get(":path").unwrap().to_vec()).unwrap();
    if !same_target(&target(a), &target(b), options) {
        return Some(":path".to_owned());
    }
    let read = |fields: &Fields, name: &str| READERS.map(|reader| reader(&lines(fields, "cookie"), name));
    options.cookies.iter().find(|name| read(a, name) != read(b, name)).map(|name| format!("cookie {name}"))
}

fn same_target(a: &str, b: &str, options: &Options) -> bool {
    if !options.forward_dropped {
        return a == b;
    }
    // Where all parameters are sent on, those that count have to be the same to whoever splits at `&`, and also where
    // `;` separates too.
    let counting = |target: &str, separators: &[char]| -> Vec<String> {
        let Some((_, query)) = target.split_once('?') else { return Vec::new() };
        let name = |p: &str| {
            larder::http::percent::form_decoded(p.split('=').next().unwrap().as_bytes()).collect::<Vec<_>>()
        };
        query.split(separators).filter(|p| options.counts(&name(p))).map(str::to_owned).collect()
    };
    a.split('?').next() == b.split('?').next()
        && [&['&'][..], &['&', ';']].iter().all(|by| counting(a, by) == counting(b, by))
}

type Reader = fn(&[Vec<u8>], &str) -> Option<String>;

/// Ways of reading a cookie that real servers have.
const READERS: [Reader; 7] = [
    // By the letter: first, last.
    |lines, name| pairs(lines, "; ", "; ").into_iter().find(|(n, _)| n == name).map(|(_, v)| v),
    |lines, name| pairs(lines, "; ", "; ").into_iter().rfind(|(n, _)| n == name).map(|(_, v)| v),
    // As Python: the last one, with white space taken off; lines joined as in WSGI.
    |lines, name| {
        pairs(lines, ",", ";").into_iter().rfind(|(n, _)| n.trim() == name).map(|(_, v)| v.trim().into())
    },
    // The first, in any case.
    |lines, name| {
        let mut all = pairs(lines, "; ", ";").into_iter();
        all.find(|(n, _)| n.trim().eq_ignore_ascii_case(name)).map(|(_, v)| v)
    },
    // Commas separate as well (RFC 2109).
    |lines, name| {
        let lines: Vec<Vec<u8>> = lines
            .iter()
            .map(|line| line.iter().map(|b| if *b == b',' { b';' } else { *b }).collect())
            .collect();
        pairs(&lines, "; ", ";").into_iter().rfind(|(n, _)| n.trim() == name).map(|(_, v)| v)
    },
    // As old PHP: names are decoded, and some characters become `_`.
    |lines, name| {
        let known = |n: &str| {
            let decoded: Vec<u8> = larder::http::percent::form_decoded(n.trim().as_bytes()).collect();
            decoded.iter().map(|b| if b". [".contains(b) { b'_' } else { *b }).eq(name.bytes())
        };
        pairs(lines, "; ", ";").into_iter().find(|(n, _)| known(n)).map(|(_, v)| v)
    },
    // The first line alone, with quotes that hide separators.
    |lines, name| {
        let first = lines.first().map(|line| String::from_utf8_lossy(line).into_owned())?;
        let (mut quoted, mut pieces) = (false, vec![String::new()]);
        for c in first.chars() {
            quoted ^= c == '"';
            if c == ';' && !quoted { pieces.push(String::new()) } else { pieces.last_mut()?.push(c) }
        }
        pieces
            .iter()
            .filter_map(|p| p.split_once('='))
            .find(|(n, _)| n.trim() == name)
            .map(|(_, v)| v.to_owned())
    },
];

fn pairs(lines: &[Vec<u8>], joint: &str, separator: &str) -> Vec<(String, String)> {
    let lines: Vec<String> = lines.iter().map(|line| String::from_utf8_lossy(line).into_owned()).collect();
    let whole = lines.join(joint);
    let pieces = whole.split(separator);
    pieces.map(|p| p.split_once('=').unwrap_or((p, ""))).map(|(n, v)| (n.to_owned(), v.to_owned())).collect()
}

#[test]
fn what_the_key_makes_equal_the_origin_sees_as_equal() {
    let (mut shared, mut dispatched) = (0, 0);
    for seed in 0..PAIRS {
        let by = &mut Chance::new(seed);
        let options = Options::new(by);
        let one = Parts::new(by);
        let mut other = one.clone();
        if by.odds(80) {
            other.respell(by)
        } else {
            other.redraw(by)
        }
        let (a, b) = (one.fields(), other.fields());
        let mut worker = Worker::new(&options.config(""));
        let Some((exchange, sent)) = worker.sends(&a) else { panic!("seed {seed}: nothing is stored yet") };
        assert_eq!(sent.get("cookie").filter(|line| dropped(line, &options)), None, "seed {seed}");
        worker.answered(exchange, &[("vary", &options.nominated.join(","))]);
        if worker.sends(&b).is_none() {
            shared += 1;
            let (_, own) = Worker::new(&options.config("")).sends(&b).unwrap();
            let found = difference(&sent, &own, &options);
            assert_eq!(found, None, "seed {seed}\n{a:?}\n{b:?}\n{sent:?}\n{own:?}");
        }
        // What the root sends in the place of the first request is the same in all of this.
        let by_root = options.config(r#", "collapse": {"fetch": "dispatched", "cluster": "c"}"#);
        if let Some(call) = Worker::new(&by_root).dispatches(&a) {
            dispatched += 1;
            let keyed = Options { nominated: Vec::new(), ..options };
            assert_eq!(difference(&sent, &call, &keyed), None, "seed {seed}\n{a:?}\n{sent:?}\n{call:?}");
        }
    }
    assert!(shared > PAIRS / 4 && dispatched > PAIRS / 4, "{shared} {dispatched}");
}

/// Whether a line still has a cookie that is dropped.
fn dropped(line: &[u8], options: &Options) -> bool {
    let of_one = pairs(&[line.to_vec()], "", ";");
    of_one.iter().any(|(name, _)| {
        options.cookies_drop.iter().any(|pattern| name.trim().starts_with(pattern.trim_end_matches('*')))
    })
}

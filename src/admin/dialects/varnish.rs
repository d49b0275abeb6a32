//! `PURGE`, `PURGEKEYS`, `PURGETAGS`, `BAN` and `REFRESH` on any path, as Varnish, nginx and their clients have them: the
//! plugins of WordPress, Magento, Drupal, FOSHttpCache, API Platform, Shopware, TYPO3, Ibexa.
//!
//! - `PURGE /path`: this URL of this host. `PURGE /path*` and `PURGE /path.*`: all that begin like it. Another `.*` in
//!   it, or `X-Purge-Method: regex`, makes the path a regular expression.
//! - Fields name tags ([`fields`]): those of any of them are purged, wherever they are stored. The path says nothing then.
//! - `BAN` with `X-Host`, `X-Url`, `X-Content-Type`: what all these regular expressions match, with tags beside them only
//!   what carries one of these; without any field the path is a regular expression, for this host.
//! - `REFRESH /path`: fetch this URL again.

mod fields;
mod path;
mod tags;

pub(super) use tags::list as tag_list;

use serde_json::json;

use super::reader::{Asked, Reader};
use super::selectors::{combined, shown};
use crate::admin::{AdminResponse, Command, Dialect, Problem, Purge, Refresh, Wanted};
use crate::http::RequestHead;
use crate::invalidation::{Mode, Part, Selector, Tag, Term, fact};
use fields::{Says, Selecting};
use path::By;
use tags::Tags;

/// Whether a method is one of this dialect.
pub fn speaks(method: &[u8]) -> bool {
    matches!(method, b"PURGE" | b"PURGEKEYS" | b"PURGETAGS" | b"BAN" | b"REFRESH")
}

/// Whether a request has fields that select.
///
/// # Errors
/// When one of them is not known.
pub fn selects(request: &RequestHead) -> Result<bool, Problem> {
    fields::selecting(request).map(|fields| fields.iter().any(|field| field.says != Says::Softly))
}

/// Reads a command.
pub fn command(asked: &Asked<'_>) -> Result<Command, Problem> {
    let Asked { request, path, caller, reader, .. } = *asked;
    let fields = fields::selecting(request)?;
    if request.method() == b"REFRESH" {
        let uris = vec![reader.target(request, path)?];
        return Ok(Command::Refresh(Refresh { uris, wanted: Wanted::default(), dialect: Dialect::Varnish }));
    }
    let selection = Selection::read(&fields, reader)?;
    let bans = request.method() == b"BAN";
    let selectors = match request.method() {
        b"BAN" => selection.ban(request, path, reader)?,
        b"PURGE" => selection.purge(request, path, reader)?,
        _ => selection.keys()?,
    };
    let name = if bans { "ban" } else { "purge" };
    let softly = |mode| if selection.softly { Mode::Soft } else { mode };
    let asked = selectors
        .into_iter()
        .map(|(mode, selector)| (json!({ name: shown(&selector) }), softly(mode), selector));
    let mut purge = Purge::in_modes(asked.collect(), Dialect::Varnish, caller, reader);
    let is_host = |purge: &Purge| purge.invalidations.iter().any(|i| matches!(i.selector, Selector::Host(_)));
    purge.or_everything = bans && selection.is_empty() && is_host(&purge);
    Ok(Command::Purge(purge))
}

/// What the fields of a request select, all together.
#[derive(Default)]
struct Selection {
    /// Tags by name, and in which mode; those of one mode are one selector, and take few records of the journal.
    names: Vec<(Mode, Vec<Tag>)>,
    /// Tags by regular expressions.
    patterns: Vec<String>,
    /// Whether tags were named by an expression that says nothing.
    any_tags: bool,
    /// Regular expressions that must all match.
    terms: Vec<Selector>,
    /// URLs of the own host.
    own_urls: Option<String>,
    everything: bool,
    /// Of a page of TYPO3, of a whole site, or of both.
    typo3: Option<Vec<Selector>>,
    softly: bool,
    by: Option<By>,
    path_goes_on: bool,
    is_of_a_site: bool,
}

impl Selection {
    fn read(fields: &[Selecting], reader: &Reader<'_>) -> Result<Selection, Problem> {
        let mut selection = Selection::default();
        let max = reader.config.selectors_max;
        for field in fields {
            let at = |problem: Problem| Problem::bad(format!("{}: {}", field.name, problem.message));
            match field.says {
                Says::Names(mode) => {
                    selection.name(mode, tag_list(field.name, &field.value, max).map_err(at)?)
                }
                Says::NamesOrPattern => match tags::read(field.name, &field.value, max).map_err(at)? {
                    Tags::Names(tags) => selection.name(Mode::Hard, tags),
                    Tags::Pattern(pattern) => selection.patterns.push(pattern),
                    Tags::Any => selection.any_tags = true,
                },
                Says::Pattern(_) if tags::is_anything(&field.value) => selection.terms.push(Selector::All),
                Says::Pattern(part) => selection.terms.push(path::pattern(&field.value, part).map_err(at)?),
                Says::OwnUrls => selection.own_urls = Some(field.value.clone()),
                Says::PathIs => selection.by = Some(By::read(&field.value)?),
                Says::PathGoesOn if field.value == ".*" => selection.path_goes_on = true,
                Says::PathGoesOn => return Err(at(Problem::bad("expected .*"))),
                Says::Everything if matches!(&field.value[..], "true" | "1") => selection.everything = true,
                Says::Everything => return Err(at(Problem::bad("expected true"))),
                Says::Site => selection.is_of_a_site = true,
                Says::Softly => selection.softly = field.value != "0",
                Says::Typo3 => selection.typo3 = Some(typo3(fields, max)?),
                Says::Nothing => {}
            }
        }
        let tags: usize = selection.names.iter().map(|(_, tags)| tags.len()).sum();
        if tags > max {
            return Err(Problem::bad(format!("expected at most {max} tags, found {tags}")));
        }
        Ok(selection)
    }

    fn name(&mut self, mode: Mode, tags: Vec<Tag>) {
        match self.names.iter_mut().find(|(known, _)| *known == mode) {
            Some((_, known)) => known.extend(tags),
            None => self.names.push((mode, tags)),
        }
    }

    /// Whether no field selects anything.
    fn is_empty(&self) -> bool {
        self.tags().is_empty()
            && !self.any_tags
            && self.terms.is_empty()
            && self.own_urls.is_none()
            && !self.everything
            && self.typo3.is_none()
    }

    /// What carries one of the tags that are named.
    fn tags(&self) -> Vec<(Mode, Selector)> {
        let named = self.names.iter().map(|(mode, tags)| (*mode, Selector::Tags(tags.clone())));
        let found = self.patterns.iter().map(|pattern| (Mode::Hard, tag_pattern(pattern)));
        named.chain(found).collect()
    }

    /// What tags select where the path does not count.
    fn keys(&self) -> Result<Vec<(Mode, Selector)>, Problem> {
        check_patterns(&self.patterns)?;
        match self.tags() {
            _ if self.any_tags => Ok(vec![(Mode::Hard, Selector::All)]),
            tags if tags.is_empty() => Err(Problem::bad(
                "expected a field with tags, such as xkey-purge, xkey-softpurge or x-cache-tags",
            )),
            tags => Ok(tags),
        }
    }

    fn purge(
        &self,
        request: &RequestHead,
        path: &str,
        reader: &Reader<'_>,
    ) -> Result<Vec<(Mode, Selector)>, Problem> {
        let tags = !self.tags().is_empty() || self.any_tags;
        let selects_by_path = self.path_goes_on || matches!(self.by, Some(By::Regex | By::Wildcard));
        let said = [tags, self.own_urls.is_some(), self.everything, selects_by_path];
        if said.iter().filter(|said| **said).count() > 1 {
            return Err(Problem::bad(
                "tags, x-ban-regex, clear-cache and a path that is a pattern do not go together: send one of them",
            ));
        }
        self.check_by(tags)?;
        if tags {
            return self.keys();
        }
        let selector = match &self.own_urls {
            _ if self.everything => Selector::All,
            Some(expression) => path::own_urls(request, path, expression, reader)?,
            None if self.path_goes_on => path::purge(request, &format!("{path}.*"), By::Regex, reader)?,
            None => path::purge(request, path, self.by.unwrap_or(By::Looks), reader)?,
        };
        Ok(vec![(Mode::Hard, selector)])
    }

    /// Whether what `X-Purge-Method` announces is there.
    fn check_by(&self, tags: bool) -> Result<(), Problem> {
        match self.by {
            Some(By::Tags) if !tags => Err(Problem::bad("x-purge-method: tags, but no field names any")),
            Some(By::BanRegex) if self.own_urls.is_none() => {
                Err(Problem::bad("x-purge-method: ban-regex, but there is no x-ban-regex"))
            }
            _ => Ok(()),
        }
    }

    fn ban(
        &self,
        request: &RequestHead,
        path: &str,
        reader: &Reader<'_>,
    ) -> Result<Vec<(Mode, Selector)>, Problem> {
        check_patterns(&self.patterns)?;
        self.check_by(!self.tags().is_empty() || self.any_tags)?;
        let mut terms = self.terms.clone();
        if let Some(expression) = &self.own_urls {
            // With this method clients speak to the cache by its own name: the host says nothing.
            terms.push(if tags::is_anything(expression) {
                Selector::All
            } else {
                path::pattern(expression, Part::Url)?
            });
        }
        let with = |more: Option<Selector>| {
            let said = terms.iter().cloned().chain(more).filter(|selector| *selector != Selector::All);
            combined(said.map(Term::is).collect())
        };
        let mut bans: Vec<(Mode, Selector)> =
            self.tags().into_iter().map(|(mode, tags)| (mode, with(Some(tags)))).collect();
        match &self.typo3 {
            // Names of tags beside the name of the site are whole: no other site has them.
            Some(pages) if bans.is_empty() && pages.is_empty() => {
                return Err(Problem::bad(
                    "expected varnish-ban-all: 1, varnish-ban-typo3-pid or tags beside varnish-ban-typo3-sitename",
                ));
            }
            Some(pages) if bans.is_empty() => {
                bans.extend(pages.iter().map(|page| (Mode::Hard, with(Some(page.clone())))));
            }
            Some(_) | None => {}
        }
        if !bans.is_empty() {
            return Ok(bans);
        }
        if !self.is_empty() {
            return Ok(vec![(Mode::Hard, with(None))]);
        }
        let selector = match self.by {
            Some(By::Url) => reader.target(request, path).map(Selector::Uri)?,
            Some(by @ (By::Regex | By::Wildcard)) => path::purge(request, path, by, reader)?,
            _ if self.is_of_a_site && !path.contains('*') => {
                return Err(Problem::bad(
                    "x-acquia-purge: expected x-acquia-purge-tags beside it, or a URL with a star",
                ));
            }
            _ => path::ban(request, path, reader)?,
        };
        Ok(vec![(Mode::Hard, selector)])
    }
}

fn tag_pattern(pattern: &str) -> Selector {
    Selector::Regex(Part::Tags, pattern.into())
}

fn check_patterns(patterns: &[String]) -> Result<(), Problem> {
    patterns.iter().try_for_each(|p| path::pattern(p, Part::Tags).map(|_| ()))
}

/// What TYPO3's fields cover. Its pages say by fields of their own which they are, or by tags of `xkey`, and as both
/// cannot be told beforehand, both are covered.
fn typo3(fields: &[Selecting], max: usize) -> Result<Vec<Selector>, Problem> {
    let value = |name| fields.iter().find(|field| field.name == name).map(|field| field.value.as_str());
    let one = |tag: Option<Tag>| tag.map(|tag| Selector::Tags(vec![tag]));
    let wrong = || Problem::bad("varnish-ban-typo3-*: cannot be a tag");
    let pair = |field: &str, own: &str, value: &str| {
        let (fact, tag) = (one(fact(field, value)), one(Tag::new(&format!("{own}{value}"))));
        fact.zip(tag).map(|(fact, tag)| [fact, tag]).ok_or_else(wrong)
    };
    let site = value("varnish-ban-typo3-sitename")
        .map(|site| pair("typo3-sitename", "siteId_", site))
        .transpose()?;
    let both = |page: [Selector; 2], site: [Selector; 2]| {
        page.into_iter()
            .zip(site)
            .map(|(page, site)| combined(vec![Term::is(page), Term::is(site)]))
            .collect()
    };
    let page = value("varnish-ban-typo3-pid").map(|pid| pair("typo3-pid", "pageId_", pid)).transpose()?;
    match (value("varnish-ban-all"), page, value("varnish-ban-typo3-tag"), site) {
        (Some("1"), None, None, Some(site)) => Ok(site.into()),
        (Some("1"), None, None, None) => Ok(vec![Selector::All]),
        (None, Some(page), None, Some(site)) => Ok(both(page, site)),
        (None, Some(page), None, None) => Ok(page.into()),
        (None, None, Some(tags), _) => Ok(vec![Selector::Tags(tag_list("xkey", tags, max)?)]),
        // Beside tags of xkey.
        (None, None, None, Some(_)) => Ok(Vec::new()),
        _ => Err(Problem::bad(
            "expected one of varnish-ban-all: 1, varnish-ban-typo3-pid or varnish-ban-typo3-tag",
        )),
    }
}

/// The answer to a purge or a ban.
pub fn purged(purge: &Purge, positions: &[u64]) -> AdminResponse {
    let banned = purge.asked.iter().any(|asked| asked.get("ban").is_some());
    let receipt = positions.last().map(u64::to_string).unwrap_or_default();
    AdminResponse::text(200, if banned { "Ban added" } else { "Purged" }).with("larder-receipt", receipt)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::admin::fixture::{answer, asked, config, request, send, tags};
    use crate::admin::{Recognised, recognise};
    use crate::config::Strangers;
    #[cfg(all(target_arch = "wasm32", target_os = "unknown"))]
    use wasm_bindgen_test::wasm_bindgen_test as test;

    fn regex(part: Part, text: &str) -> Selector {
        Selector::Regex(part, text.into())
    }

    fn uri(text: &str) -> Selector {
        Selector::Uri(text.as_bytes().to_vec())
    }

    fn glob(text: &str) -> Selector {
        Selector::Glob(Part::Url, text.into())
    }

    fn and(selectors: Vec<Selector>) -> Selector {
        Selector::And(selectors.into_iter().map(Term::is).collect())
    }

    fn host() -> Selector {
        Selector::Host(b"h.example".to_vec())
    }

    fn own(text: &str) -> Selector {
        and(vec![host(), regex(Part::Url, text)])
    }

    type Case = (&'static str, &'static [(&'static str, &'static str)], Vec<Selector>);

    fn check(cases: Vec<Case>) {
        for (line, fields, selectors) in cases {
            assert_eq!(asked(line, fields, ""), (Mode::Hard, selectors), "{line} {fields:?}");
        }
    }

    #[test]
    fn a_path_names_urls() {
        check(vec![
            ("PURGE /a?b=c", &[], vec![uri("h.example/a?b=c")]),
            ("PURGE http://Other.example/a", &[], vec![uri("other.example/a")]),
            ("PURGE /blog/*", &[], vec![Selector::Prefix(b"h.example/blog/".to_vec())]),
            ("PURGE /*", &[], vec![Selector::Prefix(b"h.example/".to_vec())]),
            ("PURGE /blog*", &[], vec![glob("h.example/blog*")]),
            ("PURGE /a?page=*", &[], vec![glob("h.example/a\\?page=*")]),
            // Proxy Cache Purge and WP Rocket: one page, one language, everything; W3 Total Cache says no method.
            ("PURGE /a/", &[("x-purge-method", "default")], vec![uri("h.example/a/")]),
            ("PURGE /.*", &[("x-purge-method", "regex")], vec![host()]),
            ("PURGE /.*", &[("x-purge-method", "default")], vec![host()]),
            ("PURGE /.*", &[], vec![host()]),
            ("PURGE http://other.example/.*", &[], vec![Selector::Host(b"other.example".to_vec())]),
            (
                "PURGE /fr/.*",
                &[("x-purge-method", "regex")],
                vec![Selector::Prefix(b"h.example/fr/".to_vec())],
            ),
            ("PURGE /v1.2/.*", &[], vec![Selector::Prefix(b"h.example/v1.2/".to_vec())]),
            ("PURGE /fr.*", &[], vec![glob("h.example/fr*")]),
            ("PURGE /fr/", &[("x-purge-method", "Regex")], vec![Selector::Prefix(b"h.example/fr/".to_vec())]),
            ("PURGE /", &[("x-purge-method", "regex")], vec![host()]),
            ("PURGE /(de|fr)/.*", &[("x-purge-method", "regex")], vec![own("^(?:/(de|fr)/.*)")]),
            ("PURGE /.*[.]css$", &[], vec![own("^(?:/.*[.]css$)")]),
            ("PURGE /.*", &[("x-purge-method", "exact")], vec![uri("h.example/.*")]),
            ("PURGE /a*/b*", &[("x-purge-method", "wildcard")], vec![glob("h.example/a*/b*")]),
            (
                "PURGE /a/*",
                &[("x-purge-method", "wildcard")],
                vec![Selector::Prefix(b"h.example/a/".to_vec())],
            ),
            ("PURGE /a", &[("x-purge-method", "wildcard")], vec![uri("h.example/a")]),
            // WP Rocket at o2switch.
            (
                "PURGE /fr/",
                &[("x-vc-purge-key", "s"), ("x-purge-regex", ".*")],
                vec![Selector::Prefix(b"h.example/fr/".to_vec())],
            ),
            (
                "PURGE /wp-json/wp/v2/posts/",
                &[
                    ("x-purge-method", "ban-regex"),
                    ("x-ban-regex", "^/wp-json/wp/v2/posts($|/$|\\?.*|/\\?.*)"),
                ],
                vec![own("^/wp-json/wp/v2/posts($|/$|\\?.*|/\\?.*)")],
            ),
            ("PURGE /", &[("clear-cache", "true")], vec![Selector::All]),
        ]);
    }

    #[test]
    fn fields_name_tags() {
        use Mode::{Hard, Soft};
        check(vec![
            ("PURGE /", &[("xkey", "a b")], vec![tags(&["a", "b"])]),
            ("PURGE /", &[("xkey", "q1,p3")], vec![tags(&["p3", "q1"])]),
            ("PURGE /", &[("surrogate-key", "a  b")], vec![tags(&["a", "b"])]),
            ("PURGE /", &[("surrogate-key", "/books, /books/1")], vec![tags(&["/books", "/books/1"])]),
            ("PURGE /", &[("cache-tag", "a b, c")], vec![tags(&["a b", "c"])]),
            ("PURGE /", &[("cache-tags", "a, b c")], vec![tags(&["a", "b c"])]),
            ("PURGE /", &[("x-cache-tags", "a,b")], vec![tags(&["a", "b"])]),
            ("PURGE /", &[("xkey", "aa"), ("cache-tag", "bb")], vec![tags(&["aa", "bb"])]),
            ("PURGE /", &[("key", "c52 l2")], vec![tags(&["c52", "l2"])]),
            ("PURGEKEYS /", &[("xkey-purge", "data")], vec![tags(&["data", "user"])]),
            ("PURGETAGS /", &[("x-cache-tags", "a,b")], vec![tags(&["a", "b"])]),
            ("PURGE /", &[("x-magento-tags-pattern", "((^|,)cat_p_1(,|$))")], vec![tags(&["cat_p_1"])]),
            ("PURGE /", &[("x-magento-tags-pattern", "(^|,)a(,|$)|(^|,)b(,|$)")], vec![tags(&["a", "b"])]),
            ("PURGE /", &[("x-magento-tags-pattern", ".*")], vec![Selector::All]),
            (
                "PURGE /",
                &[("x-purge-method", "tags"), ("x-cache-tags-pattern", "p-1|pt-post|home")],
                vec![tags(&["home", "p-1", "pt-post"])],
            ),
            ("BAN /", &[("xkey-purge", "a b"), ("varnish-ban-typo3-sitename", "s")], vec![tags(&["a", "b"])]),
            ("BAN /", &[("cache-tags", "node_1")], vec![tags(&["node_1"])]),
            ("BAN /", &[("cache-tags", "node:1|node:2")], vec![tags(&["node:1", "node:2"])]),
            ("BAN /", &[("cache-tags", "a b")], vec![tags(&["a", "b"])]),
            ("BAN /", &[("purge-cache-tags", "a b")], vec![tags(&["a", "b"])]),
            (
                "BAN /tags",
                &[("x-acquia-purge", "site"), ("x-acquia-purge-tags", "a b")],
                vec![tags(&["a", "b"])],
            ),
            ("BAN /", &[("apiplatform-ban-regex", "(/foo|/bar)($|\\,)")], vec![tags(&["/bar", "/foo"])]),
            ("BAN /", &[("x-cache-tags", "^user:")], vec![regex(Part::Tags, "^user:")]),
            (
                "BAN /",
                &[
                    ("x-host", ".*"),
                    ("x-url", ".*"),
                    ("x-content-type", ".*"),
                    ("x-cache-tags", "(^|,)(a|b)(,|$)"),
                ],
                vec![tags(&["a", "b"])],
            ),
            (
                "BAN /",
                &[("x-url", "^/n"), ("xkey", "a b"), ("x-cache-tags", "^c")],
                vec![
                    and(vec![regex(Part::Url, "^/n"), tags(&["a", "b"])]),
                    and(vec![regex(Part::Url, "^/n"), regex(Part::Tags, "^c")]),
                ],
            ),
        ]);
        for (line, fields, mode) in [
            ("PURGEKEYS /", &[("xkey-softpurge", "user")][..], Soft),
            ("PURGE /", &[("xkey-softpurge", "user")], Soft),
            ("PURGE /", &[("xkey", "user"), ("fastly-soft-purge", "1")], Soft),
            ("PURGE /", &[("xkey", "user"), ("fastly-soft-purge", "0")], Hard),
        ] {
            assert_eq!(asked(line, fields, ""), (mode, vec![tags(&["user"])]), "{line} {fields:?}");
        }
        let both =
            crate::admin::fixture::purge("PURGEKEYS /", &[("xkey-purge", "a"), ("xkey-softpurge", "b")], "");
        let modes: Vec<_> = both.invalidations.iter().map(|i| (i.mode, i.selector.clone())).collect();
        assert_eq!(modes, [(Hard, tags(&["a"])), (Soft, tags(&["b"]))]);
    }

    #[test]
    fn bans_are_expressions() {
        let typo3 = |page: &str, site: &str| and(vec![tags(&[page]), tags(&[site])]);
        check(vec![
            ("BAN /", &[], vec![host()]),
            ("BAN /.*", &[], vec![host()]),
            ("BAN /img/.*\\.png$", &[], vec![own("/img/.*\\.png$")]),
            ("BAN /blog/*", &[], vec![Selector::Prefix(b"h.example/blog/".to_vec())]),
            ("BAN /blog*", &[("x-acquia-purge", "s")], vec![glob("h.example/blog*")]),
            // FOSHttpCache sends all three, those that say nothing as `.*`.
            (
                "BAN /",
                &[("x-host", ".*"), ("x-url", "^/news"), ("x-content-type", "text/html")],
                vec![and(vec![regex(Part::Url, "^/news"), regex(Part::ContentType, "text/html")])],
            ),
            ("BAN /", &[("x-host", ".*"), ("x-url", ".*"), ("x-content-type", ".*")], vec![Selector::All]),
            (
                "BAN /",
                &[("x-ban-host", "^h$"), ("x-ban-url", "^/a")],
                vec![and(vec![regex(Part::Host, "^h$"), regex(Part::Url, "^/a")])],
            ),
            ("BAN /", &[("x-ban-regex", "^/tiles/")], vec![regex(Part::Url, "^/tiles/")]),
            ("BAN /fr/.*", &[("x-purge-method", "regex")], vec![Selector::Prefix(b"h.example/fr/".to_vec())]),
            ("BAN /a", &[("x-purge-method", "exact")], vec![uri("h.example/a")]),
            (
                "BAN /",
                &[("varnish-ban-typo3-pid", "7"), ("varnish-ban-typo3-sitename", "s")],
                vec![typo3("typo3-pid:7", "typo3-sitename:s"), typo3("pageId_7", "siteId_s")],
            ),
            (
                "BAN /",
                &[("varnish-ban-typo3-pid", "7"), ("varnish-ban-typo3-sitename", "s"), ("x-url", "^/a")],
                ["typo3-pid:7 typo3-sitename:s", "pageId_7 siteId_s"]
                    .map(|names| {
                        let names = names.split(' ').map(|name| tags(&[name]));
                        and([regex(Part::Url, "^/a")].into_iter().chain(names).collect())
                    })
                    .into(),
            ),
            ("BAN /", &[("varnish-ban-typo3-pid", "7")], vec![tags(&["typo3-pid:7"]), tags(&["pageId_7"])]),
            (
                "BAN /",
                &[("varnish-ban-all", "1"), ("varnish-ban-typo3-sitename", "s")],
                vec![tags(&["typo3-sitename:s"]), tags(&["siteId_s"])],
            ),
            ("BAN /", &[("varnish-ban-all", "1")], vec![Selector::All]),
            ("BAN /", &[("varnish-ban-typo3-tag", "a b")], vec![tags(&["a", "b"])]),
        ]);
    }

    /// Nothing is purged, and the answer names the field.
    #[test]
    fn a_field_that_is_not_known_is_named() {
        let fields = "x-purge-tags purge-tags x-tags tags ban x-ban-expression x-uri surrogate-keys x-xkey-purge \
            x-location-id x-pool x-site x-purge-host varnish-ban-foo x-ban-tags cache-groups x-litespeed-purge";
        for method in ["PURGE", "BAN", "PURGEKEYS", "PURGETAGS", "REFRESH"] {
            for name in fields.split_whitespace() {
                for more in [&[][..], &[("xkey", "a")]] {
                    let sent = [&[(name, "t1")][..], more].concat();
                    let refusal = send(&format!("{method} /a"), &sent, "").unwrap_err();
                    let text = String::from_utf8_lossy(&refusal.body).into_owned();
                    assert!(refusal.status == 400, "{method} {name}: {text}");
                    assert!(text.contains(name) || text.contains("xkey"), "{method} {name}: {text}");
                }
            }
            for (name, _) in [("x-host", ""), ("x-url", ""), ("x-content-type", "")] {
                let refusal = send(&format!("{method} /a"), &[(name, "a")], "");
                assert_eq!(refusal.is_ok(), method == "BAN", "{method} {name}");
            }
        }
        // Empty ones, with and without another beside them.
        for name in [
            "xkey",
            "x-cache-tags",
            "x-magento-tags-pattern",
            "x-url",
            "x-host",
            "cache-tag",
            "x-purge-method",
        ] {
            for method in ["PURGE", "BAN"] {
                for value in ["", "  "] {
                    let refusal = send(&format!("{method} /"), &[(name, value)], "").unwrap_err();
                    let text = String::from_utf8_lossy(&refusal.body).into_owned();
                    assert!(refusal.status == 400 && text.contains(name), "{method} {name}: {text}");
                }
            }
        }
    }

    #[test]
    fn answers_are_text_with_a_receipt() {
        type Case = (&'static str, &'static [(&'static str, &'static str)], &'static str, &'static [u8]);
        let cases: [Case; 3] = [
            ("PURGE /a", &[], "Purged\n", b"11"),
            ("PURGE /", &[("xkey", "a b")], "Purged\n", b"11"),
            ("BAN /", &[("x-url", "^/a")], "Ban added\n", b"11"),
        ];
        for (line, fields, body, receipt) in cases {
            let response = answer(line, fields, "");
            assert_eq!((response.status, &response.body[..]), (200, body.as_bytes()), "{line}");
            assert_eq!(response.fields.get("larder-receipt"), Some(receipt));
        }
    }

    #[test]
    fn a_refresh_names_its_url() {
        let refresh = Refresh {
            uris: vec![b"h.example/a".to_vec()],
            wanted: Wanted::default(),
            dialect: Dialect::Varnish,
        };
        assert_eq!(send("REFRESH /a", &[], ""), Ok(Command::Refresh(refresh)));
    }

    #[test]
    fn what_is_wrong_is_refused() {
        let cases: [(&str, &[(&str, &str)]); 17] = [
            ("PURGE /a", &[("x-purge-method", "gone")]),
            ("PURGE /a", &[("x-purge-method", "tags")]),
            ("PURGE /a", &[("x-purge-method", "ban-regex")]),
            ("PURGE /a", &[("x-purge-regex", "^/b")]),
            ("PURGE /.*", &[("x-purge-method", "regex"), ("xkey", "a")]),
            ("PURGE /", &[("x-ban-regex", "^/a"), ("xkey", "a")]),
            ("PURGE /", &[("clear-cache", "no")]),
            ("PURGE /(", &[("x-purge-method", "regex")]),
            ("BAN /", &[("varnish-ban-typo3-sitename", "s")]),
            ("BAN /", &[("varnish-ban-all", "1"), ("varnish-ban-typo3-pid", "7")]),
            ("BAN /site", &[("x-acquia-purge", "s")]),
            ("BAN /(", &[]),
            ("BAN /", &[("x-url", "(")]),
            ("PURGEKEYS /", &[]),
            ("PURGE /", &[("xkey", "a b c d e")]),
            ("PURGE ftp://h/", &[]),
            ("PURGE /", &[("xkey", "\u{7f}")]),
        ];
        for (line, fields) in cases {
            assert_eq!(send(line, fields, "").unwrap_err().status, 400, "{line} {fields:?}");
        }
    }

    #[test]
    fn strangers_and_disabled_methods_are_requests_like_any_other() {
        let nobody = [("authorization", "")];
        for line in ["PURGE /a", "BAN /", "REFRESH /a", "PURGEKEYS /", "PURGETAGS /"] {
            assert_eq!(recognise(&request(line, &nobody), &config()), Recognised::Stranger, "{line}");
            let off = crate::config::AdminConfig { methods: false, ..config() };
            assert_eq!(recognise(&request(line, &[]), &off), Recognised::NotForUs, "{line}");
        }
        assert_eq!(recognise(&request("GET /a", &[]), &config()), Recognised::NotForUs);
    }

    #[test]
    fn a_wrong_token_is_the_same_on_every_path() {
        let pass = crate::config::AdminConfig { strangers: Strangers::Pass, ..config() };
        for (token, shape) in [("authorization", "unknown token"), ("fastly-key", "{\"detail\"")] {
            for path in ["/a", "/_larder/purge", "/souin-api/souin/flush", "/service/SU1/purge/a"] {
                let request = request(&format!("PURGE {path}"), &[(token, "Bearer wrong")]);
                let Recognised::Unauthorised(answer) = recognise(&request, &config()) else {
                    panic!("{token} {path}")
                };
                assert_eq!(answer.status, 401, "{token} {path}");
                assert!(String::from_utf8_lossy(&answer.body).starts_with(shape), "{token} {path}");
                assert_eq!(recognise(&request, &pass), Recognised::Stranger, "{token} {path}");
            }
        }
    }

    #[test]
    fn a_ban_of_everything_needs_its_scope() {
        let token = ("authorization", "Bearer purge");
        assert_eq!(send("BAN /", &[token, ("x-url", ".*")], "").unwrap_err().status, 403);
        for field in [
            ("x-url", "^."),
            ("x-url", "[a-z]"),
            ("x-host", "[.]"),
            ("x-cache-tags", ".*"),
            ("x-ban-regex", "e"),
        ] {
            assert_eq!(send("BAN /", &[token, field], "").unwrap_err().status, 403, "{field:?}");
        }
        // Purging one host needs only the scope `purge`, in every form.
        for line in ["PURGE /*", "PURGE /.*", "PURGE http://h.example/.*", "BAN /.*"] {
            assert!(send(line, &[token], "").is_ok(), "{line}");
        }
        assert_eq!(send("PURGE /", &[token, ("clear-cache", "1")], "").unwrap_err().status, 403);
        for field in [("x-purge-method", "regex"), ("x-ban-regex", ".*"), ("x-purge-regex", ".*")] {
            assert!(send("PURGE /", &[token, field], "").is_ok(), "{field:?}");
        }
        assert!(send("PURGE /fr/.*", &[token, ("x-purge-method", "regex")], "").is_ok());
        assert!(send("BAN /", &[token, ("x-url", "^/a")], "").is_ok());
    }
}

//! Cache keys read back: what they are made of, for people and for requests that ask for the same.

use sha2::{Digest, Sha256};

use super::{ABSENT, CONTENT, DIRECTION, PARTITION};
use crate::config::{Direction, is_known_credential};
use crate::http::{Fields, RequestHead};

/// What a cache key is made of.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct KeyParts<'a> {
    /// The scheme.
    pub scheme: &'a [u8],
    /// The host, as requests spell it.
    pub host: &'a [u8],
    /// The path with the query, as far as it counts.
    pub target: &'a [u8],
    /// Request fields and cookies that the configuration makes part of the key.
    pub fields: Vec<KeyField<'a>>,
    /// The nominated fields of the variant (RFC 9111 §4.1).
    pub variant: Vec<KeyField<'a>>,
}

/// What the names of credentials begin with in a key.
pub(super) const CREDENTIAL: &[u8] = b"credential ";

/// A field name, and the value that it has in the key; none when the field was absent.
pub type KeyField<'a> = (&'a [u8], Option<&'a [u8]>);

impl<'a> KeyParts<'a> {
    /// Reads a key; none when it is not one.
    #[must_use]
    pub fn of(key: &'a [u8]) -> Option<KeyParts<'a>> {
        let mut parts = Parts(key);
        let first = parts.next()??;
        // A variant's key begins with the primary one; that begins with the scheme, or with a purpose of its own.
        if first.iter().all(|b| b.is_ascii_alphabetic() || b"+-. ".contains(b)) {
            return KeyParts::of_primary(Parts(key));
        }
        Some(KeyParts { variant: parts.fields()?, ..KeyParts::of_primary(Parts(first))? })
    }

    /// What a key begins with.
    pub(super) fn purpose(key: &'a [u8]) -> Option<&'a [u8]> {
        Parts(key).next()?
    }

    /// Reads a primary key, or one for a purpose of its own, which has a space before its name.
    fn of_primary(mut parts: Parts<'a>) -> Option<KeyParts<'a>> {
        let first = parts.next()??;
        if first == CONTENT {
            return KeyParts::of_plain(Parts(parts.next()??));
        }
        if first.starts_with(b" ") { KeyParts::of_plain(parts) } else { KeyParts::after(first, parts) }
    }

    fn of_plain(mut parts: Parts<'a>) -> Option<KeyParts<'a>> {
        let scheme = parts.next()??;
        KeyParts::after(scheme, parts)
    }

    fn after(scheme: &'a [u8], mut parts: Parts<'a>) -> Option<KeyParts<'a>> {
        let (host, target) = (parts.next()??, parts.next()??);
        Some(KeyParts { scheme, host, target, fields: parts.fields()?, variant: Vec::new() })
    }

    /// The URL that it belongs to.
    #[must_use]
    pub fn url(&self) -> String {
        format!("{}://{}{}", text(self.scheme), text(self.host), text(self.target))
    }

    /// The key as Souin writes its own.
    #[must_use]
    pub fn souin(&self) -> String {
        format!("GET-{}-{}-{}", text(self.scheme), text(self.host), text(self.target))
    }

    /// The key in readable form: the URL, then the fields that count, then those of the variant.
    #[must_use]
    pub fn shown(&self) -> String {
        let mut shown = self.url();
        for (name, value) in self.fields.iter().chain(&self.variant) {
            let value = value.map_or_else(|| "(absent)".into(), |value| shown_value(name, value));
            shown.push_str(&format!(" {}: {value}", text(name)));
        }
        shown
    }

    /// The fields of the variant as text; those that were absent are left out.
    #[must_use]
    pub fn variant_fields(&self) -> Vec<(String, String)> {
        self.variant
            .iter()
            .filter_map(|(name, value)| Some((text(name), shown_value(name, (*value)?))))
            .collect()
    }

    /// The direction of the listener that requests with this key come through.
    #[must_use]
    pub fn direction(&self) -> Option<Direction> {
        let named = self.fields.iter().find(|(name, _)| *name == DIRECTION)?.1;
        [Direction::Inbound, Direction::Outbound]
            .into_iter()
            .find(|one| named == Some(one.as_str().as_bytes()))
    }

    /// A request that has this key, on the same listener and under the same configuration; none when it would have to carry somebody's identity.
    #[must_use]
    pub fn request(&self) -> Option<RequestHead> {
        let mut fields = Fields::new();
        fields.push(":method", "GET");
        fields.push(":scheme", self.scheme);
        fields.push(":authority", self.host);
        fields.push(":path", self.target);
        for (name, value) in self.fields.iter().chain(&self.variant) {
            let Some(value) = value else { continue };
            if matches!(*name, DIRECTION | PARTITION) {
                continue;
            }
            if is_identity(name) {
                return None;
            }
            fields.push(core::str::from_utf8(name).ok()?, value);
        }
        if !self.fields.iter().any(|(name, _)| *name == b"x-forwarded-proto") {
            fields.push("x-forwarded-proto", self.scheme);
        }
        Some(RequestHead { fields, has_body: false })
    }
}

/// Whether a field of a key identifies the sender: a cookie, or a credential.
fn is_identity(name: &[u8]) -> bool {
    let own = name.contains(&b' ') && !matches!(name, DIRECTION | PARTITION);
    own || name == b"cookie" || is_known_credential(name)
}

/// A value as people may see it. Who may look at what is stored may not become whoever asked for it: of what says who
/// that is, or sounds as if it might, only whether two are the same.
fn shown_value(name: &[u8], value: &[u8]) -> String {
    const WORDS: [&[u8]; 6] = [b"token", b"session", b"key", b"secret", b"jwt", b"auth"];
    if !is_identity(name) && !name.split(|b| *b == b'-').any(|word| WORDS.contains(&word)) {
        return text(value);
    }
    let digest = Sha256::digest(value);
    let start: String = digest.iter().take(4).map(|byte| format!("{byte:02x}")).collect();
    format!("(hidden {start})")
}

/// Reads length-prefixed parts one by one.
struct Parts<'a>(&'a [u8]);

impl<'a> Parts<'a> {
    /// The next part, which may be an absent one; none where there is nothing more, or no part.
    fn next(&mut self) -> Option<Option<&'a [u8]>> {
        let (len, rest) = self.0.split_first_chunk()?;
        let (part, rest) = match u32::from_le_bytes(*len) {
            ABSENT => (None, rest),
            len => {
                rest.split_at_checked(usize::try_from(len).ok()?).map(|(part, rest)| (Some(part), rest))?
            }
        };
        self.0 = rest;
        Some(part)
    }

    /// Names and values to the end.
    fn fields(mut self) -> Option<Vec<KeyField<'a>>> {
        let mut fields = Vec::new();
        while !self.0.is_empty() {
            fields.push((self.next()??, self.next()?));
        }
        Some(fields)
    }
}

fn text(bytes: &[u8]) -> String {
    String::from_utf8_lossy(bytes).into_owned()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::{KeyOptions, Options};
    use crate::policy::key::{primary, variant};
    #[cfg(all(target_arch = "wasm32", target_os = "unknown"))]
    use wasm_bindgen_test::wasm_bindgen_test as test;

    fn options() -> Options {
        let key = KeyOptions { headers: vec!["x-tenant".into()], ..KeyOptions::default() };
        Options { key, ..Options::default() }
    }

    fn request(fields: &[(&str, &str)]) -> RequestHead {
        let target = [
            (":method", "GET"),
            (":scheme", "https"),
            (":authority", "Shop.example:8443"),
            (":path", "/a?b=c"),
        ];
        RequestHead { fields: target.iter().chain(fields).copied().collect(), has_body: false }
    }

    #[test]
    fn a_request_made_from_a_key_has_that_key() {
        let nominated = ["accept-encoding".to_owned(), "accept-language".to_owned()];
        let request = request(&[
            ("accept-language", "de, en;q=0.5"),
            ("x-tenant", "t1"),
            ("x-tenant", "t2"),
            ("x-host", "evil"),
            ("x-forwarded-proto", "https"),
        ]);
        let primary_key = primary(&request, &options());
        let variant_key = variant(&primary_key, &nominated, &request, &options());
        let again = |key: &[u8]| KeyParts::of(key).unwrap().request().unwrap();
        assert_eq!(primary(&again(&primary_key), &options()), primary_key);
        assert_eq!(variant(&primary_key, &nominated, &again(&variant_key), &options()), variant_key);
        let parts = KeyParts::of(&variant_key).unwrap();
        assert_eq!(parts.url(), "https://Shop.example:8443/a?b=c");
        assert_eq!(parts.souin(), "GET-https-Shop.example:8443-/a?b=c");
        assert_eq!(parts.variant_fields(), [("accept-language".into(), "de,en;q=0.5".to_owned())]);
        assert!(
            parts.shown().ends_with("accept-encoding: (absent) accept-language: de,en;q=0.5"),
            "{}",
            parts.shown()
        );
    }

    #[test]
    fn a_key_tells_its_partition_and_which_way_its_requests_go() {
        let with = |partition: Option<&str>, direction| {
            let mut options = options();
            (options.key.partition, options.key.direction) = (partition.map(str::to_owned), direction);
            options
        };
        let all = [
            with(None, None),
            with(Some("a"), None),
            with(Some("b"), None),
            with(Some("inbound"), None),
            with(None, Some(Direction::Inbound)),
            with(None, Some(Direction::Outbound)),
            with(Some("a"), Some(Direction::Inbound)),
        ];
        let request = request(&[("x-tenant", "t1")]);
        let keys: Vec<_> = all.iter().map(|options| primary(&request, options)).collect();
        for (n, (key, options)) in keys.iter().zip(&all).enumerate() {
            assert!(!keys[..n].contains(key), "{n}");
            let parts = KeyParts::of(key).unwrap();
            assert_eq!(parts.direction(), options.key.direction);
            assert_eq!(&primary(&parts.request().unwrap(), options), key);
        }
        let shown = KeyParts::of(&keys[6]).unwrap().shown();
        assert_eq!(
            shown,
            "https://Shop.example:8443/a?b=c listener direction: inbound key partition: a \
             x-forwarded-proto: (absent) x-tenant: t1"
        );
    }

    #[test]
    fn no_request_is_made_up_with_a_clients_identity() {
        let nominated = ["cookie".to_owned()];
        let request = request(&[("cookie", "a=b")]);
        let key = variant(&primary(&request, &options()), &nominated, &request, &options());
        assert_eq!(KeyParts::of(&key).unwrap().request().map(|r| r.fields), None);
    }

    #[test]
    fn values_that_identify_a_client_are_hidden() {
        let nominated = ["accept-language".to_owned(), "authorization".to_owned(), "cookie".to_owned()];
        let shown = |cookie: &str| {
            let request = request(&[
                ("cookie", cookie),
                ("authorization", "Bearer s3cret"),
                ("accept-language", "de"),
                ("x-tenant", "t1"),
            ]);
            let key = variant(&primary(&request, &options()), &nominated, &request, &options());
            let parts = KeyParts::of(&key).unwrap();
            format!("{} {:?}", parts.shown(), parts.variant_fields())
        };
        let one = shown("session=s3cret");
        assert!(!one.contains("s3cret") && one.contains("de") && one.contains("t1"), "{one}");
        assert!(one == shown("session=s3cret") && one != shown("session=other"), "{one}");
    }

    #[test]
    fn what_is_no_key_is_nothing() {
        let key = primary(&request(&[("x-tenant", "t")]), &options());
        for cut in [0, 3, 5, key.len() - 1] {
            assert_eq!(KeyParts::of(&key[..cut]), None, "{cut}");
        }
        assert_eq!(KeyParts::of(b"nonsense"), None);
    }
}

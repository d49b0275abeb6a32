//! Content codings (RFC 9110 §8.4.1), and which of them a request accepts (§12.5.3).

use super::{list, weighted};

/// A content coding that responses usually have.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Coding {
    /// `gzip`, which is `x-gzip` as well.
    Gzip,
    /// `deflate`.
    Deflate,
    /// `br`.
    Br,
    /// `zstd`.
    Zstd,
}

impl Coding {
    /// All of them, in the order in which browsers name them.
    pub const ALL: [Coding; 4] = [Coding::Gzip, Coding::Deflate, Coding::Br, Coding::Zstd];

    /// Its name.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Coding::Gzip => "gzip",
            Coding::Deflate => "deflate",
            Coding::Br => "br",
            Coding::Zstd => "zstd",
        }
    }

    /// The coding of this name, in any case.
    #[must_use]
    pub fn named(name: &[u8]) -> Option<Coding> {
        if name.eq_ignore_ascii_case(b"x-gzip") {
            return Some(Coding::Gzip); // §8.4.1.3: "a recipient SHOULD consider 'x-gzip' to be equivalent to 'gzip'".
        }
        Coding::ALL.into_iter().find(|coding| name.eq_ignore_ascii_case(coding.name().as_bytes()))
    }
}

/// A set of codings.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub struct Codings(u8);

impl Codings {
    /// Whether one is among them.
    #[must_use]
    pub const fn contains(self, coding: Coding) -> bool {
        self.0 >> coding as u8 & 1 == 1
    }

    /// Whether there is none.
    #[must_use]
    pub const fn is_empty(self) -> bool {
        self.0 == 0
    }

    /// These in the order in which browsers name them.
    pub fn iter(self) -> impl Iterator<Item = Coding> {
        Coding::ALL.into_iter().filter(move |coding| self.contains(*coding))
    }
}

impl FromIterator<Coding> for Codings {
    fn from_iter<I: IntoIterator<Item = Coding>>(codings: I) -> Self {
        Codings(codings.into_iter().fold(0, |bits, coding| bits | 1 << coding as u8))
    }
}

/// What a request accepts, as far as certain codings are concerned.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Accepted {
    /// These codings.
    pub codings: Codings,
    /// Whether it refuses a response without any coding.
    pub refuses_identity: bool,
}

impl Accepted {
    /// Reads the lines of `Accept-Encoding`; only the codings that are `known` count.
    ///
    /// In doubt a coding is refused: what is never wrong is a response without any. So one counts only when it is named
    /// (a `*` may mean more than its sender can undo), every time well formed and with a weight above zero, and when
    /// its sender would not rather have none. Other differences of weight do not count: they are preferences among
    /// accepted codings.
    #[must_use]
    pub fn of<'a>(lines: impl Iterator<Item = &'a [u8]>, known: Codings) -> Accepted {
        let mut named: [Option<u16>; Coding::ALL.len()] = [None; Coding::ALL.len()];
        let (mut identity, mut any) = (None, None);
        for member in lines.flat_map(list::members) {
            let (name, weight) = weighted::name_and_weight(member);
            let weight = weight.unwrap_or(0);
            if name.eq_ignore_ascii_case(b"identity") {
                identity = identity.max(Some(weight));
            } else if name == b"*" {
                any = any.max(Some(weight));
            } else if let Some(of_coding) = Coding::named(name).and_then(|at| named.get_mut(at as usize)) {
                *of_coding = Some(of_coding.map_or(weight, |before| before.min(weight)));
            }
        }
        let is_wanted =
            |weight: &Option<u16>| weight.is_some_and(|weight| weight > 0 && Some(weight) >= identity);
        let wanted = Coding::ALL.into_iter().zip(named).filter(|(_, weight)| is_wanted(weight));
        Accepted {
            codings: wanted.map(|(coding, _)| coding).filter(|coding| known.contains(*coding)).collect(),
            refuses_identity: identity.or(any) == Some(0),
        }
    }

    /// `Accept-Encoding` that says so; none when it cannot be said, because nothing known is accepted.
    #[must_use]
    pub fn field(self) -> Option<Vec<u8>> {
        if self.codings.is_empty() {
            return (!self.refuses_identity).then(|| b"identity".to_vec());
        }
        let mut value = Vec::with_capacity(32);
        for coding in self.codings.iter() {
            if !value.is_empty() {
                value.extend_from_slice(b", ");
            }
            value.extend_from_slice(coding.name().as_bytes());
        }
        if self.refuses_identity {
            value.extend_from_slice(b", identity;q=0");
        }
        Some(value)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    #[cfg(all(target_arch = "wasm32", target_os = "unknown"))]
    use wasm_bindgen_test::wasm_bindgen_test as test;

    fn said(lines: &[&str], known: &[Coding]) -> Option<String> {
        let known = known.iter().copied().collect();
        let accepted = Accepted::of(lines.iter().map(|line| line.as_bytes()), known);
        accepted.field().map(|field| String::from_utf8(field).unwrap())
    }

    #[test]
    fn what_clients_accept_comes_to_few_forms() {
        const KNOWN: &[Coding] = &[Coding::Gzip, Coding::Br];
        for (lines, expected) in [
            (&["gzip, deflate, br"][..], "gzip, br"),
            (&["gzip, deflate, br, zstd"], "gzip, br"),
            (&["br,gzip"], "gzip, br"),
            (&["br;q=1.0, gzip;q=0.8, *;q=0.1"], "gzip, br"),
            (&["gzip", "br"], "gzip, br"),
            (&["gzip"], "gzip"),
            (&["gzip, deflate"], "gzip"),
            (&["X-GZip ; Q=0.5"], "gzip"),
            (&["gzip, br;q=0"], "gzip"),
            (&["gzip, br;q=0.000"], "gzip"),
            (&["gzip;q=0, br"], "br"),
            (&["gzip;q=1."], "gzip"),
            (&["gzip;q=0.5, identity;q=0.5"], "gzip"),
            (&["gzip, identity;q=0"], "gzip, identity;q=0"),
            (&["br, gzip, *;q=0"], "gzip, br, identity;q=0"),
            (&[""], "identity"),
            (&["identity"], "identity"),
            (&["identity;q=1, *;q=0"], "identity"),
            (&["gzip;q=0"], "identity"),
            (&["deflate"], "identity"),
            (&["*"], "identity"),
            (&["*;q=0.5"], "identity"),
            (&["zstd, dcb"], "identity"),
            (&["gzip;q=0.5, identity"], "identity"),
            (&["identity;q=0.1, gzip;q=0.05"], "identity"),
            (&["gzip, gzip;q=0"], "identity"),
            (&["gzip;q=0, x-gzip"], "identity"),
            (&["gzip;q=2"], "identity"),
            (&["gzip;level=9"], "identity"),
            (&["gzip;q=1;a=b"], "identity"),
            (&["gzip br"], "identity"),
            (&["\"gzip\""], "identity"),
            (&["gzip;q=0.0001"], "identity"),
        ] {
            assert_eq!(said(lines, KNOWN).as_deref(), Some(expected), "{lines:?}");
        }
    }

    #[test]
    fn an_accept_encoding_without_an_acceptable_coding_has_no_form() {
        for line in ["identity;q=0", "*;q=0", "deflate, identity;q=0", "gzip;q=0, *;q=0"] {
            assert_eq!(said(&[line], &[Coding::Gzip]), None, "{line}");
        }
        assert_eq!(said(&["identity, *;q=0"], &[Coding::Gzip]).as_deref(), Some("identity"));
    }

    #[test]
    fn which_codings_count_can_be_chosen() {
        let browser = ["zstd, br, deflate, gzip"];
        assert_eq!(said(&browser, &[]).as_deref(), Some("identity"));
        assert_eq!(said(&browser, &[Coding::Gzip]).as_deref(), Some("gzip"));
        assert_eq!(said(&browser, &Coding::ALL).as_deref(), Some("gzip, deflate, br, zstd"));
    }
}

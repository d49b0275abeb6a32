//! Who a caller is: a token that the configuration knows by its digest.
//!
//! The digest of what was sent is compared with all that are configured, in constant time, so that neither the
//! answer nor its time says how near a guess came. Tokens are never kept, logged or answered.

use sha2::{Digest, Sha256};
use subtle::{Choice, ConditionallySelectable, ConstantTimeEq};

use crate::config::{AdminConfig, Scope};
use crate::http::RequestHead;

/// The longest token in bytes. Beyond it a request counts as one without a token: 401.
const TOKEN_BYTES_MAX: usize = 4096;

/// The request field that asks for an explanation of the very request it stands in; its value is a token with the
/// scope `read`. It never goes to the origin.
pub const DEBUG_FIELD: &str = "larder-debug";

/// A caller whose token is known.
#[derive(Clone, PartialEq, Debug)]
pub struct Caller {
    /// The name of the token.
    pub name: String,
    /// What it allows.
    pub scopes: Vec<Scope>,
}

impl Caller {
    /// Whether the token allows this.
    #[must_use]
    pub fn may(&self, scope: Scope) -> bool {
        self.scopes.contains(&scope)
    }
}

/// The caller that a request comes from, if it carries a known token.
#[must_use]
pub fn caller(request: &RequestHead, config: &AdminConfig) -> Option<Caller> {
    // A gateway's own token may stand in `Authorization`, and ours beside it.
    credentials(request).find_map(|token| known(token, config))
}

/// Whether a request carries something that may have been meant as a token for the admin route.
#[must_use]
pub fn has_credentials(request: &RequestHead) -> bool {
    FIELDS.iter().any(|name| request.fields.get_all(name).any(|value| !value.trim_ascii().is_empty()))
}

/// Whether a request may have itself explained: by [`DEBUG_FIELD`] with a token that may read.
#[must_use]
pub fn may_debug(request: &RequestHead, config: &AdminConfig) -> bool {
    let token = request.fields.get(DEBUG_FIELD).map(<[u8]>::trim_ascii);
    let token = token.filter(|token| (1..=TOKEN_BYTES_MAX).contains(&token.len()));
    token.and_then(|token| known(token, config)).is_some_and(|caller| caller.may(Scope::Read))
}

fn known(token: &[u8], config: &AdminConfig) -> Option<Caller> {
    let sent = Sha256::digest(token);
    // The index of the token that fits, plus one; every token is looked at.
    let mut found = 0u32;
    for (number, token) in (1..).zip(&config.tokens) {
        let fits: Choice = token.sha256.as_slice().ct_eq(sent.as_slice());
        found.conditional_assign(&number, fits);
    }
    let token = config.tokens.get((found as usize).checked_sub(1)?)?;
    Some(Caller { name: token.name.clone(), scopes: token.scopes.clone() })
}

/// Where tokens are: `Authorization: Bearer`, or where Fastly's and Cloudflare's clients put theirs.
const FIELDS: [&str; 3] = ["authorization", "fastly-key", "x-auth-key"];

/// The tokens that a request carries.
fn credentials(request: &RequestHead) -> impl Iterator<Item = &[u8]> {
    FIELDS.into_iter().filter_map(|name| {
        let value = request.fields.get(name)?;
        let token = if name == "authorization" {
            let (scheme, token) = value.split_at_checked(7)?;
            scheme.eq_ignore_ascii_case(b"bearer ").then_some(token)?
        } else {
            value
        };
        let token = token.trim_ascii();
        (1..=TOKEN_BYTES_MAX).contains(&token.len()).then_some(token)
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::Token;
    use crate::http::Fields;
    #[cfg(all(target_arch = "wasm32", target_os = "unknown"))]
    use wasm_bindgen_test::wasm_bindgen_test as test;

    fn config() -> AdminConfig {
        let token = |name: &str, secret: &str, scopes| Token {
            name: name.into(),
            sha256: Sha256::digest(secret.as_bytes()).into(),
            scopes,
        };
        AdminConfig {
            tokens: vec![
                token("ops", "s3cret", vec![Scope::Read, Scope::Purge, Scope::PurgeAll]),
                token("app", "other", vec![Scope::Purge]),
            ],
            ..AdminConfig::default()
        }
    }

    fn name(field: (&str, &str)) -> Option<String> {
        let request = RequestHead { fields: Fields::from_iter([field]), has_body: false };
        caller(&request, &config()).map(|caller| caller.name)
    }

    #[test]
    fn a_token_is_known_by_its_digest() {
        let cases = [
            (("authorization", "Bearer s3cret"), Some("ops")),
            (("authorization", "bearer  other "), Some("app")),
            (("authorization", "Bearer s3cre"), None),
            (("authorization", "Bearer s3cret2"), None),
            (("authorization", "Bearer "), None),
            (("authorization", "Basic s3cret"), None),
            (("authorization", ""), None),
            (("fastly-key", "other"), Some("app")),
            (("x-auth-key", "other"), Some("app")),
            (("cookie", "s3cret"), None),
        ];
        for (field, expected) in cases {
            assert_eq!(name(field).as_deref(), expected, "{field:?}");
        }
    }

    #[test]
    fn a_token_of_another_service_does_not_hide_ours() {
        let fields = Fields::from_iter([("authorization", "Bearer a.b.c"), ("fastly-key", "other")]);
        let request = RequestHead { fields, has_body: false };
        assert_eq!(caller(&request, &config()).map(|caller| caller.name).as_deref(), Some("app"));
    }

    #[test]
    fn a_wrong_token_counts_as_presented() {
        for (field, expected) in [
            (("authorization", "Bearer wrong"), true),
            (("authorization", "Basic d3Jvbmc="), true),
            (("authorization", "Bearer"), true),
            (("authorization", ""), false),
            (("fastly-key", "x"), true),
            (("x-auth-key", "x"), true),
            (("cookie", "x"), false),
        ] {
            let request = RequestHead { fields: Fields::from_iter([field]), has_body: false };
            assert_eq!(has_credentials(&request), expected, "{field:?}");
        }
    }

    #[test]
    fn without_tokens_there_is_no_caller() {
        let request =
            RequestHead { fields: Fields::from_iter([("authorization", "Bearer s3cret")]), has_body: false };
        assert_eq!(caller(&request, &AdminConfig::default()), None);
    }

    #[test]
    fn a_live_request_is_explained_to_those_who_may_read() {
        for (value, expected) in
            [("s3cret", true), (" s3cret ", true), ("other", false), ("wrong", false), ("", false)]
        {
            let request = RequestHead { fields: Fields::from_iter([(DEBUG_FIELD, value)]), has_body: false };
            assert_eq!(may_debug(&request, &config()), expected, "{value}");
        }
        assert!(!may_debug(&RequestHead::default(), &config()));
    }

    #[test]
    fn a_scope_is_what_the_token_lists() {
        let request = RequestHead { fields: Fields::from_iter([("fastly-key", "other")]), has_body: false };
        let app = caller(&request, &config()).unwrap();
        assert!(app.may(Scope::Purge));
        assert!(!app.may(Scope::PurgeAll) && !app.may(Scope::Read));
    }
}

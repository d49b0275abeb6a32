//! Credentials: which request fields, and which dynamic metadata of filters, say who sends a request.
//!
//! Filters that authenticate take `Authorization` off the request (`jwt_authn` does by default) and tell the origin in
//! fields of their own who it is. RFC 9111 §3.5 knows nothing of these: without them, what was meant for one would be
//! given to all.

use std::rc::Rc;

use super::metadata::namespaces;
use super::names::FieldPattern;
use super::text::{Text, keywords, text};
use crate::http::{Fields, jwt, mark};
use crate::json::{At, Read};
use crate::sorting::sort_by;

/// What becomes of the answer to a request with a credential.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Credential {
    /// It is stored only where RFC 9111 §3.5 would let the answer to `Authorization` be stored.
    Guard,
    /// The credential is part of the cache key.
    Key,
    /// Nothing: it is no credential.
    Ignore,
}

keywords! {
    Credential, "a treatment of credentials":
    "guard" => Credential::Guard,
    "key" => Credential::Key,
    "ignore" => Credential::Ignore
}

/// Which request fields and which metadata are credentials.
#[derive(Clone, PartialEq, Debug)]
pub struct Credentials {
    fields: Names,
    metadata: Names,
    /// The [`mark`]s of the fields that are part of the key, so that most requests need no search.
    key_marks: u64,
    /// Whether nothing is said of the usual fields.
    leaves_usual: bool,
}

/// What is known of proxies, identity providers and applications beyond that. Names that end in `*` stand for all that
/// begin so.
#[rustfmt::skip]
const FIELDS: &[&str] = &[
    "authorization", "dpop", "signature", "auth-*", "x-auth", "x-auth-*", "token", "x-token", "x-token-*", "private-token",
    "job-token", "x-vault-token", "x-amz-security-token", "x-functions-key", "ocp-apim-subscription-key", "x-rapidapi-key",
    "x-client-id", "x-client-secret", "x-account-id", "x-customer-id", "x-subject", "x-hasura-*",
    // Client certificates: ingress-nginx, HAProxy, mod_ssl.
    "ssl-client-*", "ssl_client_*", "x-ssl-client-*", "x-ssl-cert",
    // Proxies and gateways: Authelia and tinyauth, authentik, Pomerium, Vouch, Ory, Kong, APISIX, Grafana, Kubernetes.
    "remote-name", "x-authentik-*", "x-pomerium-*", "x-vouch-*", "x-kratos-*", "x-consumer-*", "x-credential-*",
    "x-webauth-*", "x-remote-name", "x-remote-uid", "x-remote-group", "x-remote-extra-*", "impersonate-*", "x-oauth2-*",
    // Clouds: Google, AWS, Cloudflare, Azure.
    "x-goog-iap-*", "x-amzn-oidc-*", "cf-access-*", "x-ms-token-*", "x-zumo-auth",
    // Shibboleth, SiteMinder, Oracle, IBM.
    "shib-*", "x-shib-*", "eppn", "sm_*", "oam_*", "osso-*", "iv-creds",
];

/// The filters that leave dynamic metadata about whom they have authenticated. (`rbac` does not: what it leaves is a
/// verdict.)
const METADATA: &[&str] = &[
    "envoy.filters.http.api_key_auth",
    "envoy.filters.http.basic_auth",
    "envoy.filters.http.ext_authz",
    "envoy.filters.http.jwt_authn",
    "envoy.filters.http.oauth2",
    "istio_authn",
];

/// The one of which RFC 9111 itself says what becomes of it.
const AUTHORIZATION: &str = "authorization";

macro_rules! usual {
    ($($name:literal)+) => {
        const USUAL: &[&[u8]] = &[$($name),+];

        fn is_usual(name: &[u8]) -> bool {
            matches!(name, $($name)|+)
        }
    };
}

// Fields that most requests have and that are credentials only if configured so: so that most fields are compared with
// few names.
usual! {
    b"accept" b"accept-encoding" b"accept-language" b"cache-control" b"connection" b"content-length" b"content-type"
    b"cookie" b"host" b"if-modified-since" b"if-none-match" b"if-range" b"origin" b"pragma" b"priority" b"range"
    b"referer" b"sec-ch-ua" b"sec-ch-ua-mobile" b"sec-ch-ua-platform" b"sec-fetch-dest" b"sec-fetch-mode"
    b"sec-fetch-site" b"sec-fetch-user" b"sec-gpc" b"te" b"traceparent" b"upgrade-insecure-requests" b"user-agent"
    b"x-envoy-expected-rq-timeout-ms" b"x-envoy-external-address" b"x-envoy-internal" b"x-forwarded-for"
    b"x-forwarded-proto" b"x-request-id"
}

/// Whether a field, by its name in lower case, is known to say who sends a request.
#[must_use]
pub fn is_known_credential(name: &[u8]) -> bool {
    let listed = |known: &&str| match known.strip_suffix('*') {
        Some(start) => name.starts_with(start.as_bytes()),
        None => name == known.as_bytes(),
    };
    FIELDS.iter().any(listed) || is_named_as_one(name)
}

/// Whether a name has a word that names of such fields have, whoever made them up, set off by hyphens or underscores:
/// `x-forwarded-user`, `x-acme-access-token`. Not beside words with which it tells of something else: what a client is,
/// where it is, or that a request is not forged.
fn is_named_as_one(name: &[u8]) -> bool {
    let parts = || name.split(|byte| matches!(byte, b'-' | b'_'));
    let next = parts().skip(1).map(Some).chain([None]);
    parts().zip(next).any(|(word, next)| is_word(word, next.unwrap_or_default()))
        && !parts().any(is_other_word)
}

fn is_word(word: &[u8], next: &[u8]) -> bool {
    match word {
        b"authorization" | b"authenticated" | b"user" | b"username" | b"userid" | b"userinfo" | b"email"
        | b"groups" | b"roles" | b"principal" | b"identity" | b"claim" | b"claims" | b"jwt" | b"oauth"
        | b"oidc" | b"saml" | b"sso" | b"apikey" | b"clientcert" => true,
        b"api" => matches!(next, b"key" | b"token"),
        b"access" | b"auth" | b"id" | b"refresh" | b"session" => next == b"token",
        b"client" => matches!(next, b"cert" | b"dn"),
        _ => false,
    }
}

fn is_other_word(word: &[u8]) -> bool {
    matches!(
        word,
        b"agent"
            | b"sec"
            | b"csrf"
            | b"xsrf"
            | b"ip"
            | b"country"
            | b"region"
            | b"city"
            | b"locale"
            | b"lang"
            | b"language"
            | b"timezone"
    )
}

impl Credentials {
    /// What becomes of a field line, whose name is in lower case: by what is said of its name, else by the words in it;
    /// whatever it is called, a JSON web token says who sends it.
    #[must_use]
    pub fn of(&self, name: &[u8], value: &[u8]) -> Credential {
        if self.leaves_usual && is_usual(name) {
            return Credential::Ignore;
        }
        match self.fields.of(name) {
            // Only its place in the key is left to the operator.
            Some(Credential::Ignore) if name == AUTHORIZATION.as_bytes() => Credential::Guard,
            Some(treatment) => treatment,
            None if is_named_as_one(name) || jwt::is_token_or_claims(value) => Credential::Guard,
            None => Credential::Ignore,
        }
    }

    /// Whether the operator says of a field that it is no credential.
    #[must_use]
    pub fn ignores(&self, name: &[u8]) -> bool {
        self.fields.of(name) == Some(Credential::Ignore) && name != AUTHORIZATION.as_bytes()
    }

    /// The lines of a request that are part of its key.
    pub fn in_key<'a>(&'a self, fields: &'a Fields) -> impl Iterator<Item = (&'a [u8], &'a [u8])> {
        let lines = fields.marked_with(self.key_marks);
        lines.filter(|(name, _)| self.fields.of(name) == Some(Credential::Key))
    }

    /// Whether dynamic metadata, a serialised `envoy.config.core.v3.Metadata`, says that a filter knows who sends the
    /// request.
    #[must_use]
    pub fn are_in_metadata(&self, metadata: &[u8]) -> bool {
        namespaces(metadata).any(|name| self.metadata.of(name) == Some(Credential::Guard))
    }

    /// These, but for what is said anew.
    #[must_use]
    pub(super) fn with(&self, anew: &Anew) -> Credentials {
        Credentials::of_names(self.fields.with(&anew.fields), self.metadata.with(&anew.metadata))
    }

    fn of_names(fields: Names, metadata: Names) -> Credentials {
        let leaves_usual = !USUAL.iter().any(|name| fields.of(name).is_some());
        Credentials { key_marks: fields.marks_of(Credential::Key), leaves_usual, fields, metadata }
    }
}

impl Default for Credentials {
    fn default() -> Self {
        let guarded =
            |names: &[&str]| Names::of_list(names.iter().map(|n| ((*n).into(), Credential::Guard)).collect());
        Credentials::of_names(guarded(FIELDS), guarded(METADATA))
    }
}

/// Names, which may end in `*`, and what becomes of each.
#[derive(Clone, PartialEq, Debug)]
struct Names {
    /// In order.
    exact: Rc<[(Box<str>, Credential)]>,
    /// Without the star, the longest first.
    begun: Rc<[(Box<str>, Credential)]>,
}

impl Names {
    /// What becomes of a name: by itself, or by the longest beginning; none when it is not here.
    fn of(&self, name: &[u8]) -> Option<Credential> {
        let exact = self.exact.binary_search_by(|(known, _)| known.as_bytes().cmp(name)).ok();
        let found = exact.and_then(|at| self.exact.get(at));
        found
            .or_else(|| self.begun.iter().find(|(start, _)| name.starts_with(start.as_bytes())))
            .map(|(_, treatment)| *treatment)
    }

    /// These, but for what is said anew, which counts before them: a new `x-*` leaves nothing of an old `x-user`.
    fn with(&self, anew: &[(String, Credential)]) -> Names {
        let stars = self.begun.iter().map(|(start, of)| (format!("{start}*"), *of));
        let before = self.exact.iter().map(|(name, of)| (name.to_string(), *of)).chain(stars);
        let covered = |name: &str| {
            anew.iter().any(|(new, _)| match new.strip_suffix('*') {
                Some(start) => name.starts_with(start),
                None => name == new,
            })
        };
        Names::of_list(before.filter(|(name, _)| !covered(name)).chain(anew.iter().cloned()).collect())
    }

    fn of_list(all: Vec<(String, Credential)>) -> Names {
        let (mut exact, mut begun) =
            (Vec::<(Box<str>, Credential)>::new(), Vec::<(Box<str>, Credential)>::new());
        for (name, treatment) in all {
            match name.strip_suffix('*') {
                Some(start) => begun.push((start.into(), treatment)),
                None => exact.push((name.into(), treatment)),
            }
        }
        sort_by(&mut exact, |a, b| a.0.cmp(&b.0));
        sort_by(&mut begun, |a, b| b.0.len().cmp(&a.0.len()).then(a.0.cmp(&b.0)));
        Names { exact: exact.into(), begun: begun.into() }
    }

    /// The marks that names with a treatment may have; all, where only their beginning is known.
    fn marks_of(&self, treatment: Credential) -> u64 {
        if self.begun.iter().any(|(_, of)| *of == treatment) {
            return u64::MAX;
        }
        let names = self.exact.iter().filter(|(_, of)| *of == treatment);
        names.fold(0, |marks, (name, _)| marks | mark(name.as_bytes()))
    }
}

/// What one place in the configuration says of credentials.
#[derive(Clone, PartialEq, Debug, Default)]
pub(super) struct Anew {
    pub(super) fields: Vec<(String, Credential)>,
    pub(super) metadata: Vec<(String, Credential)>,
}

/// An object: names of fields to treatments.
pub(super) fn fields(at: &At<'_>) -> Read<Vec<(String, Credential)>> {
    at.entries(|name, treatment| {
        let FieldPattern(name) = text(name)?;
        match text(treatment)? {
            Credential::Ignore if name == AUTHORIZATION => Err(treatment.error(
                "the answer to it is stored only where the origin allows that (RFC 9111 §3.5); expected \"guard\" or \
                 \"key\"",
            )),
            of => Ok((name, of)),
        }
    })
}

/// An object: names under which filters leave dynamic metadata to treatments.
pub(super) fn metadata(at: &At<'_>) -> Read<Vec<(String, Credential)>> {
    at.entries(|name, treatment| {
        let Namespace(name) = text(name)?;
        match text(treatment)? {
            // Metadata comes in no order, and holds times: its bytes would be different each time.
            Credential::Key => Err(treatment.error(
                "metadata cannot be part of the key; let the filter put what identifies the sender into a request \
                 field, and name that in credentials.fields; expected \"guard\" or \"ignore\"",
            )),
            of => Ok((name, of)),
        }
    })
}

/// A name under which filters leave dynamic metadata; `*` may end it.
struct Namespace(String);

impl Text for Namespace {
    const WHAT: &'static str = "a name of dynamic metadata";
    const EXPECTED: &'static str =
        "the name of a filter, which may end in *, such as \"envoy.filters.http.jwt_authn\"";

    fn from_text(text: &str) -> Option<Self> {
        let name = text.strip_suffix('*').unwrap_or(text);
        let plain = !text.is_empty() && name.bytes().all(|b| b.is_ascii_graphic() && b != b'*');
        plain.then(|| Namespace(text.into()))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::{Config, reference_markdown};
    #[cfg(all(target_arch = "wasm32", target_os = "unknown"))]
    use wasm_bindgen_test::wasm_bindgen_test as test;

    use Credential::{Guard, Ignore, Key};

    const WORDS: &str = "authorization authenticated user username userid userinfo email groups roles principal identity \
        claim claims jwt oauth oidc saml sso api-key apikey api-token access-token auth-token id-token refresh-token \
        session-token client-cert clientcert client-dn";

    fn credentials(json: &str) -> Credentials {
        Config::parse(json.as_bytes()).unwrap().defaults.credentials
    }

    #[test]
    fn what_the_field_uses_for_identity_is_guarded() {
        let default = Credentials::default();
        for name in FIELDS {
            let name = name.replace('*', "x");
            assert_eq!(default.of(name.as_bytes(), b"v"), Guard, "{name}");
            assert!(is_known_credential(name.as_bytes()), "{name}");
        }
        for name in "proxy-authorization x-forwarded-client-cert x-forwarded-tls-client-cert x-forwarded-tls-client-cert-info \
            client-cert client-cert-chain x-client-cert-chain ssl-client-subject-dn ssl_client_cert x-client-dn \
            x-amzn-mtls-clientcert-subject x-arr-clientcert x-api-key api-key apikey x-apikey x-rapidapi-key x-goog-api-key \
            x-api-token x-auth-token access-token x-access-token x-session-token x-parse-session-token x-id-token \
            x-shopify-storefront-access-token private-token x-jwt-payload x-jwt-claim-sub x-jwt-assertion x-claim-sub \
            x-forwarded-user x-forwarded-username x-forwarded-email x-forwarded-groups x-forwarded-preferred-username \
            x-forwarded-access-token x-forwarded-authorization x-auth-request-user x-auth-request-email \
            x-auth-request-access-token x-auth-userid x-auth-roles x-auth-key x-authenticated-userid \
            x-authenticated-user-email x-consumer-username x-credential-identifier x-userinfo x-token-subject \
            x-token-user-email x-oidc-sub oidc_claim_sub oidc-access-token x-oauth-email x-oauth2-proxy-id-token \
            x-amzn-oidc-data x-amzn-oidc-identity x-goog-iap-jwt-assertion x-goog-authenticated-user-email \
            x-goog-authenticated-user-id x-apigateway-api-userinfo x-endpoint-api-userinfo x-appengine-user-email \
            x-serverless-authorization cf-access-jwt-assertion cf-access-authenticated-user-email cf-access-client-id \
            x-ms-client-principal x-ms-client-principal-name x-ms-token-aad-access-token remote-user remote-groups \
            remote-name remote-email x-authentik-username x-authentik-jwt x-pomerium-jwt-assertion x-pomerium-claim-email \
            x-vouch-user x-vouch-idp-claims-email x-kratos-authenticated-identity-id tailscale-user-login x-webauth-user \
            x-webauth-name x-remote-user x-remote-group x-remote-extra-scopes impersonate-user shib-session-id \
            x-shib-mail sm_user sm-user iv-user iv-groups x-user x-user-id x-user-email x-username x-email x-groups \
            x-acme-user x-acme-email x-acme-api-key"
            .split_whitespace()
        {
            assert_eq!(default.of(name.as_bytes(), b"v"), Guard, "{name}");
            assert!(is_known_credential(name.as_bytes()), "{name}");
        }
    }

    #[test]
    fn what_clients_send_anyway_is_no_credential() {
        let default = Credentials::default();
        for name in "accept accept-encoding accept-language cache-control content-type cookie host if-none-match origin \
            range referer user-agent x-user-agent x-requested-with x-request-id x-csrf-token x-xsrf-token \
            x-forwarded-for x-forwarded-proto x-forwarded-host x-forwarded-port x-real-ip x-envoy-internal \
            x-envoy-external-address x-remote-addr x-remote-ip sec-fetch-user sec-fetch-site sec-ch-ua traceparent \
            tracestate x-b3-traceid x-amzn-trace-id x-cloud-trace-context cf-connecting-ip cf-ray x-client-ip \
            x-client-data x-client-version x-user-ip x-session-id upgrade-insecure-requests dnt save-data \
            x-amz-user-agent signature-input authority auth idempotency-key x-cache-key x-ab-group x-tenant csrf-token \
            x-device-id x-platform x-app-version apollographql-client-name x-goog-api-client newrelic baggage b3 \
            sec-websocket-key x-shopify-shop-domain x-amz-date x-api-version x-client-locale x-user-country superuser \
            userx x-groupsx emails"
            .split_whitespace()
        {
            assert_eq!(default.of(name.as_bytes(), b"v"), Ignore, "{name}");
            assert!(!is_known_credential(name.as_bytes()), "{name}");
        }
    }

    #[test]
    fn a_token_is_a_credential_whatever_it_is_called() {
        let default = Credentials::default();
        let claims = "eyJpc3MiOiJ0ZXN0cyIsInN1YiI6ImFsaWNlIn0";
        let token = format!("eyJhbGciOiJIUzI1NiJ9.{claims}.c2ln");
        for value in [claims, &token, &format!("Bearer {token}"), "bearer 0a1b"] {
            assert_eq!(default.of(b"x-acme", value.as_bytes()), Guard, "{value}");
        }
        let ignored = credentials(r#"{"credentials": {"fields": {"X-Acme": "ignore"}}}"#);
        assert_eq!(ignored.of(b"x-acme", token.as_bytes()), Ignore);
    }

    #[test]
    fn the_operators_word_counts_before_what_is_known() {
        let own = credentials(
            r#"{"credentials": {"fields": {"x-tenant": "guard", "x-acme-*": "key", "x-user*": "ignore",
                "x-auth-request-*": "ignore", "x-user-id": "key", "authorization": "key"}}}"#,
        );
        for (name, expected) in [
            ("x-tenant", Guard),
            ("x-acme-user", Key),
            ("x-user", Ignore),
            ("x-user-email", Ignore),
            ("x-user-id", Key),
            ("x-auth-request-email", Ignore),
            ("x-auth-token", Guard),
            ("authorization", Key),
            ("x-api-key", Guard),
        ] {
            assert_eq!(own.of(name.as_bytes(), b"v"), expected, "{name}");
        }
        let fields = Fields::from_iter([("x-acme-a", "1"), ("x-user-id", "2"), ("x-tenant", "3")]);
        let in_key: Vec<_> = own.in_key(&fields).map(|(_, value)| value).collect();
        assert_eq!(in_key, [b"1", b"2"]);
        assert_eq!(Credentials::default().in_key(&fields).count(), 0);
    }

    #[test]
    fn of_authorization_the_rfc_says_what_becomes() {
        for name in ["a*", "*"] {
            let own = credentials(&format!(r#"{{"credentials": {{"fields": {{"{name}": "ignore"}}}}}}"#));
            assert_eq!(own.of(b"authorization", b"v"), Guard, "{name}");
            assert_eq!(own.of(b"api-key", b"v"), Ignore, "{name}");
        }
        let error = |json: &str| Config::parse(json.as_bytes()).unwrap_err().to_string();
        let ignored = error(r#"{"credentials": {"fields": {"Authorization": "ignore"}}}"#);
        assert!(
            ignored.starts_with("credentials.fields.Authorization: ") && ignored.contains("§3.5"),
            "{ignored}"
        );
        let keyed = error(r#"{"credentials": {"metadata": {"istio_authn": "key"}}}"#);
        assert!(keyed.starts_with("credentials.metadata.istio_authn: metadata cannot be"), "{keyed}");
        for (json, expected) in [
            (r#"{"credentials": {"fields": {"x a": "key"}}}"#, "is not a header field name"),
            (r#"{"credentials": {"fields": {"x*a": "key"}}}"#, "is not a header field name"),
            (r#"{"credentials": {"fields": {"x-a": "strip"}}}"#, "is not a treatment of credentials"),
            (r#"{"credentials": {"metadata": {"": "guard"}}}"#, "is not a name of dynamic metadata"),
            (r#"{"credentials": ["x-a"]}"#, "is not an object"),
            (
                r#"{"rules": [{"match": {"status": 200}, "credentials": {"fields": {"x-a": "key"}}}]}"#,
                "applies before there is a response",
            ),
        ] {
            assert!(error(json).contains(expected), "{}", error(json));
        }
    }

    #[test]
    fn rules_say_what_they_want_and_leave_the_rest() {
        let config = Config::parse(
            br#"{"credentials": {"fields": {"x-tenant": "key"}, "metadata": {"acme": "guard"}},
                "rules": [{"credentials": {"fields": {"x-api-key": "ignore"}, "metadata": {"envoy.*": "ignore"}}}]}"#,
        );
        let options = config.unwrap().rules.for_request(&crate::http::RequestHead::default());
        let of = |name: &str| options.credentials.of(name.as_bytes(), b"v");
        assert_eq!((of("x-tenant"), of("x-api-key"), of("x-user")), (Key, Ignore, Guard));
        let entry = |name: &str| {
            let bytes = |number: u8, value: &[u8]| [&[number << 3 | 2, value.len() as u8], value].concat();
            bytes(1, &[bytes(1, name.as_bytes()), bytes(2, &bytes(1, b"x"))].concat())
        };
        let seen = |name: &str| options.credentials.are_in_metadata(&entry(name));
        assert_eq!(
            (seen("acme"), seen("envoy.filters.http.jwt_authn"), seen("istio_authn"), seen("other")),
            (true, false, true, false)
        );
        assert!(Credentials::default().are_in_metadata(&entry("envoy.filters.http.jwt_authn")));
        assert!(!Credentials::default().are_in_metadata(&entry("envoy.filters.http.rbac")));
        assert!(!Credentials::default().are_in_metadata(b""));
    }

    #[test]
    fn the_table_of_options_names_them_all() {
        let table = reference_markdown();
        let row = |path: &str| table.lines().find(|line| line.contains(path)).unwrap();
        let fields = row("`credentials.fields`");
        let words: Vec<&str> = WORDS.split_whitespace().collect();
        assert!(words.iter().all(|word| is_named_as_one(word.as_bytes())));
        for (names, row) in [(&*words, fields), (FIELDS, fields), (METADATA, row("`credentials.metadata`"))] {
            for name in names {
                assert!(row.contains(&format!("`{name}`")), "{name}");
            }
        }
    }
}

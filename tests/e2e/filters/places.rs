//! The places that filters can have, before Larder and behind it.

use super::super::process::replace;
use super::tokens::{ISSUER, TOKENS};
use super::{AUTHORIZER, PEOPLE, with_admin};

/// A listener with filters beside Larder. The pages that are asked for there begin with its name.
#[derive(Default)]
pub struct Place {
    pub name: &'static str,
    /// Nearer to the client.
    before: Vec<String>,
    /// Nearer to the origin.
    behind: Vec<String>,
    /// Whether its route loop has those that are behind.
    pub looped: bool,
    /// Members of the configuration, each with a comma behind it.
    options: &'static str,
    without_larder: bool,
}

/// What the route table says to filters: which other sites may read pages.
pub const POLICIES: &str = r#"              typed_per_filter_config:
                envoy.filters.http.cors:
                  "@type": type.googleapis.com/envoy.extensions.filters.http.cors.v3.CorsPolicy
                  allow_origin_string_match: [{ exact: "https://a.test" }, { exact: "https://b.test" }]
                  allow_methods: GET
"#;

/// What the credential injector logs in with.
pub const SECRETS: &str = r#"  secrets:
  - { name: login, generic_secret: { secret: { inline_string: "Basic ZWRnZTplZGdl" } } }
"#;

const FILTER: &str = "          - name: larder\n            typed_config:";
const ROUTER: &str = "          - name: envoy.filters.http.router\n";
const CONFIGURATION: &str = "                    { \"collapse\": { \"cluster\": \"route_loop\" } }\n";

impl Place {
    pub fn route_loop(&self) -> String {
        format!("loop-{}", self.name)
    }

    /// The listener, made of the one that is shipped.
    pub fn listener(&self, shipped: &str) -> String {
        let mut yaml = shipped.replacen("- name: larder\n", &format!("- name: {}\n", self.name), 1);
        let own = format!("\"collapse\": {{\"cluster\": {:?}}}, {}", self.route_loop(), self.options);
        let configuration = with_admin(if self.looped { &own } else { self.options });
        replace(&mut yaml, CONFIGURATION, &format!("                    {configuration}\n"));
        let lines = |filters: &[String]| -> String {
            filters.iter().map(|filter| format!("          - {filter}\n")).collect()
        };
        if self.without_larder {
            let start = yaml.find(FILTER).unwrap();
            let end = yaml.find(ROUTER).unwrap();
            yaml.replace_range(start..end, &lines(&self.before));
            return yaml;
        }
        replace(&mut yaml, FILTER, &(lines(&self.before) + FILTER));
        replace(&mut yaml, ROUTER, &(lines(&self.behind) + ROUTER));
        yaml
    }

    /// Its own route loop, made of the one that is shipped.
    pub fn with_loop(&self, shipped: &str) -> String {
        let mut yaml = shipped.replace("route_loop", &self.route_loop());
        let filters: String = self.behind.iter().map(|filter| format!("{filter}, ")).collect();
        replace(&mut yaml, "http_filters: [", &format!("http_filters: [{filters}"));
        yaml
    }
}

pub fn places() -> Vec<Place> {
    let before = |name, filter: String| Place { name, before: vec![filter], ..Place::default() };
    let behind = |name, filter: String| Place { name, behind: vec![filter], ..Place::default() };
    let looped = |name, filter: String| Place { looped: true, ..behind(name, filter) };
    let with = |place: Place, options| Place { options, ..place };
    let acme_is_key = r#""credentials": {"fields": {"x-acme": "key"}},"#;
    vec![
        before("jwt", jwt_authn("forward_payload_header: x-jwt-payload")),
        before("jwt-forward", jwt_authn("forward: true")),
        before("jwt-metadata", jwt_authn("payload_in_metadata: payload")),
        with(
            before("jwt-claims", jwt_authn("claim_to_headers: [{ header_name: x-acme, claim_name: sub }]")),
            acme_is_key,
        ),
        before("jwt-silent", jwt_authn("forward: false")),
        looped("jwt-behind", jwt_authn("forward: true")),
        before("authz", ext_authz("x-user", "")),
        with(before("authz-named", ext_authz("x-acme", "")), acme_is_key),
        before(
            "authz-metadata",
            ext_authz("x-nothing", ", dynamic_metadata_from_headers: { patterns: [{ exact: x-user }] }"),
        ),
        looped("authz-behind", ext_authz("x-user", "")),
        before("key", api_key_auth("")),
        with(before("key-hidden", api_key_auth(HIDDEN)), acme_is_key),
        behind("key-behind", api_key_auth("")),
        before("basic", basic_auth()),
        behind("basic-behind", basic_auth()),
        before("rbac", rbac()),
        looped("rbac-behind", rbac()),
        before("limit", local_ratelimit(8)),
        behind("limit-behind", local_ratelimit(2)),
        before("cors", cors()),
        looped("cors-behind", cors()),
        before("compressor", compressor()),
        looped("compressor-behind", compressor()),
        behind("compressor-behind-alone", compressor()),
        Place { without_larder: true, ..before("compressor-plain", compressor()) },
        Place { before: on_responses(), name: "responses", ..Place::default() },
        Place { behind: on_responses(), name: "responses-behind", looped: true, ..Place::default() },
        Place { behind: on_responses(), name: "responses-behind-alone", ..Place::default() },
        Place { before: on_requests(), name: "requests", ..Place::default() },
        Place { behind: on_requests(), name: "requests-behind", looped: true, ..Place::default() },
        Place { behind: on_requests(), name: "requests-behind-alone", ..Place::default() },
        Place {
            behind: on_requests(),
            name: "requests-no-loop",
            options: r#""collapse": {"cluster": null},"#,
            ..Place::default()
        },
    ]
}

fn filter(name: &str, kind: &str, configuration: &str) -> String {
    let kind = format!("type.googleapis.com/envoy.extensions.filters.http.{name}.v3.{kind}");
    format!("{{ name: envoy.filters.http.{name}, typed_config: {{ \"@type\": {kind}, {configuration} }} }}")
}

fn jwt_authn(told: &str) -> String {
    let keys = serde_json::to_string(&TOKENS.key_set).unwrap();
    let provider = format!("issuer: {ISSUER:?}, local_jwks: {{ inline_string: {keys} }}, {told}");
    let rules = "rules: [{ match: { prefix: / }, requires: { provider_name: people } }]";
    filter("jwt_authn", "JwtAuthentication", &format!("providers: {{ people: {{ {provider} }} }}, {rules}"))
}

fn ext_authz(added: &str, more: &str) -> String {
    let server = format!(
        "server_uri: {{ uri: authz.internal, cluster: origin, timeout: 30s }}, path_prefix: {AUTHORIZER}"
    );
    let response = format!(
        "authorization_response: {{ allowed_upstream_headers: {{ patterns: [{{ exact: {added} }}] }}{more} }}"
    );
    let asked = "allowed_headers: { patterns: [{ exact: cookie }] }";
    filter("ext_authz", "ExtAuthz", &format!("http_service: {{ {server}, {response} }}, {asked}"))
}

/// The key does not reach the origin, but whom it is of.
const HIDDEN: &str = "forwarding: { header: x-acme, hide_credentials: true }";

fn api_key_auth(forwarding: &str) -> String {
    let key = |who: &str| format!("{{ key: key-of-{who}, client: {who} }}");
    let credentials = format!("credentials: [{}]", PEOPLE.map(key).join(", "));
    let sources = "key_sources: [{ header: x-api-key }, { header: x-own }, { query: key }]";
    filter("api_key_auth", "ApiKeyAuth", &format!("{credentials}, {sources}, {forwarding}"))
}

fn basic_auth() -> String {
    let users = r#"users: { inline_string: "alice:{SHA}0L4txCG+T80BcuWvzuo5cOLz2UA=\nbob:{SHA}JQ538SpatpcqCJXSkMR5Lwoybqg=" }"#;
    filter("basic_auth", "BasicAuth", users)
}

/// Lets in who comes from within.
fn rbac() -> String {
    let within = "principals: [{ header: { name: x-network, string_match: { exact: within } } }]";
    let policy = format!("permissions: [{{ any: true }}], {within}");
    filter("rbac", "RBAC", &format!("rules: {{ action: ALLOW, policies: {{ within: {{ {policy} }} }} }}"))
}

fn local_ratelimit(tokens: u64) -> String {
    let bucket =
        format!("token_bucket: {{ max_tokens: {tokens}, tokens_per_fill: 1, fill_interval: 3600s }}");
    let always = "default_value: { numerator: 100 }";
    let on = format!("filter_enabled: {{ {always} }}, filter_enforced: {{ {always} }}");
    filter("local_ratelimit", "LocalRateLimit", &format!("stat_prefix: limit, {bucket}, {on}"))
}

fn cors() -> String {
    filter("cors", "Cors", "")
}

fn compressor() -> String {
    let gzip = "type.googleapis.com/envoy.extensions.compression.gzip.compressor.v3.Gzip";
    let library = format!("compressor_library: {{ name: gzip, typed_config: {{ \"@type\": {gzip} }} }}");
    filter("compressor", "Compressor", &library)
}

fn lua(code: &str) -> String {
    let code = serde_json::to_string(code).unwrap();
    filter("lua", "Lua", &format!("default_source_code: {{ inline_string: {code} }}"))
}

/// What changes responses: one that adds lines, one that appends to what is there, and one that changes bodies.
fn on_responses() -> Vec<String> {
    let add = |name: &str, value: &str| {
        format!(
            "{{ append: {{ header: {{ key: {name}, value: {value} }}, append_action: APPEND_IF_EXISTS_OR_ADD }} }}"
        )
    };
    let added = [add("x-added", "once"), add("link", "'</a.css>'"), add("vary", "x-foo")].join(", ");
    let code = r#"function envoy_on_response(handle)
  local body = handle:body()
  if body then
    handle:headers():add("x-lua", "once")
    handle:headers():replace("x-set", "once")
    local length = body:setBytes(body:getBytes(0, body:length()) .. "+lua")
    handle:headers():replace("content-length", length)
  end
end"#;
    vec![
        filter(
            "header_mutation",
            "HeaderMutation",
            &format!("mutations: {{ response_mutations: [{added}] }}"),
        ),
        lua(code),
    ]
}

/// What the origin wants to see: a signature of this very request, a field, and a login.
fn on_requests() -> Vec<String> {
    let code = r#"function envoy_on_request(handle)
  local headers = handle:headers()
  headers:replace("x-sig", headers:get(":path") .. " at " .. handle:timestampString())
end"#;
    let set =
        "{ append: { header: { key: x-edge, value: here }, append_action: OVERWRITE_IF_EXISTS_OR_ADD } }";
    let generic = "type.googleapis.com/envoy.extensions.http.injected_credentials.generic.v3.Generic";
    let credential = format!(
        "credential: {{ name: envoy.http.injected_credentials.generic, typed_config: {{ \"@type\": {generic}, credential: {{ name: login }} }} }}"
    );
    vec![
        lua(code),
        filter("header_mutation", "HeaderMutation", &format!("mutations: {{ request_mutations: [{set}] }}")),
        filter("credential_injector", "CredentialInjector", &format!("overwrite: true, {credential}")),
    ]
}

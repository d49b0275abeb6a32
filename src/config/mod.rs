//! The plugin configuration: typed, validated once; an error names the JSON path, the value and what was expected.
//!
//! An empty configuration is a working cache that follows the origin's headers. [`Config::parse`] reads one;
//! [`Rules`] says which [`Options`] hold for an exchange. All options stand in [`REFERENCE`].

mod admin;
mod covering;
mod credentials;
mod discreet;
mod error;
mod extension;
mod fleet;
mod index;
mod matcher;
mod metadata;
mod mutation;
mod names;
mod network;
mod options;
mod overlay;
mod path;
mod pattern;
mod reduction;
mod reference;
mod rules;
mod sections;
mod spelling;
mod tags;
mod template;
mod text;
mod units;
mod unkeyed;
mod warnings;

pub use admin::{AdminConfig, Scope, Strangers, Token};
pub use credentials::{Credential, Credentials, is_known_credential};
pub use error::ConfigError;
pub use fleet::{Acknowledge, FleetConfig, HistoryLost, Role, Share, WhenLagging};
pub use metadata::subset;
pub use mutation::Mutation;
pub use network::Network;
pub use options::{Direction, Heuristics, KeyOptions, Options, QueryKey, RequestDirectives, SetCookie};
pub use reduction::Reductions;
pub use reference::{REFERENCE, Row, reference_markdown};
pub use rules::Rules;
pub use sections::{BreakerConfig, CacheStatusHeader, CollapseConfig, Fetch, Rate, StoreConfig};
pub use tags::{TAG_HEADERS, TagHierarchy, TagsConfig};
pub use unkeyed::{Treatment, Unkeyed};

// The admin route reads durations as the configuration does.
pub(crate) use units::duration;

use core::cell::OnceCell;

use crate::json::{At, Json, Path, Read, boolean};
use discreet::DISCREET;
use names::CacheName;
use overlay::Overlay;
use text::text;

/// The configuration in force.
#[derive(PartialEq, Debug)]
pub struct Config {
    /// The cache's name in `Cache-Status`: a token of structured fields.
    pub name: String,
    /// The options where no rule says otherwise.
    pub defaults: Options,
    /// The rules over these options.
    pub rules: Rules,
    /// The bounds of the store.
    pub store: StoreConfig,
    /// Tags of stored responses.
    pub tags: TagsConfig,
    /// How requests for the same key become one fetch.
    pub collapse: CollapseConfig,
    /// When a cluster is taken to be down.
    pub breaker: BreakerConfig,
    /// The admin route.
    pub admin: AdminConfig,
    /// How many invalidations answers to unsafe methods (RFC 9111 §4.4) write on one worker; those of a rule are
    /// counted by themselves.
    pub unsafe_methods: Rate,
    /// How invalidations reach other Envoys.
    pub fleet: FleetConfig,
    /// The response header field `Cache-Status`.
    pub cache_status: CacheStatusHeader,
    /// Whether routes may have a rule of their own in their metadata.
    pub route_metadata: bool,
    /// The direction of the listeners that it is for, where they have one.
    pub direction: Option<Direction>,
    /// The JSON that it was read from.
    pub original: OriginalJson,
}

/// The JSON of a configuration as the operator wrote it. Two configurations that say the same are equal however they
/// are written, so any two of these are.
#[derive(Debug, Default)]
pub struct OriginalJson {
    /// The JSON.
    pub json: Box<[u8]>,
    warnings: OnceCell<Vec<String>>,
}

impl PartialEq for OriginalJson {
    fn eq(&self, _: &Self) -> bool {
        true
    }
}

impl Config {
    /// Reads a configuration from JSON; nothing at all and `{}` are the default.
    ///
    /// ```
    /// use larder::config::Config;
    ///
    /// let config = Config::parse(br#"{"rules": [{"match": {"path": "/img/**"}, "ttl": "1h"}]}"#);
    /// assert!(config.is_ok());
    ///
    /// let error = Config::parse(br#"{"rules": [{"ttl": "90x"}]}"#).unwrap_err();
    /// assert!(error.to_string().starts_with(r#"rules[0].ttl: "90x" is not a duration; expected"#));
    /// ```
    pub fn parse(json: &[u8]) -> Result<Config, ConfigError> {
        let text = json.trim_ascii();
        let (value, original) = match metadata::message(json) {
            // A hand-written `google.protobuf.Struct`, which Envoy hands over as it is on the wire.
            Some(value) => {
                let written = value.written().to_string();
                (value, written.into_bytes().into())
            }
            None if text.is_empty() => (Json::Object(Vec::new()), Box::default()),
            None => (Json::parse(text).map_err(|error| *error)?, text.into()),
        };
        let config =
            Self::read(&At { path: &Path::Whole(&DISCREET), value: &value }).map_err(|error| *error)?;
        let original = OriginalJson { json: original, warnings: OnceCell::new() };
        Ok(Config { original, ..config })
    }

    /// The same configuration, for requests that come through listeners of this direction.
    #[must_use]
    pub fn facing(&self, direction: Direction) -> Config {
        self.again().unwrap_or_default().turned(Some(direction))
    }

    fn turned(mut self, direction: Option<Direction>) -> Config {
        self.direction = direction;
        self.defaults.key.direction = direction;
        self.rules = self.rules.over(&self.defaults);
        self
    }

    /// The configuration, read once more.
    fn again(&self) -> Result<Config, ConfigError> {
        Config::parse(&self.original.json).map(|config| config.turned(self.direction))
    }

    /// The configuration for a route with this metadata, a serialised `envoy.config.core.v3.Metadata`: the rule that
    /// stands in it under `larder` comes before all others. None when there is none.
    ///
    /// # Errors
    ///
    /// What is wrong with that rule.
    pub fn for_route(&self, metadata: &[u8]) -> Result<Option<Config>, ConfigError> {
        let Some(value) = metadata::filter_metadata(metadata, "larder") else { return Ok(None) };
        let path = &Path::Field(&Path::Whole(&DISCREET), "filter_metadata");
        let at = At { path: &Path::Field(path, "larder"), value: &value };
        let rule = rules::read_one(&at, &self.store).map_err(|error| *error)?;
        Ok(Some(self.with_first(rule)?))
    }

    /// The configuration, but that it goes to the origin with everything and stores nothing.
    #[must_use]
    pub fn bypassing(&self) -> Config {
        self.with_first(rules::Rule::bypass()).unwrap_or_default()
    }

    /// The same configuration, with another rule before its own.
    fn with_first(&self, rule: rules::Rule) -> Result<Config, ConfigError> {
        let config = self.again()?;
        Ok(Config { rules: config.rules.after(rule), ..config })
    }

    fn read(at: &At<'_>) -> Read<Config> {
        let mut config = Config::default();
        let mut options = Overlay::default();
        let mut rules = Vec::new();
        at.object(|object| {
            object.field("name", &mut config.name, |at| text(at).map(|CacheName(name)| name))?;
            object.section("cache_status", |object| config.cache_status.read(object))?;
            object.section("store", |object| config.store.read(object))?;
            object.section("tags", |object| config.tags.read(object))?;
            object.section("collapse", |object| config.collapse.read(object))?;
            object.section("breaker", |object| config.breaker.read(object))?;
            object.section("admin", |object| config.admin.read(object))?;
            object.section("unsafe_methods", |object| config.unsafe_methods.read(object))?;
            object.section("fleet", |object| config.fleet.read(object))?;
            object.field("route_metadata", &mut config.route_metadata, boolean)?;
            options.read(object)?;
            object.field("rules", &mut rules, |at| rules::read(at, &config.store))
        })?;
        options.apply(&mut config.defaults);
        config.defaults.object_bytes_max = config.store.object_bytes_max;
        config.defaults.collapse = config.collapse.enabled;
        config.rules = Rules::new(config.defaults.clone(), rules);
        Ok(config)
    }
}

impl Default for Config {
    fn default() -> Self {
        let defaults = Options::default();
        Config {
            name: "larder".into(),
            rules: Rules::new(defaults.clone(), Vec::new()),
            defaults,
            store: StoreConfig::default(),
            tags: TagsConfig::default(),
            collapse: CollapseConfig::default(),
            breaker: BreakerConfig::default(),
            admin: AdminConfig::default(),
            unsafe_methods: Rate::default(),
            fleet: FleetConfig::default(),
            cache_status: CacheStatusHeader::default(),
            route_metadata: false,
            direction: None,
            original: OriginalJson::default(),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    #[cfg(all(target_arch = "wasm32", target_os = "unknown"))]
    use wasm_bindgen_test::wasm_bindgen_test as test;

    #[test]
    fn the_rule_in_a_routes_metadata_comes_first() {
        let bytes = |number: u8, value: &[u8]| [&[number << 3 | 2, value.len() as u8], value].concat();
        let entry =
            |name: &str, value: &[u8]| bytes(1, &[bytes(1, name.as_bytes()), bytes(2, value)].concat());
        let ttl = |ttl: &str| entry("larder", &entry("ttl", &bytes(3, ttl.as_bytes())));
        let config = Config::parse(br#"{"keep": "2h", "rules": [{"ttl": "1h", "name": "all"}]}"#).unwrap();
        let of = |config: &Config| {
            let options = config.rules.for_request(&crate::http::RequestHead::default());
            (
                options.ttl.map(|ttl| ttl.as_secs()),
                options.keep.as_secs(),
                options.bypass,
                options.rules.clone(),
            )
        };
        let all = vec!["all".to_owned()];
        let routed = config.for_route(&ttl("1m")).unwrap().unwrap();
        assert_eq!(of(&routed), (Some(60), 7_200, false, all.clone()));
        assert_eq!(of(&config), (Some(3_600), 7_200, false, all.clone()));
        assert_eq!(config.for_route(&entry("other", b"")), Ok(None));
        let error = config.for_route(&ttl("90x")).unwrap_err().to_string();
        assert!(error.starts_with("filter_metadata.larder.ttl: \"90x\" is not a duration"), "{error}");
        assert_eq!(of(&config.bypassing()), (Some(3_600), 7_200, true, all));
    }

    #[test]
    fn a_struct_is_read_like_json() {
        let bytes = |number: u8, value: &[u8]| [&[number << 3 | 2, value.len() as u8], value].concat();
        let entry =
            |name: &str, value: &[u8]| bytes(1, &[bytes(1, name.as_bytes()), bytes(2, value)].concat());
        let number = [&[2 << 3 | 1][..], &64_f64.to_le_bytes()].concat();
        let store = bytes(5, &entry("entries_max", &number));
        let message = [entry("keep", &bytes(3, b"2h")), entry("store", &store)].concat();
        let config = Config::parse(&message).unwrap();
        assert_eq!(config, Config::parse(br#"{"keep": "2h", "store": {"entries_max": 64}}"#).unwrap());
        assert_eq!(&*config.original.json, br#"{"keep":"2h","store":{"entries_max":64}}"#);
        assert_eq!(config.facing(Direction::Inbound).defaults.keep, config.defaults.keep);
        let wrong = Config::parse(&entry("keep", &bytes(3, b"90x"))).unwrap_err().to_string();
        assert!(wrong.starts_with("keep: \"90x\" is not a duration"), "{wrong}");
        for cut in 1..message.len() {
            let _ = Config::parse(&message[..cut]);
        }
        for text in ["\n{", "\n{\"keep\": \"2h\"", "\n\u{2}\n", "\n"] {
            let wrong =
                Config::parse(text.as_bytes()).map_or_else(|error| error.to_string(), |_| String::new());
            assert!(text == "\n" || wrong.starts_with("not valid JSON"), "{text:?}: {wrong}");
        }
    }

    #[test]
    fn a_configuration_can_be_turned_to_one_side() {
        let config =
            Config::parse(br#"{"key": {"partition": "a"}, "rules": [{"key": {"partition": null}}]}"#);
        let config = config.unwrap();
        assert_eq!(config.defaults.key.partition.as_deref(), Some("a"));
        let outbound = config.facing(Direction::Outbound);
        let request = crate::http::RequestHead::default();
        for config in [&outbound, &outbound.bypassing()] {
            let options = config.rules.for_request(&request);
            assert_eq!((options.key.direction, &options.key.partition), (Some(Direction::Outbound), &None));
        }
        assert_eq!(config.rules.for_request(&request).key.direction, None);
        assert!(Config::parse(br#"{"key": {"partition": ""}}"#).is_err());
    }

    #[test]
    fn an_empty_configuration_is_the_default() {
        for json in [&b""[..], b"{}", b" \n{ } "] {
            assert_eq!(Config::parse(json), Ok(Config::default()));
        }
        assert_eq!(Config::default().defaults, Options::default());
    }
}

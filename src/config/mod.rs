//! The plugin configuration: typed, validated once; an error names the JSON path, the value and what was expected.
//!
//! An empty configuration is a working cache that follows the origin's headers. [`Config::parse`] reads one;
//! [`Rules`] says which [`Options`] hold for an exchange. All options stand in [`REFERENCE`].

mod admin;
mod error;
mod extension;
mod index;
mod json;
mod matcher;
mod mutation;
mod names;
mod network;
mod options;
mod overlay;
mod path;
mod pattern;
mod reference;
mod rules;
mod sections;
mod tags;
mod template;
mod text;
mod units;
mod unkeyed;

pub use admin::{AdminConfig, Scope, Strangers, Token};
pub use error::ConfigError;
pub use mutation::Mutation;
pub use network::Network;
pub use options::{Heuristics, KeyOptions, Options, QueryKey, RequestDirectives, SetCookie};
pub use reference::{REFERENCE, Row, reference_markdown};
pub use rules::Rules;
pub use sections::{CacheStatusHeader, CollapseConfig, Fetch, Rate, StoreConfig};
pub use tags::{TAG_HEADERS, TagHierarchy, TagsConfig};
pub use unkeyed::{Treatment, Unkeyed};

use json::{At, Json, Path, Read};
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
    /// The admin route.
    pub admin: AdminConfig,
    /// How many invalidations answers to unsafe methods (RFC 9111 §4.4) write on one worker; those of a rule are
    /// counted by themselves.
    pub unsafe_methods: Rate,
    /// The response header field `Cache-Status`.
    pub cache_status: CacheStatusHeader,
    /// The JSON that it was read from.
    pub source: Source,
}

/// The JSON of a configuration. How it was written makes no difference to what it says, so all are equal.
#[derive(Debug, Default)]
pub struct Source(pub Box<[u8]>);

impl PartialEq for Source {
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
        let json = json.trim_ascii();
        let value = if json.is_empty() { Json::Object(Vec::new()) } else { Json::parse(json)? };
        let config = Self::read(&At { path: &Path::Whole, value: &value }).map_err(|error| *error)?;
        Ok(Config { source: Source(json.into()), ..config })
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
            object.section("admin", |object| config.admin.read(object))?;
            object.section("unsafe_methods", |object| config.unsafe_methods.read(object))?;
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
            admin: AdminConfig::default(),
            unsafe_methods: Rate::default(),
            cache_status: CacheStatusHeader::default(),
            source: Source::default(),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    #[cfg(all(target_arch = "wasm32", target_os = "unknown"))]
    use wasm_bindgen_test::wasm_bindgen_test as test;

    #[test]
    fn nothing_is_the_default() {
        for json in [&b""[..], b"{}", b" \n{ } "] {
            assert_eq!(Config::parse(json), Ok(Config::default()));
        }
        assert_eq!(Config::default().defaults, Options::default());
    }
}

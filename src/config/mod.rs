//! The plugin configuration: typed, validated once; an error names the JSON path, the value and what was expected.
//!
//! An empty configuration is a working cache that follows the origin's headers. [`Config::parse`] reads one;
//! [`Rules`] says which [`Options`] hold for an exchange. All options stand in [`REFERENCE`].

mod admin;
mod check;
mod document;
mod error;
mod extension;
mod field;
mod index;
mod matcher;
mod names;
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

pub use admin::{AdminConfig, Scope, Token};
pub use error::ConfigError;
pub use options::{Heuristics, KeyOptions, Options, QueryKey, RequestDirectives, SetCookie};
pub use reference::{REFERENCE, Row, reference_markdown};
pub use rules::Rules;
pub use sections::{CacheStatusHeader, CollapseConfig, Fetch, StoreConfig};
pub use tags::{TAG_HEADERS, TagHierarchy, TagsConfig};

use document::Document;

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
    /// The response header field `Cache-Status`.
    pub cache_status: CacheStatusHeader,
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
        let document = if json.is_empty() { Document::default() } else { error::read(json)? };
        check::document(&document)?;
        Ok(document.into_config())
    }
}

impl Default for Config {
    fn default() -> Self {
        Document::default().into_config()
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

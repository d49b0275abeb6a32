//! The configuration as a whole: read, checked, made into a [`Config`].

use super::field::{object, objects, set};
use super::names::CacheName;
use super::options::Options;
use super::overlay::with_options;
use super::rules::{Rule, Rules};
use super::{AdminConfig, CacheStatusHeader, CollapseConfig, Config, Rate, Source, StoreConfig, TagsConfig};

with_options! {
    /// The configuration as it is written.
    pub(super) struct Document {
        #[serde(deserialize_with = "set")]
        name: Option<CacheName>,
        #[serde(deserialize_with = "object")]
        pub(super) cache_status: CacheStatusHeader,
        #[serde(deserialize_with = "object")]
        pub(super) store: StoreConfig,
        #[serde(deserialize_with = "object")]
        pub(super) tags: TagsConfig,
        #[serde(deserialize_with = "object")]
        pub(super) collapse: CollapseConfig,
        #[serde(deserialize_with = "object")]
        pub(super) admin: AdminConfig,
        #[serde(deserialize_with = "object")]
        unsafe_methods: Rate,
        #[serde(deserialize_with = "objects")]
        pub(super) rules: Vec<Rule>,
    }
}

impl Document {
    /// The configuration that it says, once it is checked.
    pub(super) fn into_config(self) -> Config {
        let mut defaults = Options::default();
        self.overlay(&mut defaults);
        defaults.object_bytes_max = self.store.object_bytes_max;
        defaults.collapse = self.collapse.enabled;
        Config {
            name: self.name.map_or_else(|| "larder".into(), |name| name.0),
            rules: Rules::new(defaults.clone(), self.rules),
            defaults,
            store: self.store,
            tags: self.tags,
            collapse: self.collapse,
            admin: self.admin,
            unsafe_methods: self.unsafe_methods,
            cache_status: self.cache_status,
            source: Source::default(),
        }
    }
}

//! Where plugin configurations stand in a file.

use serde::Deserialize;
use serde_yaml_ng::{self as yaml, Mapping, Value};

/// A plugin configuration, as the filter gets it.
#[derive(Debug, PartialEq)]
pub struct Found {
    /// Where it stands; empty when it is the whole file.
    pub place: String,
    /// The JSON.
    pub json: Vec<u8>,
}

/// The type of a configuration that is a text, by its name in an `Any`.
const TEXT: &str = "google.protobuf.StringValue";

/// The plugin configurations in a file: it is one, or has some.
///
/// Of the plugins in an Envoy configuration those that are called `larder` count, in name, root, VM or code; all of them where none
/// is.
///
/// # Errors
/// What is wrong with the file, or that it has none.
pub fn configurations(text: &str) -> Result<Vec<Found>, String> {
    // As it is: what the filter says of a place must be of that place.
    if text.trim_start().starts_with('{') && !is_of_another_kind(text) {
        return Ok(vec![Found { place: String::new(), json: text.into() }]);
    }
    let mut plugins = Vec::new();
    for (number, document) in yaml::Deserializer::from_str(text).enumerate() {
        let document = Value::deserialize(document).map_err(|error| format!("no YAML: {error}"))?;
        let place = if number == 0 { String::new() } else { format!("document {}: ", number + 1) };
        search(&document, &place, &mut plugins)?;
    }
    let of_larder = plugins.iter().any(|plugin| plugin.is_larder);
    plugins.retain(|plugin| plugin.is_larder || !of_larder);
    if plugins.is_empty() {
        return Err(
            "no plugin configuration in it: expected JSON, or YAML with a wasm filter, a WasmPlugin or an \
                    EnvoyExtensionPolicy"
                .to_owned(),
        );
    }
    Ok(plugins.into_iter().map(|plugin| plugin.found).collect())
}

/// Whether JSON is the configuration of an Envoy, or an object of Kubernetes.
fn is_of_another_kind(text: &str) -> bool {
    let whole: serde_json::Value = serde_json::from_str(text).unwrap_or_default();
    ["static_resources", "dynamic_resources", "resources", "kind"]
        .iter()
        .any(|name| whole.get(name).is_some())
}

struct Plugin {
    found: Found,
    is_larder: bool,
}

/// Looks for plugins in a document and all that is in it.
fn search(value: &Value, place: &str, plugins: &mut Vec<Plugin>) -> Result<(), String> {
    match value {
        Value::Mapping(mapping) => {
            if let Some((name, configuration)) = configuration_in(mapping) {
                let place = joined(place, name);
                let json = json_of(configuration).map_err(|error| format!("{place}: {error}"))?;
                plugins.push(Plugin { found: Found { place, json }, is_larder: is_larder(mapping) });
                return Ok(());
            }
            for (name, inner) in mapping {
                search(inner, &joined(place, name.as_str().unwrap_or("?")), plugins)?;
            }
        }
        Value::Sequence(items) => {
            for (at, inner) in items.iter().enumerate() {
                search(inner, &format!("{place}[{at}]"), plugins)?;
            }
        }
        Value::Tagged(tagged) => search(&tagged.value, place, plugins)?,
        Value::Null | Value::Bool(_) | Value::Number(_) | Value::String(_) => {}
    }
    Ok(())
}

/// The configuration of a plugin, and how it is called there: Envoy's `PluginConfig`, Istio's `WasmPlugin`, the `wasm` of
/// Envoy Gateway's `EnvoyExtensionPolicy`.
fn configuration_in(mapping: &Mapping) -> Option<(&'static str, &Value)> {
    let beside = [("configuration", "vm_config"), ("pluginConfig", "url"), ("config", "code")];
    let found = beside.into_iter().find(|(_, beside)| mapping.contains_key(beside));
    found.and_then(|(name, _)| Some((name, mapping.get(name)?)))
}

/// The JSON that the filter gets.
fn json_of(configuration: &Value) -> Result<Vec<u8>, String> {
    let of_a_type = configuration.get("@type").and_then(Value::as_str);
    let value = match of_a_type {
        Some(of) if of.ends_with(TEXT) => {
            let text = configuration.get("value").and_then(Value::as_str);
            return text
                .map(|text| text.as_bytes().to_vec())
                .ok_or_else(|| "it has no text in `value`".to_owned());
        }
        Some(_) => configuration.get("value").unwrap_or(&Value::Null),
        None => configuration,
    };
    serde_json::to_vec(value).map_err(|error| format!("it is no JSON: {error}"))
}

/// Whether a plugin is called so, or its code is.
fn is_larder(mapping: &Mapping) -> bool {
    let text = |value: &Value| yaml::to_string(value).unwrap_or_default().to_lowercase().contains("larder");
    let names = ["name", "root_id", "rootID", "pluginName", "url", "code", "vm_config"];
    names.iter().filter_map(|name| mapping.get(name)).any(text)
}

fn joined(place: &str, name: &str) -> String {
    let dot = if place.is_empty() || place.ends_with(' ') { "" } else { "." };
    [place, dot, name].concat()
}

#[cfg(test)]
mod tests {
    use super::*;
    use larder::config::Config;

    const EXAMPLES: [(&str, &str, &str); 5] = [
        (
            "envoy.yaml",
            include_str!("../../envoy/envoy.yaml"),
            "static_resources.listeners[0].filter_chains[0].filters[0].typed_config.http_filters[0].typed_config.config.\
             configuration",
        ),
        ("larder-filter.yaml", include_str!("../../envoy/larder-filter.yaml"), "config.configuration"),
        ("EnvoyFilter", include_str!("../../envoy/kubernetes/istio-envoyfilter.yaml"), "configuration"),
        ("WasmPlugin", include_str!("../../envoy/kubernetes/istio-wasmplugin.yaml"), "spec.pluginConfig"),
        (
            "EnvoyExtensionPolicy",
            include_str!("../../envoy/kubernetes/envoy-gateway.yaml"),
            "spec.wasm[0].config",
        ),
    ];

    #[test]
    fn the_configurations_in_the_examples_are_found_and_accepted() {
        for (name, text, place) in EXAMPLES {
            let found = configurations(text).unwrap();
            assert_eq!(found.len(), 1, "{name}: {found:?}");
            assert!(found[0].place.ends_with(place), "{name}: {}", found[0].place);
            Config::parse(&found[0].json).unwrap();
        }
    }

    #[test]
    fn json_is_the_configuration_itself() {
        // As it stands there, so that lines and columns in errors are those of the file.
        for text in ["{\"ttl\": \"1m\"}", "\n{ \"ttl\": ", "{}"] {
            assert_eq!(configurations(text).unwrap(), [Found { place: String::new(), json: text.into() }]);
        }
    }

    #[test]
    fn of_several_plugins_that_of_larder_counts() {
        let plugin = |name: &str, configuration: &str| {
            format!("- {{ name: {name}, vm_config: {{ vm_id: x }}, configuration: {configuration} }}\n")
        };
        let both = plugin("waf", "{ rules: nothing }") + &plugin("larder", "{ ttl: 1m }");
        let found = configurations(&both).unwrap();
        assert_eq!(
            found,
            [Found { place: "[1].configuration".to_owned(), json: br#"{"ttl":"1m"}"#.to_vec() }]
        );
        assert_eq!(configurations(&plugin("cache", "{ ttl: 1m }")).unwrap().len(), 1);
    }

    #[test]
    fn what_has_none_says_so() {
        for (text, expected) in [
            ("static_resources: {}", "no plugin configuration in it"),
            ("a: [", "no YAML: "),
            ("just text", "no plugin configuration in it"),
            ("", "no plugin configuration in it"),
            (r#"{"static_resources": {}}"#, "no plugin configuration in it"),
            (
                "{ vm_config: {}, configuration: { '@type': google.protobuf.StringValue } }",
                "it has no text in `value`",
            ),
        ] {
            // Flow YAML that is no JSON is a configuration that the filter cannot read.
            let text = if text.starts_with("{ vm") { format!("plugin: {text}") } else { text.to_owned() };
            let error = configurations(&text).unwrap_err();
            assert!(error.contains(expected), "{text}: {error}");
        }
    }
}

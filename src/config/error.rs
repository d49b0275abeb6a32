//! What is wrong with a configuration, and where.

use core::fmt;

use serde::de::DeserializeOwned;

use super::value::Object;

/// Why a configuration is refused.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct ConfigError {
    /// Where: `rules[2].ttl`; empty for the configuration as a whole.
    pub path: String,
    /// The value, and what was expected.
    pub message: String,
}

impl ConfigError {
    pub(super) fn new(path: impl Into<String>, message: impl Into<String>) -> Self {
        ConfigError { path: path.into(), message: message.into() }
    }
}

impl fmt::Display for ConfigError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if self.path.is_empty() {
            f.write_str(&self.message)
        } else {
            write!(f, "{}: {}", self.path, self.message)
        }
    }
}

impl core::error::Error for ConfigError {}

/// Reads one JSON value and nothing behind it.
pub(super) fn read<T: DeserializeOwned>(json: &[u8]) -> Result<T, ConfigError> {
    let mut reader = serde_json::Deserializer::from_slice(json);
    let Object(value) = serde_path_to_error::deserialize(&mut reader).map_err(|error| {
        let path = error.path().to_string();
        from_json(&path, error.inner())
    })?;
    reader.end().map_err(|error| from_json("", &error)).map(|()| value)
}

fn from_json(path: &str, error: &serde_json::Error) -> ConfigError {
    let text = error.to_string();
    if !error.is_data() {
        return ConfigError::new("", format!("not valid JSON: {text}"));
    }
    // `.` stands for the whole, `?` for what has no place of its own.
    let path = path.trim_end_matches(['.', '?']);
    // The path says better where it is than the line does.
    let place = format!(" at line {} column {}", error.line(), error.column());
    ConfigError::new(path, text.strip_suffix(&place).unwrap_or(&text))
}

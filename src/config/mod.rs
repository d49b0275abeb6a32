//! The plugin configuration: typed, validated once; an error names the JSON path.

mod admin;
mod options;

pub use admin::{AdminConfig, Scope, Token};
pub use options::{Heuristics, KeyOptions, Options, QueryKey, RequestDirectives, SetCookie};

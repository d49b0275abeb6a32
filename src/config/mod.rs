//! The plugin configuration: typed, validated once; an error names the JSON path.

mod options;

pub use options::{Heuristics, KeyOptions, Options, QueryKey, RequestDirectives, SetCookie};

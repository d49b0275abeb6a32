//! JSON as people write it, read strictly: the configuration, and commands of the admin route.
//!
//! An error names the place, the value and what was expected there; an unknown field is one, and so is a duplicate. What may
//! be shown of a document, its reader says ([`Discretion`]). How deep values lie in each other is bounded by
//! `serde_json`, how long a document is by whoever takes it in.

mod reader;
mod value;

pub use reader::{
    At, DUPLICATE, Discretion, OPEN, Object, Path, Read, ReadError, boolean, repeated, unknown,
};
pub use value::{Json, shortened, whole};

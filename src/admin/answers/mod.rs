//! What the admin route answers: in JSON or text, and what went wrong.

pub mod entries;
pub mod explain;
pub mod fleet;
pub mod json;
pub mod response;
pub mod view;

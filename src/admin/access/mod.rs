//! Who may use the admin route, from where, and how often.

pub mod auth;
pub mod peer;

//! What commands want is done, and questions are answered: the only folder of this room that sees the cache.

pub mod acknowledge;
pub mod commands;
pub mod idempotency;
pub mod namespaces;
pub mod pending;
pub mod queries;
pub mod refetch;
pub mod requests;

//! The way that a call of the root takes to the origin.

use super::learned_route::LearnedRoute;
use crate::http::{Fields, RequestHead};

/// How a call of the root reaches the origin.
#[derive(Clone, PartialEq, Eq, Debug)]
pub(super) enum CallRoute {
    /// Through the route table, to which this cluster leads.
    Table(String),
    /// By what was learned of the route.
    Learned(LearnedRoute),
}

impl CallRoute {
    pub(super) fn cluster(&self) -> &str {
        match self {
            CallRoute::Table(cluster) => cluster,
            CallRoute::Learned(route) => &route.cluster,
        }
    }

    /// A request as it is sent; none when it is not one for this route.
    pub(super) fn applied(&self, request: &RequestHead) -> Option<Fields> {
        match self {
            CallRoute::Table(_) => Some(request.fields.clone()),
            CallRoute::Learned(route) => route.applied(request),
        }
    }
}

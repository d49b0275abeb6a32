//! Policy that stands in the metadata of routes: read once per route, then again after a while, since routes change
//! without the plugin being told.

use core::cell::RefCell;
use core::time::Duration;
use hashbrown::HashMap;
use log::error;
use std::rc::Rc;

use super::abi;
use super::host::{self, ProxyHost};
use crate::config::Config;
use crate::exchange::learn;
use crate::time::Monotonic;

/// How long what was read holds.
const READ_EVERY: Duration = Duration::from_secs(1);
/// The most routes that are remembered.
const ROUTES_MAX: usize = 1024;

/// The configurations of the routes of one root.
#[derive(Default)]
pub struct Routes {
    /// The configuration of the root.
    pub config: Rc<Config>,
    known: RefCell<HashMap<Vec<u8>, Known>>,
}

/// What a route's metadata came to.
struct Known {
    metadata: Vec<u8>,
    config: Rc<Config>,
    /// What is wrong with it.
    wrong: Option<Rc<str>>,
    until: Monotonic,
}

impl Routes {
    /// Routes of which nothing is known yet, under the configuration of their root.
    pub fn new(config: Rc<Config>) -> Rc<Routes> {
        Rc::new(Routes { config, known: RefCell::default() })
    }

    /// The configuration for the route of the stream at hand.
    pub fn here(&self, shared: &ProxyHost) -> Rc<Config> {
        if !self.config.route_metadata {
            return Rc::clone(&self.config);
        }
        let name = name();
        let (now, mut known) = (host::now().mono, self.known.borrow_mut());
        let before = name.as_ref().and_then(|name| known.get(name));
        if let Some(before) = before.filter(|before| now < before.until) {
            return Rc::clone(&before.config);
        }
        let metadata = abi::property("xds\0route_metadata").unwrap_or_default();
        let shown = String::from_utf8_lossy(name.as_deref().unwrap_or_default()).into_owned();
        let (config, wrong) = match before.filter(|before| before.metadata == metadata) {
            Some(before) => (Rc::clone(&before.config), before.wrong.clone()),
            None => self.read(shared, &metadata, &shown),
        };
        shared.note_route(&shown, wrong.as_deref(), now);
        if known.len() >= ROUTES_MAX {
            known.clear();
        }
        if let Some(name) = name {
            let config = Rc::clone(&config);
            known.insert(name, Known { metadata, config, wrong, until: now.after(READ_EVERY) });
        }
        config
    }

    fn read(&self, shared: &ProxyHost, metadata: &[u8], name: &str) -> (Rc<Config>, Option<Rc<str>>) {
        match self.config.for_route(metadata) {
            Ok(None) => (Rc::clone(&self.config), None),
            Ok(Some(config)) => {
                let reductions = config.rules.reductions_of_first();
                // Nothing is stored under a key that no purge could know of.
                let known = reductions.is_empty() || learn(shared, &reductions);
                (Rc::new(if known { config } else { self.config.bypassing() }), None)
            }
            Err(error) => {
                let error = error.to_string();
                error!("larder leaves route {name:?} alone, whose metadata is wrong: {error}");
                (Rc::new(self.config.bypassing()), Some(error.into()))
            }
        }
    }
}

/// What the route at hand is remembered by; none when it has no name.
fn name() -> Option<Vec<u8>> {
    let route = abi::property("xds\0route_name").filter(|name| !name.is_empty())?;
    let host = abi::property("xds\0virtual_host_name")?;
    Some([&host[..], b"/", &route].concat())
}

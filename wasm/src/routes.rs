//! Policy that stands in the metadata of routes: read with each request, and made sense of once.
//!
//! What was made of it is remembered by the metadata itself. Routes have names, but two routes of one virtual host may have
//! one name, and so may routes of two listeners, and a route may change without the plugin being told.

use core::cell::RefCell;
use hashbrown::HashMap;
use log::error;
use std::rc::Rc;

use super::abi;
use super::host::{self, ProxyHost};
use larder::cache::reductions::learn;
use larder::config::Config;

/// The most different metadata of routes that are remembered. Beyond it all are forgotten, and read again when they are
/// met.
const KNOWN_MAX: usize = 1024;

/// The configurations of the routes of one root.
#[derive(Default)]
pub struct Routes {
    /// The configuration of the root.
    pub config: Rc<Config>,
    known: RefCell<HashMap<Vec<u8>, Known>>,
}

/// What the metadata of a route came to.
struct Known {
    config: Rc<Config>,
    /// What is wrong with it.
    wrong: Option<Rc<str>>,
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
        let metadata = abi::property("xds\0route_metadata").unwrap_or_default();
        let mut known = self.known.borrow_mut();
        if let Some(known) = known.get(&metadata) {
            known.tell(shared);
            return Rc::clone(&known.config);
        }
        // Nothing is stored under a key that no purge could know of.
        let Some(read) = self.read(shared, &metadata) else { return Rc::new(self.config.bypassing()) };
        read.tell(shared);
        let config = Rc::clone(&read.config);
        if known.len() >= KNOWN_MAX {
            known.clear();
        }
        known.insert(metadata, read);
        config
    }

    /// What metadata come to; none while purges do not know of the keys that they ask for.
    fn read(&self, shared: &ProxyHost, metadata: &[u8]) -> Option<Known> {
        match self.config.for_route(metadata) {
            Ok(None) => Some(Known { config: Rc::clone(&self.config), wrong: None }),
            Ok(Some(config)) => {
                let reductions = config.rules.reductions_of_first();
                let is_known = reductions.is_empty() || learn(shared, &reductions);
                is_known.then(|| Known { config: Rc::new(config), wrong: None })
            }
            Err(error) => {
                let error = error.to_string();
                error!(
                    "larder: invalid metadata on route {:?}, so its requests bypass the cache: {error}",
                    name()
                );
                Some(Known { config: Rc::new(self.config.bypassing()), wrong: Some(error.into()) })
            }
        }
    }
}

impl Known {
    /// Has it known which route has metadata that are wrong.
    fn tell(&self, shared: &ProxyHost) {
        if let Some(wrong) = &self.wrong {
            shared.note_route(&name(), wrong, host::now().mono);
        }
    }
}

/// How the route at hand is called.
fn name() -> String {
    let part = |path: &str| abi::property(path).unwrap_or_default();
    let name = [part("xds\0virtual_host_name"), part("xds\0route_name")].join(&b'/');
    String::from_utf8_lossy(&name).into_owned()
}

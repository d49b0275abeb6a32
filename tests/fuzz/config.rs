//! The configuration.

use larder::config::Config;

pub fn read(json: &[u8]) {
    match Config::parse(json) {
        Ok(config) => assert_eq!(Config::parse(&config.original.json).as_ref(), Ok(&config)),
        Err(error) => assert!(!error.to_string().is_empty()),
    }
}

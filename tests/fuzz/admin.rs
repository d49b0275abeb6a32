//! Commands of the admin route, in all dialects: a request in lines, an empty line, a body.

use larder::admin::{self, Command, Reader, Recognised};
use larder::config::{Config, KeyOptions};
use larder::invalidation::{decode, encode, record_bytes};
use larder::policy;
use larder::time::Timestamp;

use super::messages::{request, section};

const CONFIG: &str = r#"{"tags": {"parents": {"user": "data", "order": "user"}}, "admin": {"methods": true,
    "tokens": [{"name": "ops", "sha256":
    "2bb80d537b1da3e38bd30361aa855686bde0eacd7162fef6a25fe97bf527a25b"}]}}"#;

pub fn command(bytes: &[u8]) {
    thread_local! {
        static CONFIGURED: Config = Config::parse(CONFIG.as_bytes()).expect("it is right");
    }
    CONFIGURED.with(|config| carried_out(config, bytes));
}

fn carried_out(config: &Config, bytes: &[u8]) {
    let (head, body) = section(bytes);
    let mut request = request(head);
    let stranger = admin::recognise(&request, &config.admin);
    assert!(!matches!(stranger, Recognised::Authorised(_)), "nobody has said who asks");
    request.fields.set("authorization", "Bearer secret");
    let Recognised::Authorised(authorised) = admin::recognise(&request, &config.admin) else { return };
    let key = KeyOptions::default();
    let reader = Reader {
        config: &config.admin,
        canonical: &|url| policy::uri_of(url, &key),
        forms: &|_| Vec::new(),
        hierarchy: &config.tags.parents,
        now: Timestamp::from_secs(1_700_000_000),
    };
    let answer = match authorised.command(&request, body, &reader) {
        Err(refusal) => {
            assert!((400..500).contains(&refusal.status), "{refusal:?}");
            return;
        }
        Ok(Command::Purge(purge)) => {
            for invalidation in &purge.invalidations {
                let written = encode(invalidation);
                if record_bytes(invalidation) <= written.len() {
                    assert_eq!(decode(&written).selector, invalidation.selector);
                }
            }
            let busy = purge.invalidations.iter().map(|_| Err(admin::JournalBusy)).collect::<Vec<_>>();
            let refused = admin::purged(&purge, &busy);
            assert!(refused.status >= 400 || busy.is_empty() || purge.dry_run, "acknowledged, but not done");
            let done = (1..).take(purge.invalidations.len()).map(Ok).collect::<Vec<_>>();
            admin::purged(&purge, &done)
        }
        Ok(Command::Respond(answer)) => answer,
        Ok(_) => return,
    };
    assert!((200..600).contains(&answer.status), "{answer:?}");
}

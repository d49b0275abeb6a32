//! A few Envoys that scenarios share, one after the other: starting one takes a second, pushing `{}` does not.

use std::sync::{Condvar, Mutex, MutexGuard};
use std::thread;

use super::real_envoy::RealEnvoy;
use crate::stand::Stand;

/// As many as workers keep a small machine busy.
const RUNNING_MAX: usize = 2;

struct Pool {
    idle: Vec<RealEnvoy>,
    taken: usize,
}

static POOL: Mutex<Pool> = Mutex::new(Pool { idle: Vec::new(), taken: 0 });
static GIVEN_BACK: Condvar = Condvar::new();

/// Plays one scenario on an Envoy that no other uses meanwhile, then checks that no VM died and no request hangs.
pub fn play(scenario: impl FnOnce(&mut dyn Stand)) {
    let mut taken = Taken::take();
    let envoy = taken.0.as_mut().expect("an Envoy until it is given back");
    envoy.begin();
    scenario(envoy);
    envoy.check();
}

/// An Envoy for the length of one scenario. One that has failed is not used again.
struct Taken(Option<RealEnvoy>);

impl Taken {
    fn take() -> Self {
        let mut pool = pool();
        while pool.taken == RUNNING_MAX {
            pool = GIVEN_BACK.wait(pool).unwrap_or_else(|poisoned| poisoned.into_inner());
        }
        pool.taken += 1;
        let idle = pool.idle.pop();
        drop(pool);
        // From here on it counts as taken, whatever happens.
        let mut taken = Taken(None);
        taken.0 = Some(idle.unwrap_or_else(RealEnvoy::start));
        taken
    }
}

impl Drop for Taken {
    fn drop(&mut self) {
        let envoy = self.0.take();
        let usable = envoy.filter(|_| !thread::panicking());
        let mut pool = pool();
        pool.idle.extend(usable);
        pool.taken -= 1;
        GIVEN_BACK.notify_one();
    }
}

fn pool() -> MutexGuard<'static, Pool> {
    POOL.lock().unwrap_or_else(|poisoned| poisoned.into_inner())
}

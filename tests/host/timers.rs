//! Callbacks that no stream causes: timers and queues.

use std::collections::HashMap;
use std::time::Duration;

use super::{
    World,
    events::{Event, Lane},
    guest::exports,
    state::{Host, host},
    vm::{Context, ContextKind, Thread, Tick},
};

/// So many posted callbacks in a row that have posted another one are taken for a chain without end.
const POSTS_IN_A_ROW_MAX: u32 = 900;

/// What posted callbacks post. Envoy runs it before the thread sees to its sockets and timers again, so a chain without
/// an end stops the thread for ever.
#[derive(Default)]
pub struct Posts {
    /// The thread whose posted callback runs, and whether that has posted for it again.
    running: Option<(Thread, bool)>,
    in_a_row: HashMap<Thread, u32>,
}

impl Posts {
    /// A callback is posted for this thread.
    pub fn posted(&mut self, to: Thread) {
        if let Some((thread, again)) = &mut self.running {
            *again |= *thread == to;
        }
    }

    fn enter(&mut self, thread: Thread) {
        self.running = Some((thread, false));
    }

    fn leave(&mut self) {
        let Some((thread, again)) = self.running.take() else { return };
        let in_a_row = self.in_a_row.entry(thread).or_default();
        *in_a_row = if again { *in_a_row + 1 } else { 0 };
        assert!(
            *in_a_row < POSTS_IN_A_ROW_MAX,
            "{thread:?} does nothing but run callbacks that post the next"
        );
    }
}

impl World {
    /// A timer fires, and is armed again after the callback.
    pub(super) fn tick(&mut self, vm: usize, root: u32, armed: u32) {
        let due = host(|h| match h.vms[vm].contexts.get(&root) {
            Some(Context { kind: ContextKind::Root { tick: Some(tick), .. }, deleted: false, .. }) => {
                h.vms[vm].alive && tick.armed == armed
            }
            _ => false,
        });
        if !due {
            return;
        }
        let twice = host(|h| h.random.chance(h.faults.rates.doubled_tick));
        for _ in 0..1 + usize::from(twice) {
            if !self.notify(vm, root, "on_tick", || exports::proxy_on_tick(root)) {
                return;
            }
        }
        host(|h| h.arm(vm, root, armed));
    }

    /// A posted queue callback reaches its thread. Without its VM or context it is dropped and the message stays. When
    /// the VM is not the one that registered, the number may be that of a stream there, which hears of it then.
    pub(super) fn queue_ready(&mut self, thread: Thread, code: u32, local: u32, token: u32) {
        let target = host(|h| {
            let vm = *h.thread_vms.get(&(thread, code))?;
            Some((vm, h.vms[vm].alive.then(|| h.vms[vm].numbered(local))??))
        });
        match target {
            Some((vm, (context, is_root))) => {
                host(|h| {
                    let name = h.vms[vm].name();
                    h.tell(|| format!("{name}: queue {token} is ready"));
                });
                host(|h| h.posts.enter(thread));
                // The toy's roots are none that Larder knows, so roots are called past Larder's own callback.
                self.notify(vm, context, "on_queue_ready", || match is_root {
                    true => exports::proxy_on_queue_ready(context, token),
                    false => larder_wasm::larder_on_queue_ready(context, token),
                });
                host(|h| h.posts.leave());
            }
            None => host(|h| h.tell(|| format!("queue {token} is ready, and nobody is there"))),
        }
    }
}

impl Host {
    /// Arms the timer of a root context, unless another arming has come since.
    pub fn arm(&mut self, vm: usize, root: u32, armed: u32) {
        let Some(Context { kind: ContextKind::Root { tick: Some(tick), .. }, .. }) =
            self.vms[vm].contexts.get_mut(&root)
        else {
            return;
        };
        if tick.armed != armed {
            return;
        }
        let mut delay = tick.period;
        if self.random.chance(self.faults.rates.late_tick) {
            delay += Duration::from_millis(self.random.below(1000));
        }
        let at = self.now + delay.as_nanos() as u64;
        self.events.add(at, Some(Lane::Timer(vm, root)), Event::Tick { vm, root, armed });
    }

    /// `proxy_set_tick_period_milliseconds`.
    pub fn set_tick(&mut self, vm: usize, root: u32, period: Duration) {
        self.next_armed += 1;
        let armed = self.next_armed;
        let Some(Context { kind: ContextKind::Root { tick, .. }, .. }) = self.vms[vm].contexts.get_mut(&root)
        else {
            return;
        };
        *tick = (!period.is_zero()).then_some(Tick { period, armed });
        self.arm(vm, root, armed);
    }
}

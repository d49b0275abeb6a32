//! Callbacks that no stream causes: timers and queues.

use std::time::Duration;

use super::{
    World,
    events::{Event, Lane},
    guest::exports,
    state::{Host, host},
    vm::{Context, ContextKind, Thread, Tick},
};

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
                // The toy's roots are none that Larder knows, so roots are called past Larder's own callback.
                self.notify(vm, context, "on_queue_ready", || match is_root {
                    true => exports::proxy_on_queue_ready(context, token),
                    false => larder_wasm::larder_on_queue_ready(context, token),
                });
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

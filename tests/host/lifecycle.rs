//! Canary, configuration, code, reloads after traps, draining and deletion.

use std::collections::{BTreeMap, BTreeSet, VecDeque};

use super::{
    World,
    events::{Event, Lane},
    guest::exports,
    metrics::MetricNumbers,
    state::{FailurePolicy, Frame, host},
    stream::Stream,
    vm::{Context, ContextKind, Thread, Vm},
};

impl World {
    /// Pushes a plugin configuration. A canary on the main thread tries it first; the message is what the canary
    /// logged when it refuses. The main thread takes it over at once, the workers one after the other.
    pub fn configure(&mut self, configuration: &str) -> Result<(), String> {
        host(|h| h.tell(|| format!("configuration pushed: {configuration}")));
        self.canary(configuration)?;
        host(|h| h.configuration = Some(configuration.to_owned()));
        self.take_over(Thread::Main);
        host(|h| {
            for thread in h.threads() {
                h.after(h.settings.post, Some(Lane::Thread(thread)), Event::Configure(thread));
            }
        });
        self.report_violations();
        Ok(())
    }

    /// Pushes another version of the module with the same vm_id: new VMs, the same shared data.
    pub fn push_code(&mut self) -> Result<(), String> {
        let configuration = host(|h| {
            h.code += 1;
            h.configuration.clone()
        });
        let pushed = self.configure(&configuration.expect("a configuration was pushed before"));
        host(|h| h.code -= u32::from(pushed.is_err()));
        pushed
    }

    fn canary(&mut self, configuration: &str) -> Result<(), String> {
        let key = host(|h| (h.code, configuration.to_owned()));
        if let Some(said) = host(|h| h.canaries.get(&key).cloned()) {
            return said;
        }
        let logged = host(|h| h.logs.len());
        let vm = self.new_vm(Thread::Main, true, key.0);
        let started = self.new_root(vm, configuration);
        let said = match started {
            true => Ok(()),
            false => Err(host(|h| {
                let lines = h.logs[logged..].iter().filter(|line| line.level >= 3);
                lines.map(|line| line.text.clone()).collect::<Vec<_>>().join("\n")
            })),
        };
        if host(|h| h.vms[vm].alive) {
            self.kill(vm);
        }
        host(|h| h.canaries.insert(key, said.clone()));
        said
    }

    fn new_vm(&mut self, thread: Thread, canary: bool, code: u32) -> usize {
        let filter = host(|h| h.filter);
        let factory = filter();
        host(|h| {
            h.vms.push(Vm {
                thread,
                canary,
                code,
                alive: true,
                factory: Some(factory),
                contexts: BTreeMap::new(),
                next_local: 1,
                current_root: None,
                deferred: VecDeque::new(),
                nesting: 0,
                metrics: MetricNumbers::default(),
                loaded_at: h.now,
            });
            let vm = h.vms.len() - 1;
            if !canary {
                h.thread_vms.insert((thread, code), vm);
            }
            vm
        })
    }

    /// Creates a root context and configures it; false when the filter refuses or the VM traps.
    fn new_root(&mut self, vm: usize, configuration: &str) -> bool {
        let kind = ContextKind::Root {
            configuration: configuration.to_owned(),
            tick: None,
            draining: None,
            waiting_for_done: false,
        };
        let root = host(|h| h.new_context(vm, kind));
        host(|h| {
            let name = h.vms[vm].name();
            h.tell(|| format!("{name}: root context {root} is created"));
        });
        let bytes = configuration.len();
        self.notify(vm, root, "on_context_create", || exports::proxy_on_context_create(root, 0))
            && self
                .guest(Frame::new(vm, root, "on_vm_start"), || exports::proxy_on_vm_start(root, 0))
                .is_some_and(|(ok, _)| ok)
            && self
                .guest(
                    Frame {
                        configuration: Some(configuration.as_bytes().to_vec()),
                        ..Frame::new(vm, root, "on_configure")
                    },
                    || exports::proxy_on_configure(root, bytes),
                )
                .is_some_and(|(ok, _)| ok)
            && {
                host(|h| h.vms[vm].current_root = Some(root));
                true
            }
    }

    /// A thread takes over the newest code and configuration: an old root context with the very same
    /// configuration is used again without any callback, else there is a new one and the old ones drain.
    pub(super) fn take_over(&mut self, thread: Thread) {
        let Some(configuration) = host(|h| h.configuration.clone()) else { return };
        let code = host(|h| h.code);
        host(|h| h.serving.insert(thread, (code, configuration.clone())));
        let vm = match host(|h| h.vm_on(thread)) {
            Some(vm) if host(|h| !h.vms[vm].alive) => return,
            Some(vm) => vm,
            None => self.new_vm(thread, false, code),
        };
        match host(|h| h.vms[vm].root_with(&configuration)) {
            Some(root) => host(|h| {
                h.vms[vm].current_root = Some(root);
                if let Some(Context { kind: ContextKind::Root { draining, .. }, .. }) =
                    h.vms[vm].contexts.get_mut(&root)
                {
                    *draining = None;
                }
            }),
            None if self.new_root(vm, &configuration) => {}
            None => {
                if host(|h| h.vms[vm].alive) {
                    self.kill(vm);
                }
            }
        }
        drain_old_roots(thread);
    }

    /// The root context for a new stream of a worker. A dead VM is loaded again first, where the failure policy
    /// says so and it is time. Nothing when the worker has no filter, an error when its filter is dead.
    pub(super) fn root_for_stream(&mut self, worker: usize) -> Option<Result<(usize, u32), ()>> {
        let thread = Thread::Worker(worker);
        let vm = host(|h| h.vm_on(thread))?;
        if host(|h| h.vms[vm].alive) {
            return Some(host(|h| h.vms[vm].current_root.map(|root| (vm, root))).ok_or(()));
        }
        let due = host(|h| match h.settings.failure {
            FailurePolicy::Closed => false,
            FailurePolicy::Reload(backoff) => h.now >= h.vms[vm].loaded_at + backoff.as_nanos() as u64,
        });
        if !due {
            return Some(Err(()));
        }
        host(|h| {
            h.reloads += 1;
            h.tell(|| format!("worker {worker}: the VM is loaded again"));
        });
        let (code, configuration) = host(|h| h.serving.get(&thread).cloned())?;
        // Until now etcd has gone on telling the one that died.
        host(|h| h.forget_grpc_of_the_dead(thread));
        let vm = self.new_vm(thread, false, code);
        if self.new_root(vm, &configuration) {
            return Some(Ok(host(|h| (vm, h.vms[vm].current_root.unwrap_or_default()))));
        }
        if host(|h| h.vms[vm].alive) {
            self.kill(vm);
        }
        Some(Err(()))
    }

    /// The listener of an old configuration has drained: its streams are closed, then its root context goes.
    pub(super) fn drained(&mut self, vm: usize, root: u32) {
        let draining = host(|h| match h.vms[vm].contexts.get(&root) {
            Some(Context {
                kind: ContextKind::Root { draining: Some(since), .. }, deleted: false, ..
            }) => h.now >= since + h.settings.drain.as_nanos() as u64,
            _ => false,
        });
        if !draining {
            return;
        }
        let streams = host(|h| {
            let own = |s: &&Stream| s.alive && s.vm == Some(vm) && s.root == root;
            h.streams.iter().filter(own).map(|s| s.id).collect::<Vec<_>>()
        });
        for stream in streams {
            self.reset_stream(stream, "drained");
        }
        if host(|h| !h.vms[vm].alive) {
            return;
        }
        host(|h| h.tell(|| format!("root context {root} has drained")));
        let done = self.guest(Frame::new(vm, root, "on_done"), || exports::proxy_on_done(root));
        match done {
            Some((true, _)) => self.delete_context(vm, root),
            Some((false, _)) => host(|h| {
                if let Some(Context { kind: ContextKind::Root { waiting_for_done, .. }, .. }) =
                    h.vms[vm].contexts.get_mut(&root)
                {
                    *waiting_for_done = true;
                }
            }),
            None => {}
        }
    }

    /// `proxy_done`: a root context that asked for more time is ready to go.
    pub(super) fn root_is_done(&mut self, vm: usize, root: u32) {
        let waited = host(|h| {
            matches!(
                h.vms[vm].contexts.get(&root),
                Some(Context { kind: ContextKind::Root { waiting_for_done: true, .. }, deleted: false, .. })
            )
        });
        if waited {
            self.delete_context(vm, root);
        }
    }

    /// Tells the filter to drop a context. The host destroys its own half a little later.
    pub(super) fn delete_context(&mut self, vm: usize, context: u32) {
        self.notify(vm, context, "on_delete", || exports::proxy_on_delete(context));
        host(|h| {
            h.after(h.settings.deferred_delete, None, Event::Destroy { vm, context });
        });
    }

    /// The host frees its half of a context; calls that its root dispatched are cancelled.
    pub(super) fn destroy_context(&mut self, vm: usize, context: u32) {
        let last_root = host(|h| {
            h.vms[vm].contexts.remove(&context);
            h.forget_grpc(vm, Some(context));
            let idle = h.vms[vm].contexts.is_empty();
            idle && h.vm_on(h.vms[vm].thread) != Some(vm)
        });
        if last_root && host(|h| h.vms[vm].alive) {
            self.kill(vm);
        }
    }
}

/// Root contexts of this thread that are not the newest one's begin to drain, in VMs of old code as well, and so
/// do streams that a dead VM has left behind.
fn drain_old_roots(thread: Thread) {
    host(|h| {
        let newest = h.vm_on(thread).and_then(|vm| h.vms[vm].current_root);
        let mut old = Vec::new();
        for (at, vm) in h.vms.iter_mut().enumerate().filter(|(_, vm)| vm.alive && vm.thread == thread) {
            for (id, context) in &mut vm.contexts {
                if let Context { kind: ContextKind::Root { draining, .. }, deleted: false, .. } = context
                    && Some(*id) != newest
                    && draining.is_none()
                {
                    *draining = Some(h.now);
                    old.push((at, *id));
                }
            }
        }
        let left = h.streams.iter().filter(|s| s.alive && Thread::Worker(s.worker) == thread);
        let left = left.filter_map(|s| s.vm.map(|vm| (vm, s.root)));
        old.extend(left.filter(|(vm, _)| !h.vms[*vm].alive).collect::<BTreeSet<_>>());
        for (vm, root) in old {
            h.after(h.settings.drain, None, Event::Drained { vm, root });
        }
    });
}

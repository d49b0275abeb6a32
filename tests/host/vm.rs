//! VMs and their contexts: one VM for the canary, the main thread and each worker.

use std::{
    collections::{BTreeMap, VecDeque},
    rc::Rc,
    time::Duration,
};

use proxy_wasm::traits::RootContext;

use super::{guest::Deferred, metrics::MetricNumbers, state::Host};

/// A VM of the filter: makes root contexts that share what a VM shares.
pub type NewVm = Rc<dyn Fn(u32) -> Box<dyn RootContext>>;
/// The filter under test: each call makes the inside of a new VM.
pub type Filter = fn() -> NewVm;

/// A thread of Envoy.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug)]
pub enum Thread {
    Main,
    Worker(usize),
}

/// One virtual machine.
pub struct Vm {
    pub thread: Thread,
    pub canary: bool,
    pub code: u32,
    pub alive: bool,
    pub factory: Option<NewVm>,
    /// By the number that is unique in the whole host.
    pub contexts: BTreeMap<u32, Context>,
    pub next_local: u32,
    /// The root context that new streams get.
    pub current_root: Option<u32>,
    pub deferred: VecDeque<Deferred>,
    /// How deep what was deferred is being performed within what was deferred.
    pub nesting: usize,
    pub metrics: MetricNumbers,
    pub loaded_at: u64,
}

/// A context of the filter.
pub struct Context {
    /// The number within its VM, which Envoy would give it.
    pub local: u32,
    pub kind: ContextKind,
    /// The filter has been told to drop it; the host has not destroyed it yet.
    pub deleted: bool,
}

/// What a context is for.
pub enum ContextKind {
    Root {
        configuration: String,
        tick: Option<Tick>,
        /// Since when its listener drains.
        draining: Option<u64>,
        waiting_for_done: bool,
    },
    Stream {
        exchange: usize,
        root: u32,
    },
}

/// A running timer.
#[derive(Clone, Copy)]
pub struct Tick {
    pub period: Duration,
    /// Which arming the next event belongs to.
    pub armed: u32,
}

impl Vm {
    pub fn name(&self) -> String {
        match self.thread {
            Thread::Main if self.canary => "canary".into(),
            Thread::Main => "main".into(),
            Thread::Worker(worker) => format!("worker {worker}"),
        }
    }

    /// Living root contexts, oldest first.
    pub fn roots(&self) -> impl Iterator<Item = (u32, &Context)> {
        self.contexts
            .iter()
            .filter(|(_, c)| !c.deleted && matches!(c.kind, ContextKind::Root { .. }))
            .map(|(id, c)| (*id, c))
    }

    pub fn root_with(&self, configuration: &str) -> Option<u32> {
        self.roots()
            .find(|(_, c)| matches!(&c.kind, ContextKind::Root { configuration: own, .. } if own == configuration))
            .map(|(id, _)| id)
    }

    /// The context with this number within the VM, and whether it is a root's.
    pub fn numbered(&self, local: u32) -> Option<(u32, bool)> {
        let (id, found) = self.contexts.iter().find(|(_, c)| c.local == local && !c.deleted)?;
        Some((*id, matches!(found.kind, ContextKind::Root { .. })))
    }
}

impl Host {
    pub fn new_context(&mut self, vm: usize, kind: ContextKind) -> u32 {
        let id = self.next_context;
        self.next_context += 1;
        let vm = &mut self.vms[vm];
        let local = vm.next_local;
        vm.next_local += 1;
        vm.contexts.insert(id, Context { local, kind, deleted: false });
        id
    }

    /// The VM that a thread uses now.
    pub fn vm_on(&self, thread: Thread) -> Option<usize> {
        let (code, _) = self.serving.get(&thread)?;
        self.thread_vms.get(&(thread, *code)).copied()
    }

    pub fn threads(&self) -> Vec<Thread> {
        (0..self.settings.workers).map(Thread::Worker).collect()
    }
}

//! Calls into the filter through the SDK's exports, and what the host does when they return.

use std::rc::Rc;

use proxy_wasm::traits::RootContext;

use super::{
    World,
    hcm::LocalReply,
    state::{Frame, host},
    stream::Side,
    vm::ContextKind,
};

/// The exports of the SDK.
#[allow(unsafe_code, reason = "symbols of another crate")]
pub mod exports {
    unsafe extern "C" {
        pub safe fn proxy_on_context_create(context: u32, root: u32);
        pub safe fn proxy_on_done(context: u32) -> bool;
        pub safe fn proxy_on_log(context: u32);
        pub safe fn proxy_on_delete(context: u32);
        pub safe fn proxy_on_vm_start(context: u32, bytes: usize) -> bool;
        pub safe fn proxy_on_configure(context: u32, bytes: usize) -> bool;
        pub safe fn proxy_on_tick(context: u32);
        pub safe fn proxy_on_queue_ready(context: u32, token: u32);
        pub safe fn proxy_on_request_headers(context: u32, count: usize, end: bool) -> u32;
        pub safe fn proxy_on_request_body(context: u32, bytes: usize, end: bool) -> u32;
        pub safe fn proxy_on_request_trailers(context: u32, count: usize) -> u32;
        pub safe fn proxy_on_response_headers(context: u32, count: usize, end: bool) -> u32;
        pub safe fn proxy_on_response_body(context: u32, bytes: usize, end: bool) -> u32;
        pub safe fn proxy_on_response_trailers(context: u32, count: usize) -> u32;
        pub safe fn proxy_on_http_call_response(
            context: u32,
            token: u32,
            headers: usize,
            body: usize,
            trailers: usize,
        );
        pub safe fn proxy_on_grpc_receive_initial_metadata(context: u32, token: u32, fields: u32);
        pub safe fn proxy_on_grpc_receive(context: u32, token: u32, bytes: usize);
        pub safe fn proxy_on_grpc_receive_trailing_metadata(context: u32, token: u32, fields: u32);
        pub safe fn proxy_on_grpc_close(context: u32, token: u32, status: u32);
        pub safe fn proxy_on_memory_allocate(bytes: usize) -> *mut u8;
    }
}

/// What the filter asked for and what the host does once the callback has returned, in this order.
#[derive(Debug)]
pub enum Deferred {
    Resume {
        context: u32,
        side: Side,
    },
    Reply {
        context: u32,
        reply: LocalReply,
    },
    Close {
        context: u32,
    },
    /// `proxy_done` of a root context.
    Done {
        context: u32,
    },
    /// The end of a gRPC call or stream that could not begin.
    GrpcRefused {
        root: u32,
        token: u32,
    },
}

/// Whether the host goes on with a stream after a callback.
#[derive(Clone, Copy, PartialEq, Debug)]
pub enum Verdict {
    Continue,
    Stop,
}

impl Frame {
    pub fn new(vm: usize, context: u32, callback: &'static str) -> Self {
        Frame {
            vm,
            context,
            effective: None,
            callback,
            trapped: false,
            stopped: false,
            call: None,
            grpc: None,
            configuration: None,
        }
    }
}

/// The SDK asks for a root context; which one is decided by the VM that is running.
pub fn create_root(context: u32) -> Box<dyn RootContext> {
    let factory = host(|h| {
        let vm = h.frame().map(|f| f.vm).expect("root contexts are created in a callback");
        h.vms[vm].factory.clone()
    });
    let factory = factory.expect("a living VM has its factory");
    factory(context)
}

impl World {
    /// Runs a callback of the filter and then what was deferred until its return. Nothing is returned when the VM
    /// is dead or has trapped.
    pub(super) fn guest<R>(&mut self, frame: Frame, call: impl FnOnce() -> R) -> Option<(R, Verdict)> {
        let (vm, context, callback) = (frame.vm, frame.context, frame.callback);
        let runs = host(|h| {
            if !h.vms[vm].alive {
                return false;
            }
            if h.vms[vm].contexts.get(&context).is_none_or(|c| c.deleted) {
                h.violate(format!("{callback} of context {context}, which the filter has dropped"));
                return false;
            }
            assert!(h.frames.is_empty(), "callbacks are never nested");
            if callback == "on_delete"
                && let Some(context) = h.vms[vm].contexts.get_mut(&context)
            {
                // The SDK drops it first of all, even when the VM traps on the way.
                context.deleted = true;
            }
            h.frames.push(frame);
            true
        });
        if !runs {
            return None;
        }
        if host(|h| h.vms[vm].nesting > h.settings.nesting_max) {
            host(|h| h.frames.pop());
            host(|h| h.tell(|| "Maximum call stack size exceeded".into()));
            self.kill(vm);
            return None;
        }
        let result = call();
        let frame = host(|h| h.frames.pop()).expect("the frame of this callback");
        if frame.trapped {
            self.kill(vm);
            return None;
        }
        let verdict = if frame.stopped { Verdict::Stop } else { Verdict::Continue };
        self.perform_deferred(vm);
        Some((result, verdict))
    }

    /// A callback without a result.
    pub(super) fn notify(
        &mut self,
        vm: usize,
        context: u32,
        callback: &'static str,
        call: impl FnOnce(),
    ) -> bool {
        self.guest(Frame::new(vm, context, callback), call).is_some()
    }

    fn perform_deferred(&mut self, vm: usize) {
        host(|h| h.vms[vm].nesting += 1);
        while let Some(next) = host(|h| h.vms[vm].deferred.pop_front()) {
            match next {
                Deferred::Resume { context, side } => self.resume(vm, context, side),
                Deferred::Reply { context, reply } => self.reply_of_filter(vm, context, reply),
                Deferred::Close { context } => self.close(vm, context),
                Deferred::Done { context } => self.root_is_done(vm, context),
                Deferred::GrpcRefused { root, token } => {
                    self.grpc_ends(vm, root, token, 14, "Cluster not available");
                }
            }
        }
        host(|h| h.vms[vm].nesting -= 1);
    }

    /// The stream behind a context, unless it has ended.
    pub(super) fn stream_of(&self, vm: usize, context: u32) -> Option<usize> {
        host(|h| match h.vms[vm].contexts.get(&context)?.kind {
            ContextKind::Stream { exchange, .. } => h.streams[exchange].alive.then_some(exchange),
            ContextKind::Root { .. } => None,
        })
    }

    /// Lets a VM die: nothing it held is told, its streams are left as they are.
    pub(super) fn kill(&mut self, vm: usize) {
        let contexts: Vec<u32> = host(|h| {
            let name = h.vms[vm].name();
            h.tell(|| format!("{name} dies"));
            h.vms[vm].alive = false;
            h.vms[vm].deferred.clear();
            h.vms[vm].contexts.iter().filter(|(_, c)| !c.deleted).map(|(id, _)| *id).collect()
        });
        forget(vm, contexts);
        let factory: Option<Rc<_>> = host(|h| {
            h.vms[vm].contexts.clear();
            h.vms[vm].factory.take()
        });
        drop(factory);
    }
}

/// Makes the SDK drop contexts without any effect on the host, streams before roots.
pub fn forget(vm: usize, mut contexts: Vec<u32>) {
    contexts.sort_by_key(|id| host(|h| matches!(h.vms[vm].contexts[id].kind, ContextKind::Root { .. })));
    for context in contexts {
        let muted = Frame { trapped: true, ..Frame::new(vm, context, "drop") };
        host(|h| h.frames.push(muted));
        exports::proxy_on_delete(context);
        host(|h| h.frames.pop());
    }
}

/// A test that fails leaves roots in the SDK, which drops them when all else of the thread may be gone: that must not
/// abort the others.
#[test]
fn roots_may_be_dropped_when_their_thread_ends() {
    thread_local! {
        static KEPT: std::cell::RefCell<Option<Box<dyn RootContext>>> = const { std::cell::RefCell::new(None) };
    }
    let keep = || KEPT.with_borrow_mut(|kept| *kept = Some(larder_wasm::root(1, larder_wasm::Vm::new())));
    assert!(std::thread::spawn(keep).join().is_ok());
}

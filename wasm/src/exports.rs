//! Callbacks that the host calls instead of the SDK's own of that name.
//!
//! `tools/finish.py` exports them from the module under the host's names for them.
#![allow(unsafe_code, reason = "symbols that the host and the SDK call each other by")]

use core::cell::RefCell;

use std::rc::Rc;

use super::abi;
use super::vm::Vm;

thread_local! {
    static ROOTS: RefCell<Vec<(u32, Rc<Vm>)>> = const { RefCell::new(Vec::new()) };
}

/// A root context lives as long as this.
pub(super) struct Alive(u32);

impl Alive {
    pub(super) fn new(root: u32, vm: Rc<Vm>) -> Alive {
        with_roots(|roots| roots.push((root, vm)));
        Alive(root)
    }
}

impl Drop for Alive {
    fn drop(&mut self) {
        with_roots(|roots| roots.retain(|(root, _)| *root != self.0));
    }
}

/// Nothing where the thread ends and they are gone already, or where they are borrowed.
fn with_roots<T>(look: impl FnOnce(&mut Vec<(u32, Rc<Vm>)>) -> T) -> Option<T> {
    ROOTS.try_with(|roots| roots.try_borrow_mut().ok().map(|mut roots| look(&mut roots))).ok().flatten()
}

/// There is something in a queue, for the root context that has registered it.
///
/// When the VM of that one has died, messages for it reach the VM in its place, where its number may be a stream's. The
/// SDK's callback would panic then, and kill this VM as well. They are of no use here, so nothing happens.
#[unsafe(no_mangle)]
pub extern "C" fn larder_on_queue_ready(context: u32, queue: u32) {
    if vm_of(context).is_some() {
        abi::sdk_on_queue_ready(context, queue);
    }
}

/// The VM of a root context that lives.
fn vm_of(root: u32) -> Option<Rc<Vm>> {
    let find = |roots: &mut Vec<(u32, Rc<Vm>)>| {
        roots.iter().find(|(known, _)| *known == root).map(|(_, vm)| Rc::clone(vm))
    };
    with_roots(find).flatten()
}

/// A gRPC call was answered, or a stream has brought a message. The SDK would hear of it only where its own wrappers have
/// made the call, and those panic on what they do not expect.
#[unsafe(no_mangle)]
pub extern "C" fn larder_on_grpc_receive(context: u32, token: u32, size: usize) {
    if let Some(vm) = vm_of(context) {
        vm.grpc_message(context, token, size);
    }
}

/// A gRPC call has failed, or a stream has ended.
#[unsafe(no_mangle)]
pub extern "C" fn larder_on_grpc_close(context: u32, token: u32, _status: u32) {
    if let Some(vm) = vm_of(context) {
        vm.grpc_ended(context, token);
    }
}

//! Larder as a proxy-wasm filter: callbacks are translated into events for the core ([`larder`]), and the core's steps and
//! effects into calls to the host. Nothing else knows proxy-wasm.

mod abi;
mod bodies;
mod exports;
mod filter;
mod grpc;
mod held;
mod host;
mod listeners;
mod root;
mod routes;
mod vm;

pub use exports::{larder_on_grpc_close, larder_on_grpc_receive, larder_on_queue_ready};
pub use root::root;
pub use vm::Vm;

#[cfg(target_arch = "wasm32")]
mod entry {
    #![allow(unsafe_code)] // the start function that the SDK's macro exports

    use std::rc::Rc;

    use super::{Vm, root};
    use proxy_wasm::types::LogLevel;

    thread_local! {
        /// One VM is one thread, and its roots share what it knows.
        static VM: Rc<Vm> = Vm::new();
    }

    proxy_wasm::main! {{
        proxy_wasm::set_log_level(LogLevel::Info);
        proxy_wasm::set_root_context(|id| root(id, VM.with(Rc::clone)));
    }}
}

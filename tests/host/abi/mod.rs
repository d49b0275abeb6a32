//! The 37 imports of proxy-wasm 0.2.1 and the two of WASI that the filter uses, as native symbols.
//!
//! Each only carries bytes over the border; the rules are elsewhere. After a scripted trap they do nothing.

#![allow(unsafe_code, reason = "raw pointers are what the border is made of")]
#![allow(clippy::not_unsafe_ptr_arg_deref, clippy::too_many_arguments, reason = "the ABI is as it is")]

mod grpc;
mod messages;
mod shared;
mod streams;

use proxy_wasm::types::Status;

use super::{
    guest::{Deferred, exports},
    state::{Host, LogLine, try_host},
};
use streams::defer;

/// Runs an import, unless the callback has trapped.
fn import(name: &'static str, act: impl FnOnce(&mut Host) -> Status) -> Status {
    import_or(name, Status::Ok, act)
}

/// The same with what it returns when it does nothing.
fn import_or(name: &'static str, muted: Status, act: impl FnOnce(&mut Host) -> Status) -> Status {
    try_host(|h| if h.called(name) { act(h) } else { muted }).unwrap_or(muted)
}

impl Host {
    /// Whether an import has an effect; this is where scripted traps strike.
    fn called(&mut self, name: &'static str) -> bool {
        let Some(frame) = self.frames.last() else {
            self.violate(format!("{name} is called outside of any callback"));
            return false;
        };
        if frame.trapped {
            return false;
        }
        let (callback, vm) = (frame.callback, &self.vms[frame.vm]);
        if !self.faults.traps(vm.thread, vm.canary, name, callback, &mut self.random) {
            return true;
        }
        self.tell(|| format!("the VM traps in {callback} at {name}"));
        if let Some(frame) = self.frame() {
            frame.trapped = true;
        }
        false
    }
}

fn bytes<'a>(data: *const u8, len: usize) -> &'a [u8] {
    if data.is_null() || len == 0 {
        return &[];
    }
    // SAFETY: the SDK passes a pointer and a length of memory that it owns for the time of the call.
    unsafe { std::slice::from_raw_parts(data, len) }
}

fn text(data: *const u8, len: usize) -> String {
    String::from_utf8_lossy(bytes(data, len)).into_owned()
}

fn put<T>(to: *mut T, value: T) {
    // SAFETY: the SDK passes a pointer to a variable of its own.
    unsafe { to.write(value) }
}

/// Hands bytes to the filter in memory that its own allocator gave. No bytes are a null pointer.
fn give(value: &[u8], data: *mut *mut u8, len: *mut usize) {
    let memory = if value.is_empty() {
        std::ptr::null_mut()
    } else {
        let memory = exports::proxy_on_memory_allocate(value.len());
        // SAFETY: the allocator of the SDK has just returned this many bytes.
        unsafe { memory.copy_from_nonoverlapping(value.as_ptr(), value.len()) };
        memory
    };
    put(data, memory);
    put(len, value.len());
}
#[unsafe(no_mangle)]
pub extern "C" fn proxy_log(level: u32, data: *const u8, len: usize) -> Status {
    let line = text(data, len);
    try_host(|h| {
        let Some(frame) = h.frames.last().filter(|f| !f.trapped) else { return };
        let vm = frame.vm;
        if level >= h.settings.log_level {
            let name = h.vms[vm].name();
            h.tell(|| format!("{name} logs: {line}"));
            h.logs.push(LogLine { vm, level, text: line });
        }
    });
    Status::Ok
}

#[unsafe(no_mangle)]
pub extern "C" fn proxy_get_log_level(level: *mut u32) -> Status {
    put(level, try_host(|h| h.settings.log_level).unwrap_or(2));
    Status::Ok
}

#[unsafe(no_mangle)]
pub extern "C" fn proxy_get_current_time_nanoseconds(time: *mut u64) -> Status {
    put(time, try_host(|h| h.wall()).unwrap_or(0));
    Status::Ok
}

#[unsafe(no_mangle)]
pub extern "C" fn clock_time_get(clock: i32, _precision: i64, time: *mut u64) -> i32 {
    put(time, try_host(|h| if clock == 1 { h.now } else { h.wall() }).unwrap_or(0));
    0
}

#[unsafe(no_mangle)]
pub extern "C" fn random_get(data: *mut u8, len: usize) -> i32 {
    // SAFETY: the filter passes a buffer of its own and its length.
    let buffer = unsafe { std::slice::from_raw_parts_mut(data, len) };
    try_host(|h| h.guest_random.fill(buffer));
    0
}

#[unsafe(no_mangle)]
pub extern "C" fn proxy_call_foreign_function(
    name: *const u8,
    name_len: usize,
    _arguments: *const u8,
    _arguments_len: usize,
    data: *mut *mut u8,
    len: *mut usize,
) -> Status {
    import("proxy_call_foreign_function", |_| match text(name, name_len).as_str() {
        "clear_route_cache" | "declare_property" | "set_envoy_filter_state" => {
            give(&[], data, len);
            Status::Ok
        }
        _ => Status::NotFound,
    })
}

#[unsafe(no_mangle)]
pub extern "C" fn proxy_done() -> Status {
    import("proxy_done", |h| {
        defer(h, |context| Deferred::Done { context });
        Status::Ok
    })
}

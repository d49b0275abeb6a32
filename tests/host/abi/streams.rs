//! Acting on streams: effective context, resuming, local replies, timers and dispatched calls.

#![allow(unsafe_code, reason = "raw pointers are what the border is made of")]
#![allow(clippy::not_unsafe_ptr_arg_deref, clippy::too_many_arguments, reason = "the ABI is as it is")]

use std::time::Duration;

use proxy_wasm::types::Status;

use super::{
    super::{
        calls::CallError, guest::Deferred, hcm::LocalReply, headers::HeaderMap, state::Host, stream::Side,
        vm::ContextKind,
    },
    bytes, import, import_or, put, text,
};

#[unsafe(no_mangle)]
pub extern "C" fn proxy_set_tick_period_milliseconds(period: u32) -> Status {
    import("proxy_set_tick_period_milliseconds", |h| {
        if let Some((vm, context)) = h.effective() {
            let root = h.root_of(vm, context);
            h.set_tick(vm, root, Duration::from_millis(period.into()));
        }
        Status::Ok
    })
}

#[unsafe(no_mangle)]
pub extern "C" fn proxy_set_effective_context(context: u32) -> Status {
    import("proxy_set_effective_context", |h| {
        let Some(vm) = h.frame().map(|f| f.vm) else { return Status::BadArgument };
        // A context counts until the host destroys it, even if the filter has been told to drop it (envoy-facts §20.1).
        if !h.vms[vm].contexts.contains_key(&context) {
            return Status::BadArgument;
        }
        if let Some(frame) = h.frame() {
            frame.effective = Some(context);
        }
        Status::Ok
    })
}

pub fn defer(h: &mut Host, what: impl FnOnce(u32) -> Deferred) {
    if let Some((vm, context)) = h.effective() {
        h.vms[vm].deferred.push_back(what(context));
    }
}

#[unsafe(no_mangle)]
pub extern "C" fn proxy_continue_stream(kind: u32) -> Status {
    import("proxy_continue_stream", |h| {
        let side = if kind == 0 { Side::Request } else { Side::Response };
        if kind < 2 && h.effective_stream().is_some() {
            defer(h, |context| Deferred::Resume { context, side });
        }
        if let Some(stream) = h.effective_stream() {
            stream.request.headers_visible = false;
            stream.request.body_visible = false;
            stream.request.trailers_visible = false;
        }
        Status::Ok
    })
}

#[unsafe(no_mangle)]
pub extern "C" fn proxy_close_stream(kind: u32) -> Status {
    import("proxy_close_stream", |h| {
        if kind < 2 {
            defer(h, |context| Deferred::Close { context });
        }
        Status::Ok
    })
}

#[unsafe(no_mangle)]
pub extern "C" fn proxy_send_local_response(
    status: u32,
    details: *const u8,
    details_len: usize,
    body: *const u8,
    body_len: usize,
    headers: *const u8,
    headers_len: usize,
    _grpc_status: i32,
) -> Status {
    import("proxy_send_local_response", |h| {
        let reply = LocalReply {
            status: status as u16,
            headers: HeaderMap::lines_from_wire(bytes(headers, headers_len)),
            body: bytes(body, body_len).to_vec(),
            details: text(details, details_len),
            flags: 0,
        };
        let is_stream = h.effective().is_some_and(|(vm, context)| {
            matches!(h.vms[vm].contexts[&context].kind, ContextKind::Stream { .. })
        });
        if is_stream {
            defer(h, |context| Deferred::Reply { context, reply });
        }
        if let Some(frame) = h.frame() {
            frame.stopped = true;
        }
        Status::Ok
    })
}

#[unsafe(no_mangle)]
pub extern "C" fn proxy_http_call(
    cluster: *const u8,
    cluster_len: usize,
    headers: *const u8,
    headers_len: usize,
    body: *const u8,
    body_len: usize,
    _trailers: *const u8,
    _trailers_len: usize,
    timeout_ms: u32,
    token: *mut u32,
) -> Status {
    // Without an effect it is a failure, so that no token reaches the SDK twice.
    import_or("proxy_http_call", Status::InternalFailure, |h| {
        let headers = HeaderMap::lines_from_wire(bytes(headers, headers_len)).into_iter().collect();
        let timeout = Duration::from_millis(timeout_ms.into());
        match h.dispatch(&text(cluster, cluster_len), headers, bytes(body, body_len).to_vec(), timeout) {
            Ok(new) => {
                put(token, new);
                Status::Ok
            }
            Err(CallError::BadArgument) => Status::BadArgument,
            Err(CallError::InternalFailure) => Status::InternalFailure,
        }
    })
}

//! gRPC calls and streams.

#![allow(unsafe_code, reason = "raw pointers are what the border is made of")]
#![allow(clippy::not_unsafe_ptr_arg_deref, clippy::too_many_arguments, reason = "the ABI is as it is")]

use std::time::Duration;

use proxy_wasm::types::Status;

use super::{
    super::{headers::HeaderMap, state::try_host},
    bytes, give, import, import_or, put, text,
};

#[unsafe(no_mangle)]
pub extern "C" fn proxy_grpc_call(
    service: *const u8,
    service_len: usize,
    name: *const u8,
    name_len: usize,
    method: *const u8,
    method_len: usize,
    _metadata: *const u8,
    _metadata_len: usize,
    request: *const u8,
    request_len: usize,
    timeout_ms: u32,
    token: *mut u32,
) -> Status {
    import_or("proxy_grpc_call", Status::InternalFailure, |h| {
        let path = format!("/{}/{}", text(name, name_len), text(method, method_len));
        let timeout = Duration::from_millis(timeout_ms.into());
        given(h.grpc_call(bytes(service, service_len), &path, bytes(request, request_len), timeout), token)
    })
}

#[unsafe(no_mangle)]
pub extern "C" fn proxy_grpc_stream(
    service: *const u8,
    service_len: usize,
    name: *const u8,
    name_len: usize,
    method: *const u8,
    method_len: usize,
    metadata: *const u8,
    metadata_len: usize,
    token: *mut u32,
) -> Status {
    let status = import_or("proxy_grpc_stream", Status::InternalFailure, |h| {
        let path = format!("/{}/{}", text(name, name_len), text(method, method_len));
        let metadata = HeaderMap::lines_from_wire(bytes(metadata, metadata_len));
        given(h.grpc_stream(bytes(service, service_len), &path, &metadata), token)
    });
    // Envoy calls into the filter within this call, where nobody expects it.
    let not_begun = try_host(|h| Some((h.grpc.exports, h.grpc.not_begun.take()?))).flatten();
    if let Some((exports, (root, token))) = not_begun {
        (exports.initial_metadata)(root, token, 0);
        (exports.trailing_metadata)(root, token, 4);
    }
    status
}

fn given(result: Result<u32, Status>, token: *mut u32) -> Status {
    match result {
        Ok(new) => {
            put(token, new);
            Status::Ok
        }
        Err(status) => status,
    }
}

#[unsafe(no_mangle)]
pub extern "C" fn proxy_grpc_send(token: u32, message: *const u8, len: usize, end: bool) -> Status {
    import("proxy_grpc_send", |h| h.grpc_send(token, bytes(message, len), end))
}

#[unsafe(no_mangle)]
pub extern "C" fn proxy_grpc_cancel(token: u32) -> Status {
    import("proxy_grpc_cancel", |h| h.grpc_cancel(token))
}

#[unsafe(no_mangle)]
pub extern "C" fn proxy_grpc_close(token: u32) -> Status {
    import("proxy_grpc_close", |h| h.grpc_close(token))
}

/// Of the end that a callback is about. Envoy keeps the number after that, and not the text.
#[unsafe(no_mangle)]
pub extern "C" fn proxy_get_status(code: *mut u32, data: *mut *mut u8, len: *mut usize) -> Status {
    put(code, 0);
    give(&[], data, len);
    import("proxy_get_status", |h| {
        put(code, h.grpc.last_status);
        if let Some((status, message)) = h.frame().and_then(|frame| frame.grpc.as_ref()?.status.clone()) {
            put(code, status);
            give(message.as_bytes(), data, len);
        }
        Status::Ok
    })
}

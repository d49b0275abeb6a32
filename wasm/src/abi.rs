//! Calls to the proxy-wasm host, one function each, none of which can panic.
//!
//! The SDK's own wrappers panic on every status that they do not expect and on every byte that is not UTF-8; a
//! panic kills the worker's VM and hangs the streams that are parked on it. So only the SDK's dispatcher and its
//! `dispatch_http_call`, which has to remember whose call it is, are used from it.

#![allow(unsafe_code)] // the ABI is pointers and lengths

use core::ptr::{null, null_mut};

/// A header map of the current, or effective, stream.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
#[repr(i32)]
pub enum Map {
    /// The header section of the request.
    Request = 0,
    /// The header section of the response.
    Response = 2,
    /// The header section of the response to a dispatched call.
    CallResponse = 6,
}

/// A buffer of the current callback.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
#[repr(i32)]
pub enum Buffer {
    /// The body of the request, as far as it is there.
    RequestBody = 0,
    /// The chunk of the response body that is passing.
    ResponseBody = 1,
    /// The body of the response to a dispatched call.
    CallResponseBody = 4,
    /// The message of a gRPC call or stream.
    GrpcMessage = 5,
    /// The plugin configuration.
    PluginConfiguration = 7,
}

/// A kind of metric.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
#[repr(i32)]
pub enum Metric {
    /// Only goes up.
    Counter = 0,
    /// Goes up and down.
    Gauge = 1,
}

const OK: i32 = 0;

// Of the SDK's dispatcher.
unsafe extern "C" {
    fn proxy_on_queue_ready(root: u32, queue: u32);
}

#[cfg_attr(target_arch = "wasm32", link(wasm_import_module = "env"))]
unsafe extern "C" {
    fn proxy_get_current_time_nanoseconds(time: *mut u64) -> i32;
    fn proxy_get_buffer_bytes(
        kind: i32,
        start: usize,
        len: usize,
        data: *mut *mut u8,
        size: *mut usize,
    ) -> i32;
    fn proxy_get_header_map_pairs(kind: i32, data: *mut *mut u8, size: *mut usize) -> i32;
    fn proxy_replace_header_map_value(
        kind: i32,
        name: *const u8,
        name_len: usize,
        value: *const u8,
        value_len: usize,
    ) -> i32;
    fn proxy_add_header_map_value(
        kind: i32,
        name: *const u8,
        name_len: usize,
        value: *const u8,
        value_len: usize,
    ) -> i32;
    fn proxy_remove_header_map_value(kind: i32, name: *const u8, name_len: usize) -> i32;
    fn proxy_get_property(path: *const u8, path_len: usize, data: *mut *mut u8, size: *mut usize) -> i32;
    fn proxy_get_shared_data(
        key: *const u8,
        key_len: usize,
        data: *mut *mut u8,
        size: *mut usize,
        cas: *mut u32,
    ) -> i32;
    fn proxy_set_shared_data(
        key: *const u8,
        key_len: usize,
        value: *const u8,
        value_len: usize,
        cas: u32,
    ) -> i32;
    fn proxy_register_shared_queue(name: *const u8, name_len: usize, id: *mut u32) -> i32;
    fn proxy_resolve_shared_queue(
        vm: *const u8,
        vm_len: usize,
        name: *const u8,
        name_len: usize,
        id: *mut u32,
    ) -> i32;
    fn proxy_dequeue_shared_queue(id: u32, data: *mut *mut u8, size: *mut usize) -> i32;
    fn proxy_enqueue_shared_queue(id: u32, value: *const u8, value_len: usize) -> i32;
    fn proxy_continue_stream(kind: i32) -> i32;
    fn proxy_send_local_response(
        status: u32,
        details: *const u8,
        details_len: usize,
        body: *const u8,
        body_len: usize,
        fields: *const u8,
        fields_len: usize,
        grpc_status: i32,
    ) -> i32;
    fn proxy_grpc_call(
        service: *const u8,
        service_len: usize,
        name: *const u8,
        name_len: usize,
        method: *const u8,
        method_len: usize,
        metadata: *const u8,
        metadata_len: usize,
        message: *const u8,
        message_len: usize,
        timeout_ms: u32,
        token: *mut u32,
    ) -> i32;
    fn proxy_grpc_stream(
        service: *const u8,
        service_len: usize,
        name: *const u8,
        name_len: usize,
        method: *const u8,
        method_len: usize,
        metadata: *const u8,
        metadata_len: usize,
        token: *mut u32,
    ) -> i32;
    fn proxy_grpc_send(token: u32, message: *const u8, message_len: usize, ends: i32) -> i32;
    fn proxy_grpc_cancel(token: u32) -> i32;
    fn proxy_get_status(status: *mut u32, data: *mut *mut u8, size: *mut usize) -> i32;
    fn proxy_set_effective_context(context: u32) -> i32;
    fn proxy_define_metric(kind: i32, name: *const u8, name_len: usize, id: *mut u32) -> i32;
    fn proxy_get_metric(id: u32, value: *mut u64) -> i32;
    fn proxy_increment_metric(id: u32, offset: i64) -> i32;
}

#[cfg_attr(target_arch = "wasm32", link(wasm_import_module = "wasi_snapshot_preview1"))]
unsafe extern "C" {
    fn clock_time_get(clock: i32, precision: i64, time: *mut u64) -> i32;
    fn random_get(buffer: *mut u8, len: usize) -> i32;
}

/// Takes over what the host has put into memory that it asked the SDK's allocator for.
fn fetch(call: impl FnOnce(*mut *mut u8, *mut usize) -> i32) -> Option<Vec<u8>> {
    let (mut data, mut size) = (null_mut(), 0);
    if call(&raw mut data, &raw mut size) != OK {
        return None;
    }
    if data.is_null() {
        return Some(Vec::new());
    }
    // SAFETY: `proxy_on_memory_allocate` of the SDK has leaked a `Vec<u8>` of exactly this capacity.
    Some(unsafe { Vec::from_raw_parts(data, size, size) })
}

/// Nanoseconds since the Unix epoch.
pub fn wall_clock_ns() -> u64 {
    let mut time = 0;
    // SAFETY: the host writes one u64.
    unsafe { proxy_get_current_time_nanoseconds(&raw mut time) };
    time
}

/// Nanoseconds on the monotonic clock, which all workers share.
pub fn monotonic_ns() -> u64 {
    const MONOTONIC: i32 = 1;
    let mut time = 0;
    // SAFETY: the host writes one u64.
    unsafe { clock_time_get(MONOTONIC, 1, &raw mut time) };
    time
}

/// Random bytes.
pub fn random() -> [u8; 20] {
    let mut bytes = [0; 20];
    // SAFETY: the host writes as many bytes as there are.
    unsafe { random_get(bytes.as_mut_ptr(), bytes.len()) };
    bytes
}

/// A part of a buffer.
pub fn buffer(kind: Buffer, start: usize, len: usize) -> Option<Vec<u8>> {
    // SAFETY: the host writes a pointer and a length.
    fetch(|data, size| unsafe { proxy_get_buffer_bytes(kind as i32, start, len, data, size) })
}

/// The bytes that a callback is about, all of them or none.
pub fn body(kind: Buffer, size: usize) -> Option<Vec<u8>> {
    // To ask for nothing would be a call for nothing.
    let bytes = if size == 0 { Some(Vec::new()) } else { buffer(kind, 0, size) };
    bytes.filter(|bytes| bytes.len() == size)
}

/// A whole header map in wire form.
pub fn map(kind: Map) -> Option<Vec<u8>> {
    // SAFETY: the host writes a pointer and a length.
    fetch(|data, size| unsafe { proxy_get_header_map_pairs(kind as i32, data, size) })
}

/// One line of a field, instead of whatever there is.
pub fn map_set(kind: Map, name: &str, value: &[u8]) {
    let (kind, name_len) = (kind as i32, name.len());
    // SAFETY: the host reads the slices.
    unsafe { proxy_replace_header_map_value(kind, name.as_ptr(), name_len, value.as_ptr(), value.len()) };
}

/// One more line of a field.
pub fn map_add(kind: Map, name: &str, value: &[u8]) {
    let (kind, name_len) = (kind as i32, name.len());
    // SAFETY: the host reads the slices.
    unsafe { proxy_add_header_map_value(kind, name.as_ptr(), name_len, value.as_ptr(), value.len()) };
}

/// No line of a field.
pub fn map_remove(kind: Map, name: &str) {
    // SAFETY: the host reads the slice.
    unsafe { proxy_remove_header_map_value(kind as i32, name.as_ptr(), name.len()) };
}

/// A property of the current, or effective, stream; the parts of its path are separated by zero bytes.
pub fn property(path: &str) -> Option<Vec<u8>> {
    // SAFETY: the host reads the slice and writes a pointer and a length.
    fetch(|data, size| unsafe { proxy_get_property(path.as_ptr(), path.len(), data, size) })
}

/// A shared value and its compare-and-set number; none when the key is absent.
///
/// A present but empty value comes with its number, an absent key with the number zero.
pub fn shared_data(key: &str) -> Option<(Vec<u8>, u32)> {
    let mut cas = 0;
    // SAFETY: the host reads the slice and writes a pointer, a length and a number.
    let value = fetch(|data, size| unsafe {
        proxy_get_shared_data(key.as_ptr(), key.len(), data, size, &raw mut cas)
    })?;
    Some((value, cas))
}

/// Sets a shared value; with a compare-and-set number other than zero only if the key still has that number. An
/// absent key takes any number.
pub fn set_shared_data(key: &str, value: &[u8], cas: u32) -> bool {
    // SAFETY: the host reads the slices.
    unsafe { proxy_set_shared_data(key.as_ptr(), key.len(), value.as_ptr(), value.len(), cas) == OK }
}

/// Makes the current root the receiver of a queue.
pub fn register_queue(name: &str) -> Option<u32> {
    let mut id = 0;
    // SAFETY: the host reads the slice and writes a number.
    let status = unsafe { proxy_register_shared_queue(name.as_ptr(), name.len(), &raw mut id) };
    (status == OK).then_some(id)
}

/// The number of a queue of this VM's `vm_id`.
pub fn resolve_queue(name: &str) -> Option<u32> {
    let mut id = 0;
    // SAFETY: the host reads the slices and writes a number.
    let status = unsafe { proxy_resolve_shared_queue(null(), 0, name.as_ptr(), name.len(), &raw mut id) };
    (status == OK).then_some(id)
}

/// The next message of a queue.
pub fn dequeue(id: u32) -> Option<Vec<u8>> {
    // SAFETY: the host writes a pointer and a length.
    fetch(|data, size| unsafe { proxy_dequeue_shared_queue(id, data, size) })
}

/// Puts a message into a queue.
pub fn enqueue(id: u32, message: &[u8]) -> bool {
    // SAFETY: the host reads the slice.
    unsafe { proxy_enqueue_shared_queue(id, message.as_ptr(), message.len()) == OK }
}

/// Lets the paused request of the effective stream go on.
pub fn continue_request() -> bool {
    const REQUEST: i32 = 0;
    // SAFETY: no memory is involved.
    unsafe { proxy_continue_stream(REQUEST) == OK }
}

/// Answers the effective stream. `fields` is in wire form.
pub fn reply(status: u16, details: &str, fields: &[u8], body: &[u8]) -> bool {
    const NO_GRPC: i32 = -1;
    // SAFETY: the host reads the slices.
    let status = unsafe {
        proxy_send_local_response(
            u32::from(status),
            details.as_ptr(),
            details.len(),
            body.as_ptr(),
            body.len(),
            fields.as_ptr(),
            fields.len(),
            NO_GRPC,
        )
    };
    status == OK
}

/// A method of gRPC, and where it is called: a serialised `envoy.config.core.v3.GrpcService`. Never the bare name of a
/// cluster: where that happens to be a message as well, Envoy ends itself (envoy-facts §21).
#[derive(Clone, Copy)]
pub struct GrpcMethod<'a> {
    /// The `GrpcService`.
    pub service: &'a [u8],
    /// The service that the method is of.
    pub name: &'a str,
    /// The method.
    pub method: &'a str,
    /// Metadata in wire form.
    pub metadata: &'a [u8],
}

/// Calls a method of gRPC on behalf of the effective context, a root; the token of the call.
pub fn grpc_call(to: GrpcMethod<'_>, message: &[u8], timeout_ms: u32) -> Option<u32> {
    let GrpcMethod { service, name, method, metadata } = to;
    let mut token = 0;
    // SAFETY: the host reads the slices and writes a number.
    let status = unsafe {
        proxy_grpc_call(
            service.as_ptr(),
            service.len(),
            name.as_ptr(),
            name.len(),
            method.as_ptr(),
            method.len(),
            metadata.as_ptr(),
            metadata.len(),
            message.as_ptr(),
            message.len(),
            timeout_ms,
            &raw mut token,
        )
    };
    (status == OK).then_some(token)
}

/// Opens a stream of gRPC on behalf of the effective context, a root; its token.
pub fn grpc_stream(to: GrpcMethod<'_>) -> Option<u32> {
    let GrpcMethod { service, name, method, metadata } = to;
    let mut token = 0;
    // SAFETY: the host reads the slices and writes a number.
    let status = unsafe {
        proxy_grpc_stream(
            service.as_ptr(),
            service.len(),
            name.as_ptr(),
            name.len(),
            method.as_ptr(),
            method.len(),
            metadata.as_ptr(),
            metadata.len(),
            &raw mut token,
        )
    };
    (status == OK).then_some(token)
}

/// Sends a message on a stream.
pub fn grpc_send(token: u32, message: &[u8]) -> bool {
    // SAFETY: the host reads the slice.
    unsafe { proxy_grpc_send(token, message.as_ptr(), message.len(), 0) == OK }
}

/// Ends a call or a stream; nothing is heard of it any more.
pub fn grpc_cancel(token: u32) {
    // SAFETY: no memory is involved.
    unsafe { proxy_grpc_cancel(token) };
}

/// The status of the call or stream that has ended, and its message.
pub fn grpc_status() -> (u32, String) {
    let mut status = 0;
    // SAFETY: the host writes a number, a pointer and a length.
    let text = fetch(|data, size| unsafe { proxy_get_status(&raw mut status, data, size) });
    (status, String::from_utf8_lossy(&text.unwrap_or_default()).into_owned())
}

/// Calls a root context of the SDK's.
pub fn sdk_on_queue_ready(root: u32, queue: u32) {
    // SAFETY: no memory is involved; the SDK exports it so.
    unsafe { proxy_on_queue_ready(root, queue) };
}

/// Makes a context the one that the following calls speak of; whether there is such a context.
pub fn set_effective_context(context: u32) -> bool {
    // SAFETY: no memory is involved.
    unsafe { proxy_set_effective_context(context) == OK }
}

/// Defines a metric.
pub fn define_metric(kind: Metric, name: &str) -> Option<u32> {
    let mut id = 0;
    // SAFETY: the host reads the slice and writes a number.
    let status = unsafe { proxy_define_metric(kind as i32, name.as_ptr(), name.len(), &raw mut id) };
    (status == OK).then_some(id)
}

/// The value of a metric.
pub fn metric(id: u32) -> Option<u64> {
    let mut value = 0;
    // SAFETY: the host writes one u64.
    let status = unsafe { proxy_get_metric(id, &raw mut value) };
    (status == OK).then_some(value)
}

/// Adds to a metric.
pub fn add_to_metric(id: u32, offset: i64) {
    // SAFETY: no memory is involved.
    unsafe { proxy_increment_metric(id, offset) };
}

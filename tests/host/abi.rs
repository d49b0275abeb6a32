//! The 37 imports of proxy-wasm 0.2.1 and the two of WASI that the filter uses, as native symbols.
//!
//! Each only carries bytes over the border; the rules are elsewhere. After a scripted trap they do nothing.

#![allow(unsafe_code, reason = "raw pointers are what the border is made of")]
#![allow(clippy::not_unsafe_ptr_arg_deref, clippy::too_many_arguments, reason = "the ABI is as it is")]

use std::time::Duration;

use proxy_wasm::types::Status;

use super::{
    calls::CallError,
    events::{Event, Lane},
    faults::MessageHarm,
    guest::{Deferred, exports},
    hcm::LocalReply,
    headers::HeaderMap,
    metrics::MetricError,
    state::{Host, LogLine, host, try_host},
    stream::{Side, Stream},
    vm::ContextKind,
};

/// Runs an import, unless the callback has trapped.
fn import(name: &'static str, act: impl FnOnce(&mut Host) -> Status) -> Status {
    try_host(|h| if h.called(name) { act(h) } else { Status::Ok }).unwrap_or(Status::Ok)
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

// Logging, time, randomness.

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
    put(time, host(|h| h.wall()));
    Status::Ok
}

#[unsafe(no_mangle)]
pub extern "C" fn clock_time_get(clock: i32, _precision: i64, time: *mut u64) -> i32 {
    put(time, host(|h| if clock == 1 { h.now } else { h.wall() }));
    0
}

#[unsafe(no_mangle)]
pub extern "C" fn random_get(data: *mut u8, len: usize) -> i32 {
    // SAFETY: the filter passes a buffer of its own and its length.
    let buffer = unsafe { std::slice::from_raw_parts_mut(data, len) };
    host(|h| h.guest_random.fill(buffer));
    0
}

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

// Buffers and header maps.

/// The buffer that an import reads or changes, if it is there now.
fn buffer(h: &mut Host, kind: u32) -> Option<&mut Vec<u8>> {
    match kind {
        0 => h
            .effective_stream()
            .map(|s| &mut s.request)
            .filter(|half| half.body_visible)
            .map(|half| &mut half.body),
        1 => h
            .effective_stream()
            .map(|s| &mut s.response)
            .filter(|half| half.body_visible)
            .map(|half| &mut half.body),
        4 => h.frame()?.call.as_mut().map(|response| &mut response.body),
        7 => h.frame()?.configuration.as_mut(),
        _ => None,
    }
}

#[unsafe(no_mangle)]
pub extern "C" fn proxy_get_buffer_bytes(
    kind: u32,
    start: usize,
    max: usize,
    data: *mut *mut u8,
    len: *mut usize,
) -> Status {
    import("proxy_get_buffer_bytes", |h| {
        let Some(buffer) = buffer(h, kind) else { return Status::NotFound };
        if start.checked_add(max).is_none() {
            return Status::BadArgument;
        }
        let end = (start + max).min(buffer.len());
        give(buffer.get(start..end).unwrap_or_default(), data, len);
        Status::Ok
    })
}

#[unsafe(no_mangle)]
pub extern "C" fn proxy_set_buffer_bytes(
    kind: u32,
    start: usize,
    size: usize,
    data: *const u8,
    len: usize,
) -> Status {
    import("proxy_set_buffer_bytes", |h| {
        let Some(buffer) = buffer(h, kind) else { return Status::NotFound };
        let value = bytes(data, len);
        match (start, size) {
            (0, 0) => drop(buffer.splice(0..0, value.iter().copied())),
            (0, size) if size >= buffer.len() => *buffer = value.to_vec(),
            (start, _) if start >= buffer.len() => buffer.extend_from_slice(value),
            _ => return Status::BadArgument,
        }
        Status::Ok
    })
}

#[unsafe(no_mangle)]
pub extern "C" fn proxy_get_header_map_pairs(kind: u32, data: *mut *mut u8, len: *mut usize) -> Status {
    import("proxy_get_header_map_pairs", |h| {
        let wire = readable(h, kind).filter(|map| !map.is_empty()).map(|map| map.to_wire());
        give(&wire.unwrap_or_default(), data, len);
        Status::Ok
    })
}

/// The map that an import reads: what is there now, or everything while the stream is logged.
fn readable(h: &mut Host, kind: u32) -> Option<&mut HeaderMap> {
    if kind < 4 && h.logging() {
        let stream = h.effective_stream()?;
        return match kind {
            0 => Some(&mut stream.request.headers),
            2 => Some(&mut stream.response.headers),
            3 => Some(&mut stream.response.trailers),
            _ => None,
        };
    }
    h.map(kind)
}

fn writable(h: &mut Host, kind: u32) -> Option<&mut HeaderMap> {
    if kind >= 4 || h.logging() { None } else { h.map(kind) }
}

#[unsafe(no_mangle)]
pub extern "C" fn proxy_set_header_map_pairs(kind: u32, data: *const u8, len: usize) -> Status {
    import("proxy_set_header_map_pairs", |h| {
        let Some(map) = writable(h, kind) else { return Status::BadArgument };
        *map = HeaderMap::lines_from_wire(bytes(data, len)).into_iter().collect();
        Status::Ok
    })
}

#[unsafe(no_mangle)]
pub extern "C" fn proxy_get_header_map_value(
    kind: u32,
    name: *const u8,
    name_len: usize,
    data: *mut *mut u8,
    len: *mut usize,
) -> Status {
    import("proxy_get_header_map_value", |h| {
        let logging = h.logging();
        match readable(h, kind) {
            None if logging => Status::NotFound,
            None => Status::BadArgument,
            Some(map) => match map.get(&text(name, name_len)) {
                None => Status::NotFound,
                Some(value) => {
                    give(value, data, len);
                    Status::Ok
                }
            },
        }
    })
}

fn change_map(import_name: &'static str, kind: u32, change: impl FnOnce(&mut HeaderMap)) -> Status {
    import(import_name, |h| match writable(h, kind) {
        None => Status::BadArgument,
        Some(map) => {
            change(map);
            Status::Ok
        }
    })
}

#[unsafe(no_mangle)]
pub extern "C" fn proxy_replace_header_map_value(
    kind: u32,
    name: *const u8,
    name_len: usize,
    value: *const u8,
    value_len: usize,
) -> Status {
    change_map("proxy_replace_header_map_value", kind, |map| {
        map.set(&text(name, name_len), bytes(value, value_len));
    })
}

#[unsafe(no_mangle)]
pub extern "C" fn proxy_add_header_map_value(
    kind: u32,
    name: *const u8,
    name_len: usize,
    value: *const u8,
    value_len: usize,
) -> Status {
    change_map("proxy_add_header_map_value", kind, |map| {
        map.add(&text(name, name_len), bytes(value, value_len));
    })
}

#[unsafe(no_mangle)]
pub extern "C" fn proxy_remove_header_map_value(kind: u32, name: *const u8, name_len: usize) -> Status {
    change_map("proxy_remove_header_map_value", kind, |map| map.remove(&text(name, name_len)))
}

// Properties.

fn property(h: &mut Host, path: &str) -> Option<Vec<u8>> {
    match path {
        "plugin_name" | "plugin_root_id" | "plugin_vm_id" => return Some(b"larder".to_vec()),
        _ => {}
    }
    let (route, now) = (h.settings.route.clone(), h.wall());
    let stream = h.effective_stream()?;
    if let Some(value) = stream.properties.get(path) {
        return Some(value.clone());
    }
    let number = |n: u64| Some(n.to_le_bytes().to_vec());
    match path {
        "source.address" => Some(format!("127.0.0.1:{}", 40_000 + stream.id % 20_000).into_bytes()),
        "source.port" => number(40_000 + stream.id as u64 % 20_000),
        "destination.address" => Some(b"127.0.0.1:10000".to_vec()),
        "xds.cluster_name" => Some(route.cluster.into_bytes()),
        "xds.route_name" => Some(route.name.into_bytes()),
        "xds.virtual_host_name" => Some(b"v".to_vec()),
        "connection.id" => number(stream.id as u64),
        "connection.mtls" => Some(vec![0]),
        "request.protocol" => Some(b"HTTP/1.1".to_vec()),
        "request.time" => number(now),
        "request.id" => stream.request.headers.get("x-request-id").map(<[u8]>::to_vec),
        "request.path" => stream.request.headers.get(":path").map(<[u8]>::to_vec),
        "request.url_path" => {
            stream.request.headers.text(":path").split('?').next().map(|p| p.as_bytes().to_vec())
        }
        "request.query" => {
            stream.request.headers.text(":path").split_once('?').map(|(_, q)| q.as_bytes().to_vec())
        }
        "request.host" => stream.request.headers.get(":authority").map(<[u8]>::to_vec),
        "request.scheme" => stream.request.headers.get(":scheme").map(<[u8]>::to_vec),
        "request.method" => stream.request.headers.get(":method").map(<[u8]>::to_vec),
        "response.code" => response_code(stream).and_then(number),
        "response.flags" => number(stream.flags),
        "response.code_details" => Some(stream.details.clone().into_bytes()),
        _ => None,
    }
}

fn response_code(stream: &Stream) -> Option<u64> {
    stream.response.headers.text(":status").parse().ok()
}

#[unsafe(no_mangle)]
pub extern "C" fn proxy_get_property(
    path: *const u8,
    path_len: usize,
    data: *mut *mut u8,
    len: *mut usize,
) -> Status {
    import("proxy_get_property", |h| {
        let path = text(path, path_len).replace('\0', ".");
        match property(h, &path) {
            None if matches!(path.as_str(), "xds" | "filter_state") => Status::SerializationFailure,
            None => Status::NotFound,
            Some(value) => {
                give(&value, data, len);
                Status::Ok
            }
        }
    })
}

#[unsafe(no_mangle)]
pub extern "C" fn proxy_set_property(
    path: *const u8,
    path_len: usize,
    value: *const u8,
    len: usize,
) -> Status {
    import("proxy_set_property", |h| {
        let path = text(path, path_len).replace('\0', ".");
        match h.effective_stream() {
            None => Status::NotFound,
            Some(stream) => {
                stream.filter_state.insert(path, bytes(value, len).to_vec());
                Status::Ok
            }
        }
    })
}

// Shared data and queues.

#[unsafe(no_mangle)]
pub extern "C" fn proxy_get_shared_data(
    key: *const u8,
    key_len: usize,
    data: *mut *mut u8,
    len: *mut usize,
    cas: *mut u32,
) -> Status {
    import("proxy_get_shared_data", |h| match h.shared.get(bytes(key, key_len)) {
        None => Status::NotFound,
        Some((value, stamp)) => {
            give(value, data, len);
            put(cas, *stamp);
            Status::Ok
        }
    })
}

#[unsafe(no_mangle)]
pub extern "C" fn proxy_set_shared_data(
    key: *const u8,
    key_len: usize,
    value: *const u8,
    len: usize,
    cas: u32,
) -> Status {
    import("proxy_set_shared_data", |h| {
        let key = bytes(key, key_len);
        if cas != 0 && h.faults.loses_cas(key, &mut h.random) {
            h.tell(|| format!("a CAS on {} is lost", String::from_utf8_lossy(key)));
            return Status::CasMismatch;
        }
        if h.shared.set(key, bytes(value, len), cas) { Status::Ok } else { Status::CasMismatch }
    })
}

#[unsafe(no_mangle)]
pub extern "C" fn proxy_register_shared_queue(name: *const u8, name_len: usize, token: *mut u32) -> Status {
    import("proxy_register_shared_queue", |h| {
        let Some((vm, context)) = h.effective() else { return Status::InternalFailure };
        let root = h.root_of(vm, context);
        let local = h.vms[vm].contexts.get(&root).map_or(0, |c| c.local);
        let (thread, code) = (h.vms[vm].thread, h.vms[vm].code);
        put(token, h.queues.register(bytes(name, name_len), thread, code, local));
        Status::Ok
    })
}

#[unsafe(no_mangle)]
pub extern "C" fn proxy_resolve_shared_queue(
    _vm_id: *const u8,
    _vm_id_len: usize,
    name: *const u8,
    name_len: usize,
    token: *mut u32,
) -> Status {
    import("proxy_resolve_shared_queue", |h| match h.queues.resolve(bytes(name, name_len)) {
        None => Status::NotFound,
        Some(found) => {
            put(token, found);
            Status::Ok
        }
    })
}

#[unsafe(no_mangle)]
pub extern "C" fn proxy_dequeue_shared_queue(token: u32, data: *mut *mut u8, len: *mut usize) -> Status {
    import("proxy_dequeue_shared_queue", |h| match h.queues.get(token) {
        None => Status::NotFound,
        Some(queue) => match queue.messages.pop_front() {
            None => Status::Empty,
            Some(message) => {
                give(&message, data, len);
                Status::Ok
            }
        },
    })
}

#[unsafe(no_mangle)]
pub extern "C" fn proxy_enqueue_shared_queue(token: u32, value: *const u8, len: usize) -> Status {
    import("proxy_enqueue_shared_queue", |h| h.enqueue(token, bytes(value, len)))
}

impl Host {
    fn enqueue(&mut self, token: u32, message: &[u8]) -> Status {
        let Some(queue) = self.queues.get(token) else { return Status::NotFound };
        let (name, thread, code, root) = (queue.name.clone(), queue.thread, queue.code, queue.root);
        let harm = self.faults.message(&name, &mut self.random);
        if let Some(harm) = harm {
            self.tell(|| format!("a message to {} is harmed: {harm:?}", String::from_utf8_lossy(&name)));
        }
        let Some(queue) = self.queues.get(token) else { return Status::NotFound };
        let event = || Event::Queue { thread, code, root, token };
        match harm {
            Some(MessageHarm::Lost) => return Status::Ok,
            Some(MessageHarm::NotAnnounced) => {
                queue.messages.push_back(message.to_vec());
                return Status::Ok;
            }
            Some(MessageHarm::Doubled) => {
                queue.messages.push_back(message.to_vec());
                queue.messages.push_back(message.to_vec());
                self.after(self.settings.post, Some(Lane::Thread(thread)), event());
            }
            Some(MessageHarm::Reordered) => {
                queue.messages.push_front(message.to_vec());
                let late = Duration::from_micros(self.random.below(50_000));
                self.after(late, None, event());
                return Status::Ok;
            }
            None => queue.messages.push_back(message.to_vec()),
        }
        self.after(self.settings.post, Some(Lane::Thread(thread)), event());
        Status::Ok
    }
}

// Streams.

#[unsafe(no_mangle)]
pub extern "C" fn proxy_set_effective_context(context: u32) -> Status {
    import("proxy_set_effective_context", |h| {
        let Some(vm) = h.frame().map(|f| f.vm) else { return Status::BadArgument };
        // A context counts until the host destroys it, even if the filter has been told to drop it (§20.1).
        if !h.vms[vm].contexts.contains_key(&context) {
            return Status::BadArgument;
        }
        if let Some(frame) = h.frame() {
            frame.effective = Some(context);
        }
        Status::Ok
    })
}

fn defer(h: &mut Host, what: impl FnOnce(u32) -> Deferred) {
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

// Dispatched calls.

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
    if try_host(|h| h.frames.last().is_some_and(|f| f.trapped)).unwrap_or(true) {
        // No token may reach the SDK twice.
        return Status::InternalFailure;
    }
    let mut refused_by_trap = true;
    let status = import("proxy_http_call", |h| {
        refused_by_trap = false;
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
    });
    if refused_by_trap { Status::InternalFailure } else { status }
}

// gRPC: no cluster speaks it here.

#[unsafe(no_mangle)]
pub extern "C" fn proxy_grpc_call(
    _: *const u8,
    _: usize,
    _: *const u8,
    _: usize,
    _: *const u8,
    _: usize,
    _: *const u8,
    _: usize,
    _: *const u8,
    _: usize,
    _: u32,
    _: *mut u32,
) -> Status {
    Status::ParseFailure
}

#[unsafe(no_mangle)]
pub extern "C" fn proxy_grpc_stream(
    _: *const u8,
    _: usize,
    _: *const u8,
    _: usize,
    _: *const u8,
    _: usize,
    _: *const u8,
    _: usize,
    _: *mut u32,
) -> Status {
    Status::ParseFailure
}

#[unsafe(no_mangle)]
pub extern "C" fn proxy_grpc_send(_: u32, _: *const u8, _: usize, _: bool) -> Status {
    Status::NotFound
}

#[unsafe(no_mangle)]
pub extern "C" fn proxy_grpc_cancel(_: u32) -> Status {
    Status::NotFound
}

#[unsafe(no_mangle)]
pub extern "C" fn proxy_grpc_close(_: u32) -> Status {
    Status::NotFound
}

#[unsafe(no_mangle)]
pub extern "C" fn proxy_get_status(code: *mut u32, data: *mut *mut u8, len: *mut usize) -> Status {
    put(code, 0);
    give(&[], data, len);
    Status::Ok
}

// The rest.

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

// Metrics.

#[unsafe(no_mangle)]
pub extern "C" fn proxy_define_metric(kind: u32, name: *const u8, name_len: usize, id: *mut u32) -> Status {
    import("proxy_define_metric", |h| {
        let Some(vm) = h.frame().map(|f| f.vm) else { return Status::InternalFailure };
        put(id, h.vms[vm].metrics.define(kind, &text(name, name_len)));
        Status::Ok
    })
}

/// Acts on a metric of the VM that is running.
fn metric<R>(
    h: &mut Host,
    act: impl FnOnce(&mut super::metrics::Metrics, &super::metrics::MetricNumbers) -> Result<R, MetricError>,
) -> Result<R, Status> {
    let vm = h.frame().map(|f| f.vm).ok_or(Status::InternalFailure)?;
    act(&mut h.metrics, &h.vms[vm].metrics).map_err(|error| match error {
        MetricError::NotFound => Status::NotFound,
        MetricError::BadArgument => Status::BadArgument,
        MetricError::Wrapped => {
            h.violations.push("a gauge was lowered below zero".into());
            Status::Ok
        }
    })
}

#[unsafe(no_mangle)]
pub extern "C" fn proxy_get_metric(id: u32, value: *mut u64) -> Status {
    import("proxy_get_metric", |h| match metric(h, |m, numbers| m.get(numbers, id)) {
        Ok(now) => {
            put(value, now);
            Status::Ok
        }
        Err(status) => status,
    })
}

#[unsafe(no_mangle)]
pub extern "C" fn proxy_record_metric(id: u32, value: u64) -> Status {
    import("proxy_record_metric", |h| match metric(h, |m, numbers| m.record(numbers, id, value)) {
        Ok(()) => Status::Ok,
        Err(status) => status,
    })
}

#[unsafe(no_mangle)]
pub extern "C" fn proxy_increment_metric(id: u32, by: i64) -> Status {
    import("proxy_increment_metric", |h| match metric(h, |m, numbers| m.increment(numbers, id, by)) {
        Ok(()) => Status::Ok,
        Err(status) => status,
    })
}

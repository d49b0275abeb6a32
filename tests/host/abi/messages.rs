//! Buffers, header maps and properties.

#![allow(unsafe_code, reason = "raw pointers are what the border is made of")]
#![allow(clippy::not_unsafe_ptr_arg_deref, clippy::too_many_arguments, reason = "the ABI is as it is")]

use proxy_wasm::types::Status;

use super::{
    super::{headers::HeaderMap, state::Host, stream::Stream},
    bytes, give, import, text,
};

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
        5 => h.frame()?.grpc.as_mut()?.message.as_mut(),
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
        if h.faults.keeps_body() {
            return Status::NotFound;
        }
        // Of a stream's body there is nothing to read where none passes, and Envoy says so without an error.
        let is_of_stream = matches!(kind, 0 | 1) && h.effective_stream().is_some();
        let mut nothing = Vec::new();
        let found = buffer(h, kind).or(is_of_stream.then_some(&mut nothing));
        let Some(buffer) = found else { return Status::NotFound };
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

fn property(h: &mut Host, path: &str) -> Option<Vec<u8>> {
    match path {
        "plugin_name" | "plugin_root_id" | "plugin_vm_id" => return Some(b"larder".to_vec()),
        _ => {}
    }
    let now = h.wall();
    match path {
        "xds.cluster_name" => {
            let route = &h.effective_stream()?.route;
            return route.direct_response.is_none().then(|| route.cluster.clone().into());
        }
        "xds.route_name" => {
            return h.effective_stream().map(|stream| stream.route.name.clone().into());
        }
        "xds.route_metadata" => {
            return h.effective_stream().map(|stream| stream.route.metadata.clone());
        }
        _ => {}
    }
    let stream = h.effective_stream()?;
    if let Some(value) = stream.properties.get(path) {
        return Some(value.clone());
    }
    let number = |n: u64| Some(n.to_le_bytes().to_vec());
    match path {
        // There is always a message, as a rule an empty one.
        "metadata" => Some(stream.metadata.clone()),
        "source.address" => Some(format!("127.0.0.1:{}", 40_000 + stream.id % 20_000).into_bytes()),
        "source.port" => number(40_000 + stream.id as u64 % 20_000),
        "destination.address" => Some(b"127.0.0.1:10000".to_vec()),
        "xds.listener_direction" => number(stream.direction),
        "request.total_size" => {
            let head = stream.request.headers.0.iter().map(|(name, value)| name.len() + value.len());
            number(head.sum::<usize>() as u64 + stream.received)
        }
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

//! Shared data, queues and metrics.

#![allow(unsafe_code, reason = "raw pointers are what the border is made of")]
#![allow(clippy::not_unsafe_ptr_arg_deref, clippy::too_many_arguments, reason = "the ABI is as it is")]

use std::time::Duration;

use proxy_wasm::types::Status;

use super::{
    super::{
        events::{Event, Lane},
        faults::MessageHarm,
        metrics::{MetricError, MetricNumbers, Metrics},
        state::Host,
    },
    bytes, give, import, import_or, put, text,
};

#[unsafe(no_mangle)]
pub extern "C" fn proxy_get_shared_data(
    key: *const u8,
    key_len: usize,
    data: *mut *mut u8,
    len: *mut usize,
    cas: *mut u32,
) -> Status {
    import_or("proxy_get_shared_data", Status::NotFound, |h| match h.shared.get(bytes(key, key_len)) {
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
        if cas != 0 {
            h.others_write_first(key);
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
    import_or("proxy_dequeue_shared_queue", Status::Empty, |h| match h.queues.get(token) {
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
    /// Callbacks are atomic here, so faults play what another worker writes between a read and a write.
    fn others_write_first(&mut self, key: &[u8]) {
        let present = self.shared.get(key).map(|(value, _)| value.clone());
        let other = match present {
            Some(same) if self.faults.loses_cas(key, &mut self.random) => Some(same),
            _ => self.faults.meddles(key),
        };
        if let Some(value) = other {
            self.tell(|| format!("another writes {} first", String::from_utf8_lossy(key)));
            self.shared.set(key, &value, 0);
        }
    }

    fn enqueue(&mut self, token: u32, message: &[u8]) -> Status {
        let Some(queue) = self.queues.get(token) else { return Status::NotFound };
        let (name, thread, code, root) = (queue.name.clone(), queue.thread, queue.code, queue.root);
        self.posts.posted(thread);
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
    act: impl FnOnce(&mut Metrics, &MetricNumbers) -> Result<R, MetricError>,
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

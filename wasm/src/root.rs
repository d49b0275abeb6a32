//! The root of one plugin configuration: it configures, ticks, listens to its queue and dispatches.

use core::cell::RefCell;
use core::time::Duration;
use log::{error, info, warn};
use proxy_wasm::traits::{Context, HttpContext, RootContext};
use proxy_wasm::types::{ContextType, Status};
use std::rc::Rc;

use super::abi::{self, Buffer, Map};
use super::bodies::Bodies;
use super::exports::Alive;
use super::filter::Filter;
use super::listeners::Listeners;
use super::vm::Vm;
use larder::cache::{Call, CallResponse, Refusal};
use larder::config::Config;
use larder::http::{Fields, ResponseHead};

/// How often the sweep runs that makes up for lost hints, renews leases and keeps deadlines.
const TICK: Duration = Duration::from_millis(50);
/// Ticks between two signs of life in the registry of workers.
const TICKS_PER_SIGN: u32 = 200;
/// The largest plugin configuration in bytes. Beyond it the text is cut, and refused as what is no JSON.
const CONFIGURATION_BYTES_MAX: usize = 16 << 20;

/// A root context.
pub struct Root {
    id: u32,
    _alive: Alive,
    vm: Rc<Vm>,
    listeners: RefCell<Rc<Listeners>>,
    bodies: Rc<Bodies>,
    ticks: u32,
}

/// The root context `id` of a VM.
#[must_use]
pub fn root(id: u32, vm: Rc<Vm>) -> Box<dyn RootContext> {
    Box::new(Root {
        id,
        _alive: Alive::new(id, Rc::clone(&vm)),
        vm,
        listeners: RefCell::default(),
        bodies: Rc::default(),
        ticks: 0,
    })
}

impl Root {
    /// Sends a call that belongs to this root; its token.
    ///
    /// # Errors
    /// Why the host refuses it.
    pub(super) fn dispatch(&self, call: &Call) -> Result<u32, Refusal> {
        let fields = call.fields.iter().map(|(name, value)| (name.as_str(), value.as_str())).collect();
        // Calls have all that Envoy wants of them, so a bad argument is the cluster.
        self.dispatch_http_call(&call.cluster, fields, None, Vec::new(), call.timeout).map_err(|status| {
            if status == Status::BadArgument { Refusal::NoCluster } else { Refusal::NoHost }
        })
    }
}

/// What a call has come to, with so many fields and bytes of body.
pub(super) fn call_response(fields: usize, body_size: usize) -> CallResponse {
    // A call that failed has no header fields at all.
    let head = if fields == 0 { None } else { abi::map(Map::CallResponse) };
    let head = head.map(Fields::from_wire).and_then(ResponseHead::from_fields);
    match abi::body(Buffer::CallResponseBody, body_size) {
        Some(body) => CallResponse { head, body },
        None => CallResponse { head: None, body: Vec::new() },
    }
}

impl Context for Root {
    fn on_http_call_response(&mut self, token: u32, fields: usize, body_size: usize, _trailers: usize) {
        self.vm.call_response(token, call_response(fields, body_size));
        self.vm.bring_about(self, self.id);
    }
}

impl RootContext for Root {
    fn on_configure(&mut self, _size: usize) -> bool {
        let json = abi::buffer(Buffer::PluginConfiguration, 0, CONFIGURATION_BYTES_MAX).unwrap_or_default();
        match Config::parse(&json) {
            Ok(config) => {
                config.warnings().iter().for_each(|warning| warn!("larder: {warning}"));
                let config = Rc::new(config);
                self.vm.configure(self.id, Rc::clone(&config));
                *self.listeners.borrow_mut() = Listeners::new(config);
                self.set_tick_period(TICK);
                info!("larder {} is configured", env!("CARGO_PKG_VERSION"));
                true
            }
            Err(error) => {
                error!("larder refuses its configuration: {error}");
                false
            }
        }
    }

    fn on_tick(&mut self) {
        if !self.vm.is_current(self.id) {
            return;
        }
        if self.ticks.is_multiple_of(TICKS_PER_SIGN) || self.vm.lacks_queue(self.id) {
            self.vm.register(self.id);
        }
        self.ticks = self.ticks.wrapping_add(1);
        self.vm.tick(self.id);
        self.vm.bring_about(self, self.id);
    }

    fn on_queue_ready(&mut self, queue: u32) {
        self.vm.messages(queue);
        self.vm.bring_about(self, self.id);
    }

    fn create_http_context(&self, stream: u32) -> Option<Box<dyn HttpContext>> {
        self.vm.serve();
        if self.vm.lacks_queue(self.id) {
            self.vm.register(self.id);
        }
        let (listeners, bodies) = (Rc::clone(&self.listeners.borrow()), Rc::clone(&self.bodies));
        Some(Box::new(Filter::new(stream, Rc::clone(&self.vm), listeners, bodies)))
    }

    fn get_type(&self) -> Option<ContextType> {
        Some(ContextType::HttpContext)
    }
}

impl Drop for Root {
    fn drop(&mut self) {
        self.vm.remove_root(self.id);
    }
}

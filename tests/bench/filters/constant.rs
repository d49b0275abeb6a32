//! The least that a filter can do which answers through the SDK: the same response to every request.
//!
//! Configured with the size of the body in bytes. Its header section is the one that the benchmark's origin sends.
#![allow(unsafe_code, missing_docs, reason = "the start function that the SDK's macro exports")]

use std::rc::Rc;

use proxy_wasm::traits::{Context, HttpContext, RootContext};
use proxy_wasm::types::{Action, ContextType};

proxy_wasm::main! {{
    proxy_wasm::set_root_context(|_| Box::new(Root { body: Rc::from([]) }));
}}

struct Root {
    body: Rc<[u8]>,
}

struct Filter {
    body: Rc<[u8]>,
}

impl Context for Root {}
impl Context for Filter {}

impl RootContext for Root {
    fn on_configure(&mut self, _: usize) -> bool {
        let bytes =
            self.get_plugin_configuration().and_then(|text| String::from_utf8(text).ok()?.parse().ok());
        self.body = vec![b'x'; bytes.unwrap_or(0)].into();
        bytes.is_some()
    }

    fn create_http_context(&self, _: u32) -> Option<Box<dyn HttpContext>> {
        Some(Box::new(Filter { body: Rc::clone(&self.body) }))
    }

    fn get_type(&self) -> Option<ContextType> {
        Some(ContextType::HttpContext)
    }
}

impl HttpContext for Filter {
    fn on_http_request_headers(&mut self, _: usize, _: bool) -> Action {
        let fields = vec![
            ("content-type", "text/plain"),
            ("cache-control", "max-age=86400"),
            ("etag", "\"v1\""),
            ("last-modified", "Wed, 01 Jan 2025 00:00:00 GMT"),
        ];
        self.send_http_response(200, fields, Some(&self.body));
        Action::Pause
    }
}

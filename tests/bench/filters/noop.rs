//! The least that a filter costs which does nothing: the SDK's callbacks, all of them called.
#![allow(unsafe_code, missing_docs, reason = "the start function that the SDK's macro exports")]

use proxy_wasm::traits::{Context, HttpContext, RootContext};
use proxy_wasm::types::ContextType;

proxy_wasm::main! {{
    proxy_wasm::set_root_context(|_| Box::new(Root));
}}

struct Root;
struct Filter;

impl Context for Root {}
impl Context for Filter {}
impl HttpContext for Filter {}

impl RootContext for Root {
    fn create_http_context(&self, _: u32) -> Option<Box<dyn HttpContext>> {
        Some(Box::new(Filter))
    }

    fn get_type(&self) -> Option<ContextType> {
        Some(ContextType::HttpContext)
    }
}

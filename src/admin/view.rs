//! What the admin route shows: numbers and facts that the adapter supplies, as JSON.

use serde_json::{Map, Value, json};

use super::AdminResponse;

/// The answer to a question for statistics: counters and gauges by name.
#[must_use]
pub fn stats(numbers: &[(&str, u64)]) -> AdminResponse {
    AdminResponse::json(200, &object(numbers))
}

/// The answer to a question for health: 503 when something is wrong.
#[must_use]
pub fn health(wrong: &[&str], numbers: &[(&str, u64)]) -> AdminResponse {
    let (status, word) = if wrong.is_empty() { (200, "ok") } else { (503, "degraded") };
    AdminResponse::json(status, &json!({ "status": word, "wrong": wrong, "facts": object(numbers) }))
}

fn object(numbers: &[(&str, u64)]) -> Value {
    Value::Object(
        numbers.iter().map(|(name, number)| ((*name).to_owned(), (*number).into())).collect::<Map<_, _>>(),
    )
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::admin::fixture::body;
    #[cfg(all(target_arch = "wasm32", target_os = "unknown"))]
    use wasm_bindgen_test::wasm_bindgen_test as test;

    #[test]
    fn numbers_are_shown_by_name() {
        assert_eq!(
            body(&stats(&[("hits", 7), ("misses", u64::MAX)])),
            json!({"hits": 7, "misses": u64::MAX})
        );
    }

    #[test]
    fn what_is_wrong_makes_the_health_answer_an_error() {
        assert_eq!(health(&[], &[("head", 3)]).status, 200);
        let sick = health(&["the journal cannot be read"], &[]);
        assert_eq!(sick.status, 503);
        assert_eq!(body(&sick)["wrong"][0], "the journal cannot be read");
    }
}

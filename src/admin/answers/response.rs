//! Answers of the admin route, and what went wrong.

use serde::{Deserialize, Serialize};
use serde_json::{Value, json};

use crate::json::ReadError;

use crate::http::Fields;

/// An answer of the admin route.
#[derive(Serialize, Deserialize, Clone, PartialEq, Eq, Debug)]
pub struct AdminResponse {
    /// The status code.
    pub status: u16,
    /// The fields.
    pub fields: Fields,
    /// The body.
    pub body: Vec<u8>,
}

impl AdminResponse {
    /// An answer in JSON.
    #[must_use]
    pub fn json(status: u16, body: &Value) -> AdminResponse {
        let mut body = body.to_string().into_bytes();
        body.push(b'\n');
        AdminResponse::new(status, "application/json", body)
    }

    /// An answer in plain text.
    #[must_use]
    pub fn text(status: u16, body: &str) -> AdminResponse {
        AdminResponse::new(status, "text/plain; charset=utf-8", format!("{body}\n").into_bytes())
    }

    /// An answer without a body.
    #[must_use]
    pub fn empty(status: u16) -> AdminResponse {
        let fields = Fields::from_iter([("cache-control", "no-store")]);
        AdminResponse { status, fields, body: Vec::new() }
    }

    fn new(status: u16, content_type: &str, body: Vec<u8>) -> AdminResponse {
        let mut response = AdminResponse::empty(status);
        response.fields.push("content-type", content_type);
        response.body = body;
        response
    }

    /// The answer with one more field.
    #[must_use]
    pub fn with(mut self, name: &str, value: impl AsRef<[u8]>) -> AdminResponse {
        self.fields.push(name, value);
        self
    }
}

/// Why a command is not carried out. Nothing of it has been.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Problem {
    /// The status code to answer with.
    pub status: u16,
    /// The place in the body that is wrong, such as `selectors[1].glob`.
    pub path: Option<String>,
    /// What is wrong, as a sentence.
    pub message: String,
    /// The methods that are allowed, with 405.
    pub allow: Option<String>,
    /// After how many seconds to try again, with 429 and 503.
    pub retry_after_secs: Option<u64>,
}

impl Problem {
    /// A problem with this status code.
    #[must_use]
    pub fn new(status: u16, message: impl Into<String>) -> Problem {
        Problem { status, path: None, message: message.into(), allow: None, retry_after_secs: None }
    }

    /// A command that is wrong.
    #[must_use]
    pub fn bad(message: impl Into<String>) -> Problem {
        Problem::new(400, message)
    }

    /// A command that is wrong at this place of its body.
    #[must_use]
    pub fn at(path: &str, message: impl Into<String>) -> Problem {
        Problem { path: Some(path.to_owned()), ..Problem::bad(message) }
    }

    /// A command that cannot be read.
    #[must_use]
    pub fn unread(error: ReadError) -> Problem {
        Problem::at(&error.path, error.message)
    }

    /// A method that means nothing here.
    #[must_use]
    pub fn method(allow: String) -> Problem {
        let problem = Problem::new(405, format!("expected one of the methods {allow}"));
        Problem { allow: Some(allow), ..problem }
    }

    /// A token without this scope.
    #[must_use]
    pub fn scope(name: &str) -> Problem {
        Problem::new(403, format!("the token does not have the scope `{name}`"))
    }

    /// An unknown token. The answer does not say more, so as not to help guessing.
    #[must_use]
    pub fn unauthorised() -> Problem {
        Problem::new(401, "unknown token")
    }

    /// Too many commands.
    #[must_use]
    pub fn too_many(retry_after_secs: u64) -> Problem {
        let problem = Problem::new(429, "too many commands with this token");
        Problem { retry_after_secs: Some(retry_after_secs), ..problem }
    }

    /// The journal was too busy to take all records.
    #[must_use]
    pub fn busy() -> Problem {
        let problem =
            Problem::new(503, "the journal was too busy to take every record: send the command again");
        Problem { retry_after_secs: Some(1), ..problem }
    }

    /// Where and what is wrong, in one sentence.
    #[must_use]
    pub fn sentence(&self) -> String {
        match self.path.as_deref() {
            Some(path) if !path.is_empty() => format!("{path}: {}", self.message),
            _ => self.message.clone(),
        }
    }

    /// Adds the fields that go with the status code to an answer.
    #[must_use]
    pub fn complete(&self, mut response: AdminResponse) -> AdminResponse {
        if let Some(allow) = &self.allow {
            response.fields.push("allow", allow);
        }
        if self.status == 401 {
            response.fields.push("www-authenticate", "Bearer realm=\"larder\", error=\"invalid_token\"");
        }
        if let Some(secs) = self.retry_after_secs {
            response.fields.push("retry-after", secs.to_string());
        }
        response
    }

    /// The answer in Larder's own language.
    #[must_use]
    pub fn response(&self) -> AdminResponse {
        let mut error = json!({ "message": self.message });
        if let (Some(path), Some(members)) = (&self.path, error.as_object_mut()) {
            members.insert("path".into(), path.as_str().into());
        }
        self.complete(AdminResponse::json(self.status, &json!({ "error": error })))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    #[cfg(all(target_arch = "wasm32", target_os = "unknown"))]
    use wasm_bindgen_test::wasm_bindgen_test as test;

    #[test]
    fn a_problem_is_json_with_its_place() {
        let response = Problem::at("selectors[1].glob", "is empty").response();
        assert_eq!(response.status, 400);
        assert_eq!(response.fields.get("content-type"), Some(&b"application/json"[..]));
        assert_eq!(response.fields.get("cache-control"), Some(&b"no-store"[..]));
        let body: Value = serde_json::from_slice(&response.body).unwrap();
        assert_eq!(body, json!({"error": {"path": "selectors[1].glob", "message": "is empty"}}));
    }

    #[test]
    fn what_can_be_tried_again_says_when() {
        assert_eq!(Problem::busy().response().fields.get("retry-after"), Some(&b"1"[..]));
        assert_eq!(Problem::too_many(7).response().fields.get("retry-after"), Some(&b"7"[..]));
        assert_eq!(Problem::method("GET".into()).response().fields.get("allow"), Some(&b"GET"[..]));
    }
}

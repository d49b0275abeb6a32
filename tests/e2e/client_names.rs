//! The admin route behind mutual TLS, as `envoy/envoy-admin-listener.yaml` shows it: only callers whose certificates
//! carry a name that is listed are let in, token or not.

use std::fs;
use std::io::Write;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use super::process::replace;
use super::real_envoy::RealEnvoy;
use crate::stand::{Reply, Request, Stand};

/// A certificate authority of this test's own, made with the `openssl` that TLS clients and servers use.
struct Authority {
    folder: PathBuf,
}

impl Authority {
    fn new() -> Authority {
        let folder = Path::new(env!("CARGO_TARGET_TMPDIR")).join(format!("ca-{}", std::process::id()));
        fs::create_dir_all(&folder).unwrap();
        let authority = Authority { folder };
        authority.openssl(
            "req -x509 -newkey ec -pkeyopt ec_paramgen_curve:P-256 -nodes -keyout ca.key -out ca.pem -days 2 \
             -subj /CN=Test",
        );
        authority
    }

    /// A certificate with this subject alternative name.
    fn issue(&self, file: &str, name: &str) {
        self.openssl(&format!(
            "req -x509 -newkey ec -pkeyopt ec_paramgen_curve:P-256 -nodes -keyout {file}.key -out {file}.pem -days 2 \
             -subj /CN={file} -CA ca.pem -CAkey ca.key -addext subjectAltName={name} \
             -addext basicConstraints=critical,CA:FALSE"
        ));
    }

    fn path(&self, file: &str) -> String {
        self.folder.join(file).to_str().unwrap().to_owned()
    }

    fn openssl(&self, arguments: &str) {
        let done =
            Command::new("openssl").args(arguments.split_whitespace()).current_dir(&self.folder).output();
        let done = done.expect("openssl starts");
        assert!(done.status.success(), "{arguments}: {}", String::from_utf8_lossy(&done.stderr));
    }

    /// Sends a command over TLS, with this certificate if any; the response, nothing when there is none.
    fn send(&self, to: &str, certificate: Option<&str>, request: &str) -> String {
        let mut client = Command::new("openssl");
        client.args(["s_client", "-quiet", "-verify_return_error", "-CAfile", "ca.pem", "-connect", to]);
        if let Some(file) = certificate {
            client.args(["-cert", &format!("{file}.pem"), "-key", &format!("{file}.key")]);
        }
        client.current_dir(&self.folder).stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::null());
        let mut client = client.spawn().expect("openssl starts");
        // A server that does not want us may close before it has read everything.
        let _ = client.stdin.take().unwrap().write_all(request.as_bytes());
        String::from_utf8_lossy(&client.wait_with_output().unwrap().stdout).into_owned()
    }
}

impl Drop for Authority {
    fn drop(&mut self) {
        let _ = fs::remove_dir_all(&self.folder);
    }
}

#[test]
fn only_callers_whose_certificates_carry_a_listed_name_are_let_in() {
    let authority = Authority::new();
    authority.issue("server", "IP:127.0.0.1");
    for (file, name) in [
        ("ops", "URI:spiffe://example/ops"),
        ("deploy", "DNS:deploy.example"),
        ("other", "URI:spiffe://example/other"),
    ] {
        authority.issue(file, name);
    }
    let mut envoy = RealEnvoy::start_as_written("envoy-admin-listener.yaml", |yaml| {
        *yaml = yaml.replace("#mtls ", "");
        replace(
            yaml,
            "{ filename: server.pem }",
            &format!("{{ filename: {} }}", authority.path("server.pem")),
        );
        replace(
            yaml,
            "{ filename: server.key }",
            &format!("{{ filename: {} }}", authority.path("server.key")),
        );
        replace(
            yaml,
            "{ filename: clients-ca.pem }",
            &format!("{{ filename: {} }}", authority.path("ca.pem")),
        );
        let names = r#""client_names": ["spiffe://example/ops", "deploy.example"],"#;
        replace(yaml, "\"methods\": true,", &format!("\"methods\": true, {names}"));
    });
    let operators = envoy.envoy().listening("larder-admin").expect("a listener for operators").to_string();
    let body = r#"{"selectors": [{"tag": "t"}], "mode": "hard"}"#;
    let purge = |token: &str| {
        format!(
            "POST /_larder/purge HTTP/1.1\r\nhost: shop.example\r\nauthorization: Bearer {token}\r\n\
             content-length: {}\r\nconnection: close\r\n\r\n{body}",
            body.len()
        )
    };
    let page = |body: &str| Reply::ok(body).field("cache-control", "max-age=600").field("cache-tag", "t");
    for (certificate, token, status) in [
        (Some("ops"), "change me", "HTTP/1.1 200"),
        (Some("deploy"), "change me", "HTTP/1.1 200"),
        // A known caller still needs a token.
        (Some("ops"), "wrong", "HTTP/1.1 401"),
        // A stranger finds nothing, and the token does not reach the origin.
        (Some("other"), "change me", "HTTP/1.1 404"),
        (None, "change me", ""),
    ] {
        envoy.origin("/page", vec![page("old")]);
        envoy.send(0, Request::get("/page"));
        assert!(envoy.send(1, Request::get("/page")).is_hit(), "stored");
        let answer = authority.send(&operators, certificate, &purge(token));
        assert!(
            answer.starts_with(status) && status.is_empty() == answer.is_empty(),
            "{certificate:?}: {answer}"
        );
        let purged = status.ends_with("200");
        assert_eq!(envoy.send(0, Request::get("/page")).is_hit(), !purged, "{certificate:?} {token}");
    }
    envoy.check();
}

//! Certificates for etcd and its clients, made by the script that `envoy/fleet/` has for it.

use std::path::{Path, PathBuf};
use std::process::Command;

/// A folder with an authority, etcd's certificate and those of clients.
pub struct Certificates {
    folder: PathBuf,
}

impl Certificates {
    pub fn new(folder: &Path) -> Certificates {
        let certificates = Certificates { folder: folder.into() };
        certificates.make(&["etcd", "IP:127.0.0.1,DNS:localhost,DNS:etcd"]);
        certificates.issue("root");
        certificates
    }

    /// A certificate for a client, whose common name is what etcd takes it for.
    pub fn issue(&self, client: &str) {
        self.make(&[client]);
    }

    /// A file of it.
    pub fn path(&self, file: &str) -> String {
        self.folder.join(file).to_str().unwrap().to_owned()
    }

    fn make(&self, arguments: &[&str]) {
        let script = Path::new(env!("CARGO_MANIFEST_DIR")).join("envoy/fleet/certificates.sh");
        let done =
            Command::new("sh").arg(script).arg(&self.folder).args(arguments).output().expect("sh starts");
        assert!(done.status.success(), "{arguments:?}: {}", String::from_utf8_lossy(&done.stderr));
    }

    /// etcd's flags.
    pub fn of_server(&self) -> Vec<String> {
        [
            "--client-cert-auth".into(),
            format!("--trusted-ca-file={}", self.path("ca.pem")),
            format!("--cert-file={}", self.path("etcd.pem")),
            format!("--key-file={}", self.path("etcd.key")),
        ]
        .into()
    }

    /// The flags of `etcdctl`.
    pub fn of_client(&self, client: &str) -> Vec<String> {
        [
            format!("--cacert={}", self.path("ca.pem")),
            format!("--cert={}", self.path(&format!("{client}.pem"))),
            format!("--key={}", self.path(&format!("{client}.key"))),
        ]
        .into()
    }
}

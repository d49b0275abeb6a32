//! JSON web tokens, signed with the `openssl` that servers use, and the key that `jwt_authn` knows them by.

use std::fs;
use std::io::Write;
use std::path::Path;
use std::process::{Command, Stdio};
use std::sync::LazyLock;

pub const ISSUER: &str = "https://issuer.example";

/// The one authority of these tests.
pub static TOKENS: LazyLock<Tokens> = LazyLock::new(Tokens::new);

/// An authority and what it has issued.
pub struct Tokens {
    /// The key set, as `local_jwks` takes it.
    pub key_set: String,
    alice: String,
    bob: String,
    /// One that was right an hour before the year 2000.
    pub expired: String,
}

impl Tokens {
    fn new() -> Tokens {
        let folder = Path::new(env!("CARGO_TARGET_TMPDIR")).join(format!("jwt-{}", std::process::id()));
        fs::create_dir_all(&folder).unwrap();
        let key = folder.join("key.pem");
        openssl(&["genpkey", "-quiet", "-algorithm", "RSA", "-out", text(&key)], b"");
        let modulus = openssl(&["rsa", "-noout", "-modulus", "-in", text(&key)], b"");
        let modulus = String::from_utf8(modulus).unwrap().trim().replace("Modulus=", "");
        let digits = modulus.as_bytes().chunks(2).map(|pair| str::from_utf8(pair).unwrap());
        let modulus: Vec<u8> = digits.map(|digits| u8::from_str_radix(digits, 16).unwrap()).collect();
        let n = base64url(&modulus);
        let tokens = Tokens {
            key_set: format!(r#"{{"keys":[{{"kty":"RSA","alg":"RS256","kid":"1","n":"{n}","e":"AQAB"}}]}}"#),
            alice: token(&key, "alice", 4_102_444_800),
            bob: token(&key, "bob", 4_102_444_800),
            expired: token(&key, "alice", 946_681_200),
        };
        fs::remove_dir_all(folder).unwrap();
        tokens
    }

    /// What this person sends.
    pub fn of(&self, who: &str) -> String {
        format!("Bearer {}", if who == "alice" { &self.alice } else { &self.bob })
    }
}

/// A token that says who it is for and until when it is right.
fn token(key: &Path, subject: &str, expires: u64) -> String {
    let head = base64url(br#"{"alg":"RS256","kid":"1"}"#);
    let claims = format!(r#"{{"iss":"{ISSUER}","sub":"{subject}","exp":{expires}}}"#);
    let signed = format!("{head}.{}", base64url(claims.as_bytes()));
    let signature = openssl(&["dgst", "-sha256", "-sign", text(key)], signed.as_bytes());
    format!("{signed}.{}", base64url(&signature))
}

fn text(path: &Path) -> &str {
    path.to_str().unwrap()
}

fn openssl(arguments: &[&str], input: &[u8]) -> Vec<u8> {
    let mut command = Command::new("openssl");
    command.args(arguments).stdin(Stdio::piped()).stdout(Stdio::piped());
    let mut child = command.spawn().expect("openssl starts");
    child.stdin.take().unwrap().write_all(input).unwrap();
    let done = child.wait_with_output().unwrap();
    assert!(done.status.success(), "{arguments:?}");
    done.stdout
}

/// RFC 4648 §5, without padding.
pub fn base64url(bytes: &[u8]) -> String {
    const DIGITS: &[u8; 64] = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_";
    let mut text = String::new();
    for three in bytes.chunks(3) {
        let number =
            three.iter().fold(0, |number, byte| number << 8 | usize::from(*byte)) << (8 * (3 - three.len()));
        let digits = (0..=three.len()).map(|n| char::from(DIGITS[number >> (18 - 6 * n) & 63]));
        text.extend(digits);
    }
    text
}

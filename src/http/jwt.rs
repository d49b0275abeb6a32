//! JSON web tokens (RFC 7519) by their looks: enough to know one wherever it stands. Nothing is verified.

/// The longest value that is looked at for the claims of a token, in bytes. Beyond it a value does not count as claims.
const CLAIMS_BYTES_MAX: usize = 16 << 10;

/// Whether a field value is a bearer token, a JSON web token, or the claims of one as filters pass them on.
#[must_use]
pub fn is_token_or_claims(value: &[u8]) -> bool {
    let value = value.trim_ascii();
    match value.first() {
        Some(b'b' | b'B') => {
            after_scheme(value, b"bearer ").is_some_and(|token| !token.is_empty() && !token.contains(&b' '))
        }
        Some(b'e') if begins_object(value) => is_token(value),
        _ => false,
    }
}

/// Whether something that begins as an object in base64 is a token or its claims. A JWS has three parts, a JWE five (RFC
/// 7515 §7.1, RFC 7516 §7.1), of which the last may be empty (`alg: none`).
fn is_token(value: &[u8]) -> bool {
    match value.iter().filter(|byte| **byte == b'.').count() {
        0 => is_claims(value),
        2 | 4 => value.iter().all(|byte| *byte == b'.' || digit(*byte).is_some()),
        _ => false,
    }
}

fn after_scheme<'a>(value: &'a [u8], scheme: &[u8]) -> Option<&'a [u8]> {
    let (start, rest) = value.split_at_checked(scheme.len())?;
    start.eq_ignore_ascii_case(scheme).then(|| rest.trim_ascii())
}

/// Whether it is an object in base64 that has one of the claims that tokens are made of (RFC 7519 §4.1). Others send
/// objects in base64 as well, tracers for instance.
fn is_claims(value: &[u8]) -> bool {
    let Some(json) = Some(value).filter(|value| value.len() <= CLAIMS_BYTES_MAX).and_then(decoded) else {
        return false;
    };
    let has = |claim: &[u8]| json.windows(claim.len()).any(|window| window == claim);
    has(b"\"iss\"") || has(b"\"sub\"") || has(b"\"exp\"")
}

/// Whether base64 begins with an opening brace.
fn begins_object(value: &[u8]) -> bool {
    let mut digits = value.iter().map_while(|b| digit(*b));
    digits.next() == Some(0x7b >> 2) && digits.next().is_some_and(|second| second >> 4 == 0x7b & 3)
}

/// What base64, of either alphabet, stands for.
fn decoded(value: &[u8]) -> Option<Vec<u8>> {
    let end = value.iter().rposition(|b| *b != b'=')? + 1;
    let mut bytes = Vec::with_capacity(value.len());
    let (mut bits, mut count) = (0u32, 0u32);
    for byte in value.get(..end)? {
        bits = bits << 6 | u32::from(digit(*byte)?);
        count += 6;
        if count >= 8 {
            count -= 8;
            bytes.push((bits >> count) as u8);
        }
    }
    Some(bytes)
}

/// The value of a digit of base64 or base64url (RFC 4648).
fn digit(byte: u8) -> Option<u8> {
    match byte {
        b'A'..=b'Z' => Some(byte - b'A'),
        b'a'..=b'z' => Some(byte - b'a' + 26),
        b'0'..=b'9' => Some(byte - b'0' + 52),
        b'+' | b'-' => Some(62),
        b'/' | b'_' => Some(63),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    #[cfg(all(target_arch = "wasm32", target_os = "unknown"))]
    use wasm_bindgen_test::wasm_bindgen_test as test;

    const HEADER: &str = "eyJhbGciOiJIUzI1NiJ9";
    /// `{"iss":"tests","sub":"alice"}`.
    const CLAIMS: &str = "eyJpc3MiOiJ0ZXN0cyIsInN1YiI6ImFsaWNlIn0";

    #[test]
    fn tokens_and_their_claims_are_known_by_their_looks() {
        for value in [
            CLAIMS.to_owned(),
            format!("{CLAIMS}="),
            // `{ "sub" : "x" }` and the same on lines of its own.
            "eyAic3ViIiA6ICJ4IiB9".to_owned(),
            "ewogInN1YiI6ICJ4Igp9".to_owned(),
            format!("{HEADER}.{CLAIMS}.c2lnbmF0dXJl"),
            format!("{HEADER}.{CLAIMS}."),
            format!("{HEADER}.a.b.c.d"),
            format!(" Bearer {HEADER}.{CLAIMS}.c2ln "),
            "bearer opaque".to_owned(),
        ] {
            assert!(is_token_or_claims(value.as_bytes()), "{value}");
        }
    }

    #[test]
    fn what_others_send_is_none() {
        for value in [
            "",
            "e",
            "ey",
            "eyJ",
            ".",
            "..",
            "Bearer",
            "Bearer ",
            "bearer of bad news",
            "en-US,en;q=0.5",
            "1.2.3",
            "alice",
            "text/html",
            "\"W/1\"",
            // New Relic's tracing: {"v":[0,1],"d":{"ty":"App"}}
            "eyJ2IjpbMCwxXSwiZCI6eyJ0eSI6IkFwcCJ9fQ==",
            "eyJhbGciOiJIUzI1NiJ9.a",
            "eyJhbGciOiJIUzI1NiJ9.a.b.c",
            "eyJhbGciOiJIUzI1NiJ9.a b.c",
            "eyJ\u{e9}",
            "a.b.c",
        ] {
            assert!(!is_token_or_claims(value.as_bytes()), "{value}");
        }
    }
}

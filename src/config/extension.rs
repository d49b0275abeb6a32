//! Patterns that trust a file name extension, such as `/**/*.css`, and what keeps them from being deceived.
//!
//! In a web cache deception a victim is led to `/account/x.css` or `/account%2fx.css`, where an origin that ignores
//! what follows its own path answers with the account. So a rule with such a pattern does not match a path that an
//! origin may read otherwise than we do, nor a response whose content type disagrees with the extension. Then it is
//! as if there were no such rule, and the origin's own header fields decide.

use crate::http::percent::escape;

/// Extensions, and how the media types of their files begin.
#[rustfmt::skip] // One kind after another, whatever its length.
const KINDS: [(&[&str], &[&str]); 8] = [
    (&["css"], &["text/css"]),
    (&["js", "mjs"], &["text/javascript", "application/javascript", "application/x-javascript"]),
    (&["avif", "bmp", "gif", "ico", "jpeg", "jpg", "png", "svg", "tif", "tiff", "webp"], &["image/"]),
    (&["eot", "otf", "ttf", "woff", "woff2"], &["font/", "application/font-", "application/x-font-", "application/vnd.ms-fontobject"]),
    (&["aac", "avi", "flac", "m4a", "m4v", "mkv", "mov", "mp3", "mp4", "ogg", "wav", "webm"], &["audio/", "video/", "application/ogg"]),
    (&["pdf"], &["application/pdf"]),
    (&["7z", "bz2", "gz", "rar", "tar", "tgz", "xz", "zip", "zst"], &["application/zip", "application/gzip", "application/x-", "application/vnd.", "application/zstd"]),
    (&["wasm"], &["application/wasm"]),
];

/// What says nothing about the kind of a file.
const ANY_FILE: [&str; 2] = ["application/octet-stream", "binary/octet-stream"];

/// Whether a response of this content type can be a file with this extension. Nothing is known about extensions
/// that are not listed.
pub(super) fn agrees(extension: &str, content_type: &[u8]) -> bool {
    let kind = KINDS.iter().find(|(extensions, _)| extensions.contains(&extension));
    kind.is_none_or(|(_, types)| {
        types.iter().chain(&ANY_FILE).any(|begin| {
            let content_type = content_type.trim_ascii_start();
            content_type.get(..begin.len()).is_some_and(|start| start.eq_ignore_ascii_case(begin.as_bytes()))
        })
    })
}

/// Whether every origin reads this path as we do: no delimiter in disguise, no parameter, no dot segment.
pub(super) fn is_plain(path: &[u8]) -> bool {
    let mut rest = path;
    while let [first, after @ ..] = rest {
        let byte = escape(rest).map(|(byte, _)| byte);
        // Encoded where it need not be, or where it hides something; `%25` may be decoded twice.
        if *first == b'%' && byte.is_none_or(|byte| byte.is_ascii_control() || b"/\\;?#%.".contains(&byte)) {
            return false;
        }
        if *first == b';' || *first == b'\\' || first.is_ascii_control() {
            return false;
        }
        rest = after;
    }
    path.split(|&b| b == b'/').skip(1).all(|segment| !matches!(segment, b"." | b".."))
}

#[cfg(test)]
mod tests {
    use super::*;
    #[cfg(all(target_arch = "wasm32", target_os = "unknown"))]
    use wasm_bindgen_test::wasm_bindgen_test as test;

    #[test]
    fn the_content_type_must_agree_with_the_extension() {
        for (extension, content_type, agree) in [
            ("css", "text/css", true),
            ("css", " Text/CSS; charset=utf-8", true),
            ("css", "text/html", false),
            ("css", "", false),
            ("js", "application/javascript", true),
            ("js", "application/json", false),
            ("png", "image/webp", true),
            ("png", "application/octet-stream", true),
            ("woff2", "font/woff2", true),
            ("mp4", "video/mp4", true),
            ("zip", "text/html", false),
            ("html", "text/html", true),
            ("unknown", "", true),
        ] {
            assert_eq!(agrees(extension, content_type.as_bytes()), agree, "{extension} {content_type}");
        }
    }

    #[test]
    fn a_path_with_a_delimiter_in_disguise_is_not_plain() {
        for (path, plain) in [
            ("/a/b.css", true),
            ("/a%20b/%C3%BC.css", true),
            ("/a%2fb.css", false),
            ("/a%5Cb.css", false),
            ("/a;b.css", false),
            ("/a%3Bb.css", false),
            ("/a%3fb.css", false),
            ("/a%23b.css", false),
            ("/a%00b.css", false),
            ("/a%0ab.css", false),
            ("/a%252fb.css", false),
            ("/%2e%2e/b.css", false),
            ("/a/../b.css", false),
            ("/./b.css", false),
            ("/a\\b.css", false),
            ("/a%b.css", false),
            ("/a%", false),
            ("/...", true),
        ] {
            assert_eq!(is_plain(path.as_bytes()), plain, "{path}");
        }
    }
}

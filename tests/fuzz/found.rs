//! What fuzzing has found, each with its input.

use super::{exchanges, invalidation, shared_data, values};

#[test]
fn an_origin_that_answers_304_to_whatever_it_is_asked_is_not_asked_for_ever() {
    exchanges::play(
        b"<200 x\ncache-control: max-age=1, stale-while-revalidate=5\n<304\netag: \"a\"\n\
        >0 GET /s\n.2000\n>1 GET /s\n.50\n>0 GET /s\ncache-control: no-cache\n",
    );
}

#[test]
fn a_segment_with_a_number_that_no_journal_reaches_is_none() {
    let (nonce, no, hard_below) = (1u64, u64::MAX / 4, 0u64);
    let content = [nonce, no, hard_below].map(u64::to_le_bytes).concat();
    shared_data::read(&[&[2, 1], &content[..]].concat());
}

#[test]
fn a_url_with_a_port_and_no_host_names_nothing() {
    values::uris(b":/a");
    values::uris(b"http://:80/a");
    values::uris(b"::");
}

#[test]
fn the_last_byte_that_a_part_can_have_is_named_as_it_is() {
    values::ranges(b"bytes 10-18446744073709551615/*");
}

#[test]
fn a_media_range_is_found_however_it_is_written() {
    invalidation::record(b"\x01\x02\x0a\x06texT/*\x07\x01\x01\x01r\nh.example/a");
}

#[test]
fn an_address_in_brackets_that_are_not_closed_is_no_host() {
    values::uris(b"[::");
    values::uris(b"http://[::1:80/a");
}

#[test]
fn a_path_that_envoy_spells_anew_is_still_the_same() {
    for target in ["/a<", "//a", "/b/../a"] {
        let play = format!("<200 x\ncache-control: max-age=60\n>0 GET {target}\n.100\n>1 GET {target}\n");
        exchanges::play(play.as_bytes());
    }
}

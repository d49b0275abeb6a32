//! What fuzzing has found, each with its input.

use super::{exchanges, shared_data, values};

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
}

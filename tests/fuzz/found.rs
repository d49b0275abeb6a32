//! What fuzzing has found, each with its input.

use super::exchanges;

#[test]
fn an_origin_that_answers_304_to_whatever_it_is_asked_is_not_asked_for_ever() {
    exchanges::play(
        b"<200 x\ncache-control: max-age=1, stale-while-revalidate=5\n<304\netag: \"a\"\n\
        >0 GET /s\n.2000\n>1 GET /s\n.50\n>0 GET /s\ncache-control: no-cache\n",
    );
}

//! How much is matched in one callback: what is counted is bounded, whatever lies in the store and in the journal, and what
//! is left over is done with the next ticks.

use std::rc::Rc;
use std::time::Duration;

use larder::cache::{Cache, Decision, FetchEnd, Identity, Survey};
use larder::invalidation::{
    CALLBACK_WORK_MAX, Invalidation, Matcher, Mode, Part, Selector, Source, Subject, VERDICT_WORK_MAX, Work,
};
use larder::store::record::Response;
use larder::store::{Seed, SharedData};
use larder::time::{Monotonic, Now, Timestamp};

use crate::budget::{ask, config, response};
use crate::world::World;

const NOW: Now = Now { wall: Timestamp(1_700_000_000_000), mono: Monotonic(0) };
const PAGES: u32 = 400;

/// A worker with pages whose URLs have so many bytes.
fn worker(url_bytes: usize) -> (World, Cache) {
    let (world, config) = (World::default(), config(256 << 20, 4096));
    let mut worker = Cache::new(Rc::clone(&config), Identity { nonce: 1, seed: Seed(1, 1) });
    for key in 0..PAGES {
        let ask = ask(&worker, key, NOW);
        let Decision::Fetch { generation, .. } = worker.lookup(world.at(NOW), &ask) else { panic!("{key}") };
        let uri = format!("shop.example/{key}/{}", "a".repeat(url_bytes)).into_bytes();
        let stored = Response { uri, ..response(700, NOW) };
        worker.end_fetch(world.at(NOW), generation, FetchEnd::Stored(Box::new(stored)));
    }
    (world, worker)
}

fn pattern(n: u64) -> Selector {
    Selector::Regex(Part::Url, format!("[b-z][0-9]{{2}}-{n}$").into())
}

fn purge(world: &World, worker: &mut Cache, mode: Mode, selector: Selector) {
    let source = Source::Admin { token: "ops".into() };
    let invalidation = Invalidation { mode, selector, issued_at: NOW.wall, source, reason: None };
    worker.invalidate(world, &invalidation).unwrap();
}

#[test]
fn a_round_through_the_store_stops_when_it_has_matched_enough_and_goes_on_later() {
    for url_bytes in [50, 8 << 10] {
        let (world, mut worker) = worker(url_bytes);
        let matchers: Vec<Matcher> = (0..256)
            .map(|n| Matcher::new(&Selector::Regex(Part::Url, format!("[b-z]{n}$").into())))
            .collect();
        let wanted = |subject: &Subject<'_>, _, work: &Work| {
            matchers.iter().any(|matcher| matcher.covers_within(subject, work))
        };
        let (mut from, mut looked_at, mut rounds) = (Some(0), 0, 0);
        while let Some(at) = from {
            let may = Survey::of(usize::MAX, 1_000_000);
            let page =
                worker.inspect(world.at(NOW)).survey(at, &may, wanted).expect("the journal can be read");
            assert!(may.work.spent() <= CALLBACK_WORK_MAX, "{}", may.work.spent());
            (from, looked_at, rounds) = (page.next, looked_at + page.looked_at, rounds + 1);
        }
        assert_eq!(looked_at, u64::from(PAGES), "each once");
        assert!(rounds >= if url_bytes > 100 { 200 } else { 2 }, "{rounds}");
    }
}

#[test]
fn a_tick_takes_little_however_long_the_urls_are() {
    let (world, mut worker) = worker(8 << 10);
    let matchers: Vec<Matcher> = (0..256).map(|n| Matcher::new(&pattern(n))).collect();
    let covers = |subject: &Subject<'_>, _, work: &Work| {
        matchers.iter().any(|matcher| matcher.covers_within(subject, work)) && !work.is_done()
    };
    let (mut from, mut looked_at, mut ticks) = (Some(0), 0, 0);
    while let Some(at) = from {
        let may = Survey::of_a_tick(usize::MAX, 1_000);
        let page = worker.inspect(world.at(NOW)).survey(at, &may, covers).expect("the journal can be read");
        assert!(page.looked_at <= 2 && page.seen.is_empty(), "{page:?}");
        (from, looked_at, ticks) = (page.next, looked_at + page.looked_at, ticks + 1);
    }
    assert!(looked_at == u64::from(PAGES) && ticks >= PAGES / 2, "{looked_at}, {ticks}");
}

#[test]
fn what_is_purged_among_many_patterns_is_given_back_bit_by_bit() {
    let (world, mut worker) = worker(60);
    (0..300).for_each(|n| purge(&world, &mut worker, Mode::Soft, pattern(n)));
    let before = world.entries();
    purge(&world, &mut worker, Mode::Hard, Selector::Prefix(b"shop.example/7".to_vec()));
    purge(&world, &mut worker, Mode::Hard, Selector::Regex(Part::Url, "^/1[0-9]/a".into()));
    let mut now = NOW;
    for _ in 0..200 {
        let step = Duration::from_millis(50);
        now = Now { wall: now.wall.after(step), mono: now.mono.after(step) };
        worker.tick(world.at(now));
    }
    assert_eq!(before - world.entries(), 11, "those and no others");
}

#[test]
fn one_record_more_costs_no_second_look_at_all_the_others() {
    let (world, mut worker) = worker(200);
    (0..500).for_each(|n| purge(&world, &mut worker, Mode::Soft, pattern(n)));
    let seen = |worker: &mut Cache| {
        let may = Survey { found_max: 1, work: Work::of(VERDICT_WORK_MAX), ..Survey::of(1, 1) };
        let page =
            worker.inspect(world.at(NOW)).survey(0, &may, |_, _, _| true).expect("the journal can be read");
        (page.seen.into_iter().next().expect("one"), may.work.spent())
    };
    let (first, spent) = seen(&mut worker);
    assert!(spent > 1_000, "{spent}");
    let mut judged = 0;
    for head in 501..600 {
        let verdict = first.entry.verdict(head, |from| {
            judged += 1;
            assert_eq!(from, head - 1, "only what is new");
            larder::invalidation::Verdict::Valid
        });
        assert_eq!(verdict, first.verdict);
    }
    assert_eq!(judged, 99);
}

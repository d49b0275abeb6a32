//! What may happen next: the next step of a worker, or something that begins a callback, or something that goes wrong.

use crate::landing::Answer;
use crate::setting::{Mutant, Setting};
use crate::world::{
    Acknowledgement, Fetch, FlightState, KEYS, NONE, Purpose, Standing, Step, Task, Worker, World,
};

/// What has happened, for people.
#[derive(Clone, Copy, Debug)]
pub struct Event {
    /// The worker that it has happened in, if any.
    pub worker: u8,
    pub what: &'static str,
    /// Its key, or what else tells it from others.
    pub of: u8,
}

/// The states that may come next, each with what leads there.
pub type Next = Vec<(Event, World)>;

impl Setting {
    pub fn next(&self, world: &World, next: &mut Next) {
        for worker in 0..self.workers {
            if !world.workers[worker].alive {
                add(next, world, worker, "a VM begins", 0, |world| world.workers[worker] = Worker::born());
                continue;
            }
            if world.left.deaths > 0 {
                add(next, world, worker, "the VM dies", 0, |world| self.die(world, worker));
            }
            if world.workers[worker].task.step != Step::Idle {
                self.step(world, worker, next);
            } else {
                self.arrivals(world, worker, next);
                self.answers(world, worker, next);
                self.wake_ups(world, worker, next);
            }
        }
        self.time(world, next);
    }

    fn step(&self, world: &World, worker: usize, next: &mut Next) {
        let task = world.workers[worker].task;
        if task.step == Step::LandWake && world.left.lost_hints > 0 {
            let woken = task.waiters.trailing_zeros() as usize;
            add(next, world, worker, "land: wake a worker, which never hears of it", task.key, |world| {
                world.left.lost_hints -= 1;
                self.wake(world, worker, woken, false);
            });
        }
        let mut then = *world;
        let what = match task.step {
            Step::Idle => return,
            Step::SyncEpoch | Step::SyncSegment | Step::SyncEpochLast => self.sync(&mut then, worker),
            Step::ConsiderSet | Step::ConsiderRecord | Step::ConsiderChunk | Step::ConsiderSeat => {
                self.considered(&mut then, worker)
            }
            Step::PurgeSegment | Step::PurgeAppend | Step::PurgeBump | Step::PurgeAcknowledge => {
                self.purge(&mut then, worker)
            }
            Step::LandOwnership
            | Step::LandChunk
            | Step::LandRecord
            | Step::LandSet
            | Step::LandPublish
            | Step::LandWake => self.landing(&mut then, worker),
            Step::RenewSet | Step::RenewLease => self.renew(&mut then, worker),
            Step::LeaveSet | Step::LeaveFree => self.leave(&mut then, worker),
            Step::LateSet | Step::LateRecord | Step::LateLead => self.store_late(&mut then, worker),
        };
        next.push((Event { worker: worker as u8, what, of: task.key }, then));
    }

    /// Requests and purges that come, clients that leave, requests that have waited for too long.
    fn arrivals(&self, world: &World, worker: usize, next: &mut Next) {
        for (request, (at, key)) in
            self.requests.iter().enumerate().filter(|(_, r)| usize::from(r.0) == worker)
        {
            let is_alike = |other: usize| {
                world.requests[other] == Standing::ToCome && self.requests[other] == (*at, *key)
            };
            match world.requests[request] {
                Standing::ToCome if !(0..request).any(is_alike) => {
                    add(next, world, worker, "a request comes", *key, |world| {
                        self.consider(world, worker, *key, 1 << request);
                        world.workers[worker].task.newcomer = true;
                    });
                }
                Standing::Waiting => {
                    if world.left.leaves > 0 {
                        add(next, world, worker, "a client that waits leaves", *key, |world| {
                            world.left.leaves -= 1;
                            world.requests[request] = Standing::Over;
                        });
                    }
                    if world.left.deadlines > 0 {
                        add(
                            next,
                            world,
                            worker,
                            "a request has waited too long: to the origin",
                            *key,
                            |world| {
                                world.left.deadlines -= 1;
                                world.requests[request] = Standing::Alone;
                            },
                        );
                    }
                }
                _ => {}
            }
        }
        for (number, purge) in self.purges.iter().enumerate() {
            if usize::from(purge.worker) == worker && world.purges[number] == Acknowledgement::ToCome {
                add(next, world, worker, "a purge comes", number as u8, |world| {
                    self.begin_purge(world, number)
                });
            }
        }
    }

    /// What becomes of what this worker has sent to the origin.
    fn answers(&self, world: &World, worker: usize, next: &mut Next) {
        for (number, fetch) in world.fetches.iter().enumerate() {
            if fetch.purpose == Purpose::Nothing || usize::from(fetch.worker) != worker {
                continue;
            }
            let is_stalled = matches!(fetch.purpose, Purpose::Stalled | Purpose::Lost);
            if !is_stalled || !self.stalls_for_good {
                self.origins_answers(world, number, fetch, next);
            }
            if fetch.request != NONE && world.left.leaves > 0 {
                add(next, world, worker, "the client of a fetch leaves", fetch.key, |world| {
                    world.left.leaves -= 1;
                    self.client_left(world, number);
                });
            }
            if fetch.leads() {
                self.leaders_fate(world, number, fetch, next);
            }
        }
    }

    fn origins_answers(&self, world: &World, number: usize, fetch: &Fetch, next: &mut Next) {
        let Fetch { key, worker, purpose, .. } = *fetch;
        let worker = usize::from(worker);
        add(next, world, worker, "the origin answers 200", key, |world| {
            self.answered(world, number, Answer::Whole);
        });
        if fetch.validated.is_some() && purpose != Purpose::Lost {
            add(next, world, worker, "the origin answers 304", key, |world| {
                self.answered(world, number, Answer::Confirmed);
            });
        }
        if purpose == Purpose::Lost && world.left.given_up > 0 {
            add(next, world, worker, "a capture without a flight is given up", key, |world| {
                world.left.given_up -= 1;
                self.answered(world, number, Answer::NotStorable);
            });
        }
        if purpose != Purpose::Lost && world.left.not_stored > 0 {
            add(next, world, worker, "the origin answers with what is for nobody else", key, |world| {
                world.left.not_stored -= 1;
                self.answered(world, number, Answer::NotStorable);
            });
        }
    }

    /// Its lease is renewed, its response stalls, its call is lost.
    fn leaders_fate(&self, world: &World, number: usize, fetch: &Fetch, next: &mut Next) {
        let Fetch { key, generation, request, .. } = *fetch;
        let worker = usize::from(fetch.worker);
        if world.left.renewals > 0 {
            add(next, world, worker, "the leader's tick", key, |world| {
                world.left.renewals -= 1;
                self.begin_renewal(world, number);
            });
        }
        if request == NONE && world.left.lost_calls > 0 {
            add(next, world, worker, "a call of the root never comes back", key, |world| {
                world.left.lost_calls -= 1;
                world.fetches[number] = Fetch::default();
            });
        }
        if request != NONE && fetch.purpose == Purpose::Flight && world.left.stalls > 0 {
            add(next, world, worker, "a response stalls on its way to its client", key, |world| {
                world.left.stalls -= 1;
                world.fetches[number].purpose = Purpose::Stalled;
            });
        }
        if fetch.purpose == Purpose::Stalled && !self.deviates(Mutant::KeepsStalledLeaders) {
            let waiters = world.set.flight(generation).map_or(0, |at| world.set.flights[at].waiters);
            if waiters != 0 || self.group(world, worker, key) != 0 {
                add(next, world, worker, "the leader's tick finds the response stalled", key, |world| {
                    self.stalled(world, number);
                });
            }
        }
    }

    /// Hints, and ticks that look after those who wait. Only ticks that can change something are looked at.
    fn wake_ups(&self, world: &World, worker: usize, next: &mut Next) {
        for key in 0..KEYS as u8 {
            let group = self.group(world, worker, key);
            if world.hints[worker] >> key & 1 == 1 {
                add(next, world, worker, "a hint arrives", key, |world| {
                    world.hints[worker] &= !(1 << key);
                    if group != 0 {
                        self.consider(world, worker, key, group);
                        world.workers[worker].task.woken = true;
                    }
                });
            } else if group != 0 && self.sweep {
                let flight = world.set.flight_of(key).map(|at| world.set.flights[at]);
                let waits =
                    |flight| world.is_live(&flight) && !flight.unshared && world.waits(worker, &flight);
                if !flight.is_some_and(waits) {
                    add(next, world, worker, "a tick", key, |world| self.consider(world, worker, key, group));
                }
            }
        }
    }

    /// Leases and memories that run out, and what others do to Envoy.
    fn time(&self, world: &World, next: &mut Next) {
        let nowhere = usize::from(NONE);
        for (at, flight) in world.set.flights.iter().enumerate() {
            if world.is_live(flight) && self.leases_end {
                let is_early = world.is_attended(flight.generation);
                let what = match is_early {
                    true if world.left.expiries == 0 => continue,
                    true => "a lease runs out although its leader lives",
                    false => "a lease runs out",
                };
                add(next, world, nowhere, what, flight.key, |world| {
                    world.left.expiries -= u8::from(is_early);
                    world.expired |= 1 << flight.generation;
                });
            }
            if flight.state == FlightState::NotStored && world.left.forgotten > 0 {
                add(next, world, nowhere, "a memory runs out", flight.key, |world| {
                    world.left.forgotten -= 1;
                    world.set.flights[at].state = FlightState::Over;
                });
            }
        }
        if world.left.resets > 0 {
            add(next, world, nowhere, "all counters are set to zero", 0, |world| {
                world.left.resets -= 1;
                world.epoch = 0;
            });
        }
    }

    fn die(&self, world: &mut World, worker: usize) {
        world.left.deaths -= 1;
        for (request, (at, _)) in self.requests.iter().enumerate() {
            let standing = &mut world.requests[request];
            let is_open =
                matches!(standing, Standing::Considered | Standing::Waiting | Standing::AtTheOrigin);
            if usize::from(*at) == worker && is_open {
                *standing = Standing::Over;
            }
        }
        for fetch in world.fetches.iter_mut().filter(|fetch| usize::from(fetch.worker) == worker) {
            *fetch = Fetch::default();
        }
        let Task { step, purge, .. } = world.workers[worker].task;
        if matches!(step, Step::PurgeSegment | Step::PurgeAppend | Step::PurgeBump | Step::PurgeAcknowledge) {
            world.purges[usize::from(purge)] = Acknowledgement::Refused;
        }
        world.workers[worker] = Worker::default();
    }
}

fn add(
    next: &mut Next,
    world: &World,
    worker: usize,
    what: &'static str,
    of: u8,
    change: impl FnOnce(&mut World),
) {
    let mut then = *world;
    change(&mut then);
    next.push((Event { worker: worker as u8, what, of }, then));
}

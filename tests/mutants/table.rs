//! The mistakes on purpose: what is written instead of what in a copy of the core, and which test sees it.

/// A mistake on purpose.
#[derive(Debug)]
pub struct Mutant {
    /// Its numbers in `docs/protocol.md` §2. Of several, each is the same mistake in another setting.
    pub numbers: &'static [u8],
    pub name: &'static str,
    /// The settings of `tests/interleave` in which every order of steps is tried, until one shows the mistake.
    pub settings: &'static [&'static str],
    /// Whether the first seeds of `tests/chaos` see it, too. Some hundred seeds see two more, M08 and M12. (Callbacks are
    /// atomic on the emulated host: the others show only in what happens within one.)
    pub chaos: bool,
    pub places: &'static [Place],
}

/// One expression of the core, and the mistake in its place.
#[derive(Debug)]
pub struct Place {
    pub file: &'static str,
    /// It occurs once in the file, however it is spaced.
    pub original: &'static str,
    pub mistake: &'static str,
}

impl Mutant {
    /// What the copy knows it by.
    pub const fn id(&self) -> u8 {
        self.numbers[0]
    }
}

pub const MUTANTS: [Mutant; 19] = [
    Mutant {
        numbers: &[1],
        name: "a landing overwrites the set",
        settings: &["collapse"],
        chaos: false,
        places: &[Place {
            file: "src/store/writer.rs",
            original: "set.replace(data, &landed.set)",
            mistake: "SetSnapshot::read(data, set.number).replace(data, &landed.set)",
        }],
    },
    Mutant {
        numbers: &[2],
        name: "a registration overwrites the set",
        settings: &["collapse"],
        chaos: false,
        places: &[Place {
            file: "src/cache/miss.rs",
            original: "set.replace(turn.host, &value).then(|| self.join(turn, miss))",
            mistake: "SetSnapshot::read(turn.host, set.number)
                .replace(turn.host, &value)
                .then(|| self.join(turn, miss))",
        }],
    },
    Mutant {
        numbers: &[3],
        name: "a flight ends before its record is written",
        settings: &["collapse"],
        chaos: false,
        places: &[
            Place {
                file: "src/store/writer.rs",
                original: "encoded.write(turn.host, lease.slot, lease.before)",
                mistake: "()",
            },
            Place {
                file: "src/store/writer.rs",
                original: "self.finish(turn.host, lease, end, more)",
                mistake: "{
                    let published = self.finish(turn.host, lease, end, more);
                    encoded.write(turn.host, lease.slot, lease.before);
                    published
                }",
            },
        ],
    },
    Mutant {
        numbers: &[4],
        name: "a takeover forgets the waiters",
        settings: &["lease runs out"],
        chaos: false,
        places: &[Place {
            file: "src/store/flights.rs",
            original: "before.fingerprint == new.fingerprint",
            mistake: "false",
        }],
    },
    Mutant {
        numbers: &[5],
        name: "a late landing ends another's flight",
        settings: &["lease runs out"],
        chaos: false,
        places: &[Place {
            file: "src/store/writer.rs",
            original: "flights::ended(&set.value, lease.generation, end)",
            mistake: "{
                let any = set.value.flight_of(lease.place.fingerprint);
                flights::ended(&set.value, any.map_or(lease.generation, |any| any.generation), end)
            }",
        }],
    },
    Mutant {
        numbers: &[6],
        name: "an older response replaces a newer one",
        settings: &["variant, purge, lease runs out"],
        chaos: false,
        places: &[Place {
            file: "src/store/writer.rs",
            original: "there.is_some_and(|there| there.order() > order)",
            mistake: "false",
        }],
    },
    Mutant {
        numbers: &[7],
        name: "a chunk counts for any record",
        settings: &["way changes hands, chunks"],
        chaos: false,
        places: &[Place {
            file: "src/store/record.rs",
            original: "chunk.u64()? != generation",
            mistake: "{ chunk.u64()?; false }",
        }],
    },
    Mutant {
        numbers: &[8],
        name: "generations are used again",
        settings: &["way changes hands, chunks"],
        chaos: false,
        places: &[Place {
            file: "src/store/writer.rs",
            original: "u64::from(self.identity.nonce)",
            mistake: "1",
        }],
    },
    Mutant {
        numbers: &[9],
        name: "the journal is read before its epoch",
        settings: &["hard purge, elsewhere"],
        chaos: false,
        places: &[Place {
            file: "src/store/journal.rs",
            original: "self.seen = Some(epoch)",
            mistake: "self.seen = Some(data.epoch())",
        }],
    },
    Mutant {
        numbers: &[10],
        name: "the epoch changes before the journal",
        settings: &["hard purge"],
        chaos: false,
        places: &[
            Place {
                file: "src/store/journal.rs",
                original: "data.compare_and_set(&key(cur), &next.encode(), found.cas)",
                mistake: "{
                    data.advance_epoch();
                    data.compare_and_set(&key(cur), &next.encode(), found.cas)
                }",
            },
            Place { file: "src/store/journal.rs", original: "data.advance_epoch()", mistake: "()" },
        ],
    },
    Mutant {
        numbers: &[11],
        name: "a purge that was not written is acknowledged",
        settings: &["nothing can be purged"],
        chaos: false,
        places: &[Place {
            file: "src/store/journal.rs",
            original: "self.extend(data, nonce, |tail| { tail.records.push(&record); Ok(tail.end()) })",
            mistake: "self.extend(data, nonce, |tail| { tail.records.push(&record); Ok(tail.end()) })
                .or_else(|_| Ok(Ok(self.head + 1)))",
        }],
    },
    Mutant {
        numbers: &[12],
        name: "a mirror that was overtaken has no floor",
        settings: &["journal overflows"],
        chaos: false,
        places: &[Place { file: "src/store/journal.rs", original: "self.floor = floor", mistake: "()" }],
    },
    Mutant {
        numbers: &[13],
        name: "a leader that leaves overwrites the set",
        settings: &["leader leaves"],
        chaos: false,
        places: &[Place {
            file: "src/cache/completion.rs",
            original: "set.replace(turn.host, &ended.set)",
            mistake: "SetSnapshot::read(turn.host, set.number).replace(turn.host, &ended.set)",
        }],
    },
    Mutant {
        numbers: &[14],
        name: "a woken worker waits without registering",
        settings: &["hard purge, own"],
        chaos: false,
        places: &[Place {
            file: "src/cache/miss.rs",
            original: "flights::registered(&set.value, miss.place.fingerprint, self.storage.writer.worker()?)",
            mistake: "match ask.waited.get() {
                Some(_) => set.value,
                None => flights::registered(&set.value, miss.place.fingerprint, self.storage.writer.worker()?),
            }",
        }],
    },
    Mutant {
        numbers: &[15],
        name: "a record counts for any key",
        settings: &["way changes hands"],
        chaos: true,
        places: &[Place { file: "src/store/record.rs", original: "record.key != key", mistake: "false" }],
    },
    Mutant {
        numbers: &[16, 17, 20],
        name: "ticks do not look after waiters",
        settings: &["lost hint", "death", "lost call"],
        chaos: true,
        places: &[Place {
            file: "src/cache/waiting.rs",
            original: "self.storage.journal.distrust()",
            mistake: "return self.release_overdue(turn)",
        }],
    },
    Mutant {
        numbers: &[18],
        name: "what is hard purged is validated",
        settings: &["stored, hard purge, 304"],
        chaos: true,
        places: &[
            Place {
                file: "src/cache/storage/lookup.rs",
                original: "best.entry = None",
                mistake: "best.entry = Some(entry)",
            },
            Place {
                file: "src/cache/storage/lookup.rs",
                original: "*best = Best { entry: None, reason: Some(ForwardReason::Purged) }",
                mistake: "*best = Best { entry: Some(entry), reason: Some(ForwardReason::Purged) }",
            },
        ],
    },
    Mutant {
        numbers: &[19],
        name: "leases never run out",
        settings: &["death"],
        chaos: true,
        places: &[Place {
            file: "src/store/writer.rs",
            original: "now.mono.after(self.limits.lease)",
            mistake: "now.mono.after(Duration::MAX)",
        }],
    },
    Mutant {
        numbers: &[21],
        name: "a response from beside a flight replaces a newer one",
        settings: &["not storable"],
        chaos: false,
        places: &[Place {
            file: "src/cache/uncollapsed.rs",
            original: "self.storage.writer.take_flight(turn, place, (stamp, asked))",
            mistake: "self.storage.writer.take_flight(turn, place, (u64::MAX, asked))",
        }],
    },
];

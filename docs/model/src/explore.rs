//! The search: breadth first, so that what is found comes with one of the shortest ways there.

use std::collections::{HashMap, HashSet};
use std::hash::{BuildHasherDefault, Hash, Hasher};

use crate::events::{Event, Next};
use crate::setting::Setting;
use crate::world::World;

/// What a search has come to.
pub struct Explored {
    pub states: usize,
    /// Steps to the state that is furthest away, or to what is broken.
    pub depth: usize,
    /// Whether these were all states.
    pub complete: bool,
    pub broken: Option<(&'static str, Vec<Event>)>,
}

/// Where a state was found: the state before it, and the number of the event that led on.
type Parents = Vec<(u32, u16)>;

pub fn explore(setting: &Setting, states_max: usize) -> Explored {
    let mut seen: HashSet<u128, BuildHasherDefault<AsItIs>> = HashSet::default();
    let first = World::new(setting);
    seen.insert(fingerprint(&first));
    let mut parents: Parents = vec![(0, 0)];
    let (mut level, mut depth, mut next) = (vec![(0, first)], 0, Next::new());
    while !level.is_empty() {
        let mut following = Vec::new();
        for (id, world) in level.drain(..) {
            next.clear();
            setting.next(&world, &mut next);
            if next.is_empty()
                && let Some(what) = setting.stuck(&world)
            {
                let broken = Some((what, story(setting, &parents, id)));
                return Explored { states: parents.len(), depth, complete: false, broken };
            }
            for (n, (_, then)) in next.drain(..).enumerate() {
                if !seen.insert(fingerprint(&then)) {
                    continue;
                }
                let own = parents.len() as u32;
                parents.push((id, n as u16));
                if let Some(what) = setting.broken(&then) {
                    let broken = Some((what, story(setting, &parents, own)));
                    return Explored { states: parents.len(), depth: depth + 1, complete: false, broken };
                }
                following.push((own, then));
            }
            if parents.len() >= states_max {
                return Explored { states: parents.len(), depth, complete: false, broken: None };
            }
        }
        level = following;
        depth += usize::from(!level.is_empty());
    }
    Explored { states: parents.len(), depth, complete: true, broken: None }
}

/// What has led to a state.
fn story(setting: &Setting, parents: &Parents, mut id: u32) -> Vec<Event> {
    let mut path = Vec::new();
    while id != 0 {
        let (before, event) = parents[id as usize];
        path.push(event);
        id = before;
    }
    let (mut world, mut events, mut next) = (World::new(setting), Vec::new(), Next::new());
    for event in path.into_iter().rev() {
        next.clear();
        setting.next(&world, &mut next);
        let (event, then) = next[usize::from(event)];
        events.push(event);
        world = then;
    }
    events
}

/// How the executions of a setting end.
pub enum Ending {
    /// After so many steps at the latest, whatever happens first: nobody has to be fair.
    After(u32),
    /// Some go round for ever.
    Never,
    /// There are too many states to tell.
    Unknown,
}

/// Looks for the longest execution, in settings of at most so many states.
pub fn ending(setting: &Setting, states_max: usize) -> Ending {
    const ON_THE_WAY: u32 = u32::MAX;
    let mut found: HashMap<u128, u32, BuildHasherDefault<AsItIs>> = HashMap::default();
    let following = |world: &World| {
        let mut next = Next::new();
        setting.next(world, &mut next);
        next
    };
    let first = World::new(setting);
    found.insert(fingerprint(&first), ON_THE_WAY);
    let mut stack = vec![(fingerprint(&first), following(&first), 0)];
    loop {
        let Some((own, next, longest)) = stack.last_mut() else { return Ending::Unknown };
        let Some((_, then)) = next.pop() else {
            let (own, longest) = (*own, *longest);
            found.insert(own, longest);
            stack.pop();
            match stack.last_mut() {
                Some((_, _, before)) => *before = (*before).max(longest + 1),
                None => return Ending::After(longest),
            }
            continue;
        };
        let id = fingerprint(&then);
        match found.get(&id) {
            Some(&ON_THE_WAY) => return Ending::Never,
            Some(rest) => *longest = (*longest).max(rest + 1),
            None if found.len() >= states_max => return Ending::Unknown,
            None => {
                found.insert(id, ON_THE_WAY);
                stack.push((id, following(&then), 0));
            }
        }
    }
}

/// A state in 128 bits.
fn fingerprint(world: &World) -> u128 {
    let mut hasher = Fingerprint { words: [0x243f_6a88_85a3_08d3, 0x1319_8a2e_0370_7344], open: 0, bits: 0 };
    world.hash(&mut hasher);
    let [one, other] = hasher.words();
    u128::from(one) << 64 | u128::from(other)
}

/// Takes in eight bytes at a time: states consist of numbers of one byte.
struct Fingerprint {
    words: [u64; 2],
    open: u64,
    bits: u32,
}

impl Fingerprint {
    fn mix(&mut self, word: u64) {
        let [one, other] = &mut self.words;
        *one = (*one ^ word).wrapping_mul(0x9e37_79b9_7f4a_7c15);
        *one ^= *one >> 29;
        *other = (other.rotate_left(23) ^ word).wrapping_mul(0xd6e8_feb8_6659_fd93);
        *other ^= *other >> 32;
    }

    fn words(mut self) -> [u64; 2] {
        self.mix(self.open);
        self.words
    }
}

impl Hasher for Fingerprint {
    fn write_u8(&mut self, byte: u8) {
        self.open |= u64::from(byte) << self.bits;
        self.bits += 8;
        if self.bits == 64 {
            self.mix(self.open);
            (self.open, self.bits) = (0, 0);
        }
    }

    fn write(&mut self, bytes: &[u8]) {
        bytes.iter().for_each(|byte| self.write_u8(*byte));
    }

    // Lengths of arrays and numbers of variants.
    fn write_usize(&mut self, number: usize) {
        self.write_u8(number as u8);
    }

    fn write_isize(&mut self, number: isize) {
        self.write_u8(number as u8);
    }

    fn finish(&self) -> u64 {
        self.words[0]
    }
}

/// Fingerprints are mixed well enough as they are.
#[derive(Default)]
struct AsItIs(u64);

impl Hasher for AsItIs {
    fn write_u128(&mut self, number: u128) {
        self.0 = (number >> 64) as u64 ^ number as u64;
    }

    fn write(&mut self, _: &[u8]) {}

    fn finish(&self) -> u64 {
        self.0
    }
}

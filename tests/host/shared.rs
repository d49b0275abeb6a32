//! Shared data and queues of one vm_id, with Envoy's rules.

use std::collections::{BTreeMap, VecDeque};

use super::vm::Thread;

/// Values that all VMs see. There is no delete and no list.
pub struct SharedData {
    pub values: BTreeMap<Vec<u8>, (Vec<u8>, u32)>,
    next_cas: u32,
}

impl SharedData {
    pub fn new() -> Self {
        SharedData { values: BTreeMap::new(), next_cas: 1 }
    }

    pub fn get(&self, key: &[u8]) -> Option<&(Vec<u8>, u32)> {
        self.values.get(key)
    }

    /// False is a CAS mismatch. An absent key takes the value whatever the cas.
    pub fn set(&mut self, key: &[u8], value: &[u8], cas: u32) -> bool {
        if cas != 0 && self.values.get(key).is_some_and(|(_, present)| *present != cas) {
            return false;
        }
        let stamp = self.next_cas;
        self.next_cas = self.next_cas.checked_add(1).unwrap_or(1);
        self.values.insert(key.to_vec(), (value.to_vec(), stamp));
        true
    }
}

/// Who is told when a message comes: the newest registrant only.
pub struct Queue {
    pub name: Vec<u8>,
    pub thread: Thread,
    pub code: u32,
    /// The registrant's root context, by the number it has within its VM.
    pub root: u32,
    pub messages: VecDeque<Vec<u8>>,
}

/// All queues; the token is the index and one more.
#[derive(Default)]
pub struct Queues(Vec<Queue>);

impl Queues {
    /// Registering a name again moves its callbacks to the new registrant and keeps the messages.
    pub fn register(&mut self, name: &[u8], thread: Thread, code: u32, root: u32) -> u32 {
        match self.resolve(name) {
            Some(token) => {
                let queue = &mut self.0[token as usize - 1];
                (queue.thread, queue.code, queue.root) = (thread, code, root);
                token
            }
            None => {
                self.0.push(Queue { name: name.to_vec(), thread, code, root, messages: VecDeque::new() });
                self.0.len() as u32
            }
        }
    }

    pub fn resolve(&self, name: &[u8]) -> Option<u32> {
        self.0.iter().position(|q| q.name == name).map(|at| at as u32 + 1)
    }

    pub fn get(&mut self, token: u32) -> Option<&mut Queue> {
        self.0.get_mut((token as usize).checked_sub(1)?)
    }

    pub fn iter(&self) -> impl Iterator<Item = &Queue> {
        self.0.iter()
    }
}

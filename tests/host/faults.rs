//! What goes wrong, by script or by chance.

use super::{events::Random, vm::Thread};

/// Faults to come.
#[derive(Default)]
pub struct Faults {
    /// Each acts on the first occasions that fit it.
    pub scripted: Vec<Fault>,
    /// Probabilities for everything else.
    pub rates: Rates,
}

/// One scripted fault and how often it happens.
#[derive(Clone, Debug)]
pub struct Fault {
    pub kind: FaultKind,
    /// Occasions that still pass unharmed.
    pub skip: u32,
    /// Occasions that are still harmed.
    pub times: u32,
}

/// What can go wrong.
#[derive(Clone, Debug)]
pub enum FaultKind {
    /// Before a write with a cas, another writes the same bytes again, on present keys that start like this.
    LoseCas { prefix: Vec<u8> },
    /// Before a write with a cas to this key, another writes these bytes.
    Meddle { key: Vec<u8>, value: Vec<u8> },
    /// A message to a queue of this name (a prefix) goes the wrong way.
    Message { prefix: Vec<u8>, harm: MessageHarm },
    /// The response of a dispatched call never comes.
    LoseCallResponse,
    /// A body that a callback is about is not given out.
    KeepBody,
    /// The VM of this thread traps when it makes this host call (any when empty), in this callback (any when empty).
    Trap { thread: Thread, call: &'static str, callback: &'static str },
}

/// What happens to a message in a queue.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum MessageHarm {
    /// Neither the message nor its callback arrives.
    Lost,
    /// The message waits, and nobody is told.
    NotAnnounced,
    /// It arrives twice.
    Doubled,
    /// It gets in front of the messages that wait already, and its callback is late.
    Reordered,
}

/// Probabilities of faults, each for one occasion.
#[derive(Clone, Debug, Default)]
pub struct Rates {
    pub lost_cas: f64,
    pub lost_message: f64,
    pub unannounced_message: f64,
    pub doubled_message: f64,
    pub reordered_message: f64,
    pub lost_call_response: f64,
    /// For each host call that a worker makes.
    pub trap: f64,
    pub doubled_tick: f64,
    /// A tick that comes up to a second late.
    pub late_tick: f64,
}

impl Faults {
    pub fn loses_cas(&mut self, key: &[u8], random: &mut Random) -> bool {
        self.strikes(|kind| matches!(kind, FaultKind::LoseCas { prefix } if key.starts_with(prefix)))
            || random.chance(self.rates.lost_cas)
    }

    pub fn meddles(&mut self, key: &[u8]) -> Option<Vec<u8>> {
        let mut written = None;
        let strikes = self.strikes(|kind| match kind {
            FaultKind::Meddle { key: k, value } if k == key => {
                written = Some(value.clone());
                true
            }
            _ => false,
        });
        written.filter(|_| strikes)
    }

    pub fn loses_call_response(&mut self, random: &mut Random) -> bool {
        self.strikes(|kind| matches!(kind, FaultKind::LoseCallResponse))
            || random.chance(self.rates.lost_call_response)
    }

    pub fn keeps_body(&mut self) -> bool {
        self.strikes(|kind| matches!(kind, FaultKind::KeepBody))
    }

    pub fn message(&mut self, queue: &[u8], random: &mut Random) -> Option<MessageHarm> {
        let mut harm = None;
        let strikes = self.strikes(|kind| match kind {
            FaultKind::Message { prefix, harm: h } if queue.starts_with(prefix) => {
                harm = Some(*h);
                true
            }
            _ => false,
        });
        let harm = harm.filter(|_| strikes);
        let by_chance = [
            (self.rates.lost_message, MessageHarm::Lost),
            (self.rates.unannounced_message, MessageHarm::NotAnnounced),
            (self.rates.doubled_message, MessageHarm::Doubled),
            (self.rates.reordered_message, MessageHarm::Reordered),
        ];
        harm.or_else(|| by_chance.into_iter().find(|(p, _)| random.chance(*p)).map(|(_, h)| h))
    }

    pub fn traps(
        &mut self,
        at: Thread,
        canary: bool,
        call: &str,
        callback: &str,
        random: &mut Random,
    ) -> bool {
        self.strikes(|kind| match kind {
            FaultKind::Trap { thread, call: c, callback: b } => {
                !canary && *thread == at && (c.is_empty() || *c == call) && (b.is_empty() || *b == callback)
            }
            _ => false,
        }) || (matches!(at, Thread::Worker(_)) && random.chance(self.rates.trap))
    }

    /// Uses up the first scripted fault that fits; its first occasions may pass.
    fn strikes(&mut self, mut fits: impl FnMut(&FaultKind) -> bool) -> bool {
        let Some(at) = self.scripted.iter().position(|f| f.times > 0 && fits(&f.kind)) else { return false };
        let fault = &mut self.scripted[at];
        if fault.skip > 0 {
            fault.skip -= 1;
            return false;
        }
        fault.times -= 1;
        true
    }
}

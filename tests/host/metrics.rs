//! Counters, gauges and histograms: process-wide by name, numbered for each VM.

use std::collections::BTreeMap;

pub const COUNTER: u32 = 0;
pub const GAUGE: u32 = 1;
pub const HISTOGRAM: u32 = 2;
/// The type stands in the low bits of a metric's number.
const TYPE_MASK: u32 = 3;
const NUMBER_STEP: u32 = 4;

/// All metrics of the process, without their prefix.
#[derive(Default)]
pub struct Metrics {
    pub values: BTreeMap<(u32, String), u64>,
    pub samples: BTreeMap<String, Vec<u64>>,
    /// A stats filter that matches everything of ours: calls succeed and values stay 0.
    pub silenced: bool,
}

/// The numbers of one VM.
#[derive(Default)]
pub struct MetricNumbers {
    names: BTreeMap<u32, String>,
    next: u32,
}

/// Why a call on a metric failed.
#[derive(Debug, PartialEq)]
pub enum MetricError {
    NotFound,
    BadArgument,
    /// A gauge was lowered below zero, which wraps in Envoy. It is done, and it is a bug.
    Wrapped,
}

impl MetricNumbers {
    /// Defining a name again gives another number for the same metric.
    pub fn define(&mut self, kind: u32, name: &str) -> u32 {
        self.next += NUMBER_STEP;
        self.names.insert(self.next | kind, name.to_owned());
        self.next | kind
    }
}

impl Metrics {
    pub fn get(&self, numbers: &MetricNumbers, id: u32) -> Result<u64, MetricError> {
        if id & TYPE_MASK == HISTOGRAM {
            return Err(MetricError::BadArgument);
        }
        let name = numbers.names.get(&id).ok_or(MetricError::NotFound)?;
        Ok(self.values.get(&(id & TYPE_MASK, name.clone())).copied().unwrap_or(0))
    }

    /// A counter is raised, a gauge overwritten, a histogram gets a sample.
    pub fn record(&mut self, numbers: &MetricNumbers, id: u32, value: u64) -> Result<(), MetricError> {
        let name = numbers.names.get(&id).ok_or(MetricError::NotFound)?.clone();
        if self.silenced {
            return Ok(());
        }
        match id & TYPE_MASK {
            COUNTER => *self.values.entry((COUNTER, name)).or_default() += value,
            GAUGE => *self.values.entry((GAUGE, name)).or_default() = value,
            _ => self.samples.entry(name).or_default().push(value),
        }
        Ok(())
    }

    pub fn increment(&mut self, numbers: &MetricNumbers, id: u32, by: i64) -> Result<(), MetricError> {
        let name = numbers.names.get(&id).ok_or(MetricError::NotFound)?.clone();
        let kind = id & TYPE_MASK;
        if kind == HISTOGRAM || (kind == COUNTER && by <= 0) {
            return Err(MetricError::BadArgument);
        }
        if self.silenced {
            return Ok(());
        }
        let value = self.values.entry((kind, name)).or_default();
        let before = *value;
        *value = before.wrapping_add_signed(by);
        if before.checked_add_signed(by).is_none() { Err(MetricError::Wrapped) } else { Ok(()) }
    }

    /// The counter or gauge of this name, 0 when there is none.
    pub fn value(&self, name: &str) -> u64 {
        [COUNTER, GAUGE].iter().find_map(|k| self.values.get(&(*k, name.to_owned()))).copied().unwrap_or(0)
    }

    /// `POST /reset_counters` of Envoy's admin interface.
    pub fn reset_counters(&mut self) {
        self.values.iter_mut().filter(|((kind, _), _)| *kind == COUNTER).for_each(|(_, value)| *value = 0);
    }
}

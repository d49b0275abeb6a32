//! The protocol of a fleet (`docs/fleet.md`) as a model, and a search through every execution of it in small settings.
//!
//! One step is what others can come between: a compare-and-set on the journal (and the reading of its tail before it), a
//! call that etcd carries out, a message that is delivered, a fault. What Larder's other model (`docs/model`) has shown is
//! taken for granted: the journal is one list, a worker that decides has read all of it, and there is one fetch for a key
//! and Envoy at a time.
//!
//! - [`setting`]: what is explored, and the mistakes that can be made on purpose.
//! - [`world`]: a state.
//! - [`worker`], [`watch`], [`apply`], [`heartbeat`], [`shipping`]: what a worker does, step by step.
//! - [`log`]: the journal and the log. [`fetches`]: fetches, and a second tier.
//! - [`faults`]: what goes wrong.
//! - [`check`]: what must hold.
//! - [`explore`]: the search, which is that of `docs/model`. [`runs`]: the settings that are searched.

mod apply;
mod check;
mod events;
#[path = "../../model/src/explore.rs"]
mod explore;
mod faults;
mod fetches;
mod heartbeat;
mod log;
mod runs;
mod setting;
mod shipping;
mod watch;
mod worker;
mod world;

fn main() -> std::process::ExitCode {
    runs::main()
}

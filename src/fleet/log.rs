//! What is asked of a log, whichever it is, and what it says.

use core::time::Duration;

use super::state::Newest;

/// One of the two keys of a log.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Key {
    /// The name of the history.
    Id,
    /// The batches.
    Log,
}

/// Where a log stands.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub struct Head {
    /// The revision of the store.
    pub revision: u64,
    /// The name of the history, and the revision at which it was given; none when it has none.
    pub tag: Option<([u8; 16], u64)>,
    /// The newest batch; its default when there is none.
    pub newest: Newest,
}

/// What a watch tells.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum Event {
    /// A batch.
    Batch {
        /// Its place in the log.
        newest: Newest,
        /// What it says.
        bytes: Vec<u8>,
    },
    /// The history has another name from now on.
    Named {
        /// At which revision.
        revision: u64,
        /// The name.
        tag: [u8; 16],
    },
    /// A key of the log was deleted.
    Deleted,
}

/// Names a call or a stream of this worker.
pub type IoId = u32;

/// What the adapter is to do for this worker's part in the fleet.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum Io {
    /// A call.
    Call {
        /// Names it in [`Answer`].
        id: IoId,
        /// The service of gRPC.
        service: &'static str,
        /// The method.
        method: &'static str,
        /// The request message.
        message: Vec<u8>,
        /// How long it may take.
        timeout: Duration,
    },
    /// A stream, with its first message.
    Open {
        /// Names it.
        id: IoId,
        /// The service of gRPC.
        service: &'static str,
        /// The method.
        method: &'static str,
        /// The first message.
        message: Vec<u8>,
    },
    /// Sends one more message on a stream.
    Send {
        /// Which.
        id: IoId,
        /// The message.
        message: Vec<u8>,
    },
    /// Ends a stream. Never brought about within a message of one: the host may still be reading the frames behind it.
    Close {
        /// Which.
        id: IoId,
    },
}

/// What came of it.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum Answer {
    /// The answer to a call, or a message of a stream.
    Message(Vec<u8>),
    /// The call has failed, or the stream has ended.
    Ended(Ended),
}

/// Why a call or a stream has ended.
#[derive(Clone, PartialEq, Eq, Debug, Default)]
pub struct Ended {
    /// The status of gRPC.
    pub status: u32,
    /// Its message.
    pub text: String,
}

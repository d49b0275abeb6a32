//! A stored response as bytes: it carries its full key, its generation and the stamp by which it is judged, and a
//! checksum; its body lies behind its head or in chunks that name its generation.

use serde::{Deserialize, Serialize};
use std::borrow::Cow;
use xxhash_rust::xxh3::xxh3_64;

use super::body::Body;
use super::codec::Reader;
use super::cost::{EMPTY_BYTES, KEY_BYTES, value_bytes};
use super::set::{LARGE_WAYS, Way};
use super::sizes::sizes;
use super::{SharedData, shared_key};
use crate::heap::{block, list, texts};
use crate::invalidation::{Subject, Tag};
use crate::policy::StoredResponse;
use crate::time::{Monotonic, Timestamp};

/// The bytes of a body that stand in the record's own value; a larger body lies in chunks of this size, so that the
/// host's lock, under which it copies values, is never held for long. With what stands before it a chunk fills whole
/// pages of the allocator.
pub const CHUNK_BYTES: usize = (256 << 10) - 64;
/// Checksum and generation.
const CHUNK_HEAD_BYTES: u64 = 16;

/// What is stored under one cache key.
#[derive(Clone, PartialEq, Debug)]
pub struct Record {
    /// The cache key in full.
    pub key: Vec<u8>,
    /// Unique for ever; chunks repeat it.
    pub generation: u64,
    /// The journal position by which it is judged: it is subject to the invalidations after it.
    pub stamp: u64,
    /// When it was asked for.
    pub asked: Monotonic,
    /// What it is.
    pub content: Content,
}

/// What a record holds.
#[derive(Clone, PartialEq, Debug)]
pub enum Content {
    /// A response.
    Response(Box<Response>),
    /// The field names by which responses of this URI are selected (`Vary`); the responses have keys of their own.
    Variants(Variants),
    /// By which part of the query responses of this path are selected (`No-Vary-Search`); they have keys of their own.
    Search(Search),
}

impl Content {
    /// What the journal's selectors look at.
    #[must_use]
    pub fn subject(&self) -> Subject<'_> {
        match self {
            Content::Response(response) => response.subject(),
            Content::Variants(Variants { uri, .. }) | Content::Search(Search { uri, .. }) => {
                let stored_at = Timestamp::default();
                Subject { uri, tags: &[], status: 0, content_type: &[], stored_at }
            }
        }
    }
}

/// A stored response with its body.
#[derive(Clone, PartialEq, Debug)]
pub struct Response {
    /// The response without its body.
    pub stored: StoredResponse,
    /// The canonical URI, by which purges find it.
    pub uri: Vec<u8>,
    /// By what it can be purged.
    pub tags: Vec<Tag>,
    /// The route that its request took; none where no client has asked.
    pub route: Option<TakenRoute>,
    /// The body.
    pub body: Body,
}

/// The route that a request took, told apart from others by hashes.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub struct TakenRoute {
    /// Of its name.
    pub name: u32,
    /// Of where it leads, where the request had a field that the route may have been chosen by.
    pub destination: Option<u32>,
}

/// The nominated fields of a URI's newest response, and the variants that are stored.
#[derive(Clone, PartialEq, Debug, Serialize, Deserialize)]
pub struct Variants {
    /// The nominated field names, in lower case, sorted.
    pub nominated: Vec<String>,
    /// The canonical URI, by which purges find it.
    pub uri: Vec<u8>,
    /// Fingerprint of each variant and when it stops being worth keeping, in seconds since the Unix epoch.
    pub known: Vec<(u64, u32)>,
}

/// What the newest response of a path has said of the queries that it answers.
#[derive(Clone, PartialEq, Debug, Serialize, Deserialize)]
pub struct Search {
    /// The value of `No-Vary-Search`; empty when the whole query counts.
    pub variance: String,
    /// The canonical URI, by which purges find it.
    pub uri: Vec<u8>,
}

impl Response {
    /// What the journal's selectors look at.
    #[must_use]
    pub fn subject(&self) -> Subject<'_> {
        Subject {
            uri: &self.uri,
            tags: &self.tags,
            status: self.stored.status,
            content_type: self.stored.fields.get("content-type").unwrap_or_default(),
            stored_at: self.stored.response_time,
        }
    }

    /// The bytes of memory that it takes beside itself.
    #[must_use]
    pub fn held(&self) -> u64 {
        let StoredResponse { fields, vary, .. } = &self.stored;
        let tags = list(&self.tags) + self.tags.iter().map(|tag| block(tag.as_bytes().len())).sum::<u64>();
        fields.held() + texts(vary) + list(&self.uri) + tags + self.body.held()
    }

    /// Gives back the room that was needed while it was made, where that is much.
    pub fn shrink(&mut self) {
        self.stored.fields.shrink();
        self.tags.shrink_to(self.tags.len() / 4 * 5 + 4);
    }
}

impl Variants {
    /// The bytes of memory that it takes beside itself.
    #[must_use]
    pub fn held(&self) -> u64 {
        texts(&self.nominated) + list(&self.uri) + list(&self.known)
    }
}

/// Where a record lies.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Slot {
    /// The set.
    pub set: u32,
    /// The way in it.
    pub way: u8,
}

/// The serialised part of a record.
#[derive(Serialize, Deserialize)]
struct Head<'a> {
    key: &'a [u8],
    generation: u64,
    stamp: u64,
    asked: Monotonic,
    body: BodyPlace,
    kind: Kind<'a>,
}

#[derive(Serialize, Deserialize)]
#[allow(clippy::large_enum_variant, reason = "one at a time, while a record is read or written")]
enum Kind<'a> {
    #[serde(borrow)]
    Response(Facts<'a>),
    Variants(Cow<'a, Variants>),
    Search(Cow<'a, Search>),
}

#[derive(Serialize, Deserialize)]
struct Facts<'a> {
    stored: Cow<'a, StoredResponse>,
    uri: &'a [u8],
    tags: Cow<'a, [Tag]>,
    route: Option<TakenRoute>,
}

#[derive(Serialize, Deserialize, Clone, Copy)]
enum BodyPlace {
    Here,
    Chunks { bytes: u64 },
}

const LAYOUT: u8 = 4;
/// The bytes of the layout and of the length of the head.
const PREFIX: usize = 5;
/// Room for most heads.
const HEAD_USUAL: usize = 512;

/// A record as it is written.
pub struct Encoded<'a> {
    head: Vec<u8>,
    generation: u64,
    /// What lies in chunks.
    body: &'a [u8],
}

impl Encoded<'_> {
    /// The bytes of the process that it takes in shared data, with the keys of its slot.
    #[must_use]
    pub fn bytes(&self) -> u64 {
        let chunks = self.body.chunks(sizes().chunk_bytes);
        let chunks: u64 = chunks.map(|c| KEY_BYTES + value_bytes(CHUNK_HEAD_BYTES + c.len() as u64)).sum();
        EMPTY_BYTES + value_bytes(self.head.len() as u64) + chunks
    }

    /// Whether its body lies in chunks, which only the first ways of a set have.
    #[must_use]
    pub fn is_large(&self) -> bool {
        !self.body.is_empty()
    }

    /// Writes the record, its chunks first; those that what was there before had beyond are emptied. Only the owner of
    /// the flight that reserved the slot may do so.
    pub fn write(&self, data: &impl SharedData, slot: Slot, before: u64) {
        for (n, chunk) in self.body.chunks(sizes().chunk_bytes).enumerate() {
            let parts = [&[0; SEAL], &self.generation.to_le_bytes()[..], chunk];
            data.set(&chunk_key(slot, n), &seal(parts.concat()));
        }
        data.set(&record_key(slot), &self.head);
        empty_chunks(data, slot, self.chunks(), before);
    }

    fn chunks(&self) -> usize {
        self.body.len().div_ceil(sizes().chunk_bytes)
    }
}

impl Record {
    /// By what records of one key are compared: the greater is the newer one. Of two with one stamp, that is the one
    /// that was asked for later, whichever came first.
    #[must_use]
    pub fn order(&self) -> (u64, Monotonic) {
        (self.stamp, self.asked)
    }

    /// The record as bytes.
    #[must_use]
    pub fn encoded(&self) -> Encoded<'_> {
        let body = self.body();
        let (place, body) = if body.len() > sizes().chunk_bytes {
            (BodyPlace::Chunks { bytes: body.len() as u64 }, body)
        } else {
            (BodyPlace::Here, &[][..])
        };
        Encoded { head: self.encode(place), generation: self.generation, body }
    }

    /// Reads the record of `key`; none when the slot holds another's, or anything that does not belong together.
    pub fn read(data: &impl SharedData, slot: Slot, key: &[u8]) -> Option<Record> {
        let found = data.get(&record_key(slot))?;
        let (mut record, place) = Record::decode(data, found.bytes)?;
        // Another key with the same fingerprint, or the former owner of a reused way (I5, M15).
        if record.key != key {
            return None;
        }
        if let (BodyPlace::Chunks { bytes }, Content::Response(response)) = (place, &mut record.content) {
            response.body = read_chunks(data, slot, record.generation, usize::try_from(bytes).ok()?)?.into();
        }
        Some(record)
    }

    /// Reads whatever record a slot holds, to look at it: a body that lies in chunks is left out. With the length of
    /// the body.
    pub fn peek(data: &impl SharedData, slot: Slot) -> Option<(Record, u64)> {
        let (record, place) = Record::decode(data, data.get(&record_key(slot))?.bytes)?;
        let bytes = match place {
            BodyPlace::Here => record.body().len() as u64,
            BodyPlace::Chunks { bytes } => bytes,
        };
        Some((record, bytes))
    }

    /// Empties a slot in which so many bytes were. Only the owner of the flight that reserved it may do so.
    ///
    /// Returns what the way is then.
    pub fn erase(data: &impl SharedData, slot: Slot, before: u64) -> Way {
        data.set(&record_key(slot), &[]);
        empty_chunks(data, slot, 0, before);
        Way { bytes: EMPTY_BYTES, ..Way::default() }
    }

    fn body(&self) -> &[u8] {
        match &self.content {
            Content::Response(response) => &response.body,
            Content::Variants(_) | Content::Search(_) => &[],
        }
    }

    fn encode(&self, body: BodyPlace) -> Vec<u8> {
        let kind = match &self.content {
            Content::Response(r) => Kind::Response(Facts {
                stored: Cow::Borrowed(&r.stored),
                uri: &r.uri,
                tags: Cow::Borrowed(&r.tags),
                route: r.route,
            }),
            Content::Variants(variants) => Kind::Variants(Cow::Borrowed(variants)),
            Content::Search(search) => Kind::Search(Cow::Borrowed(search)),
        };
        let Record { key, generation, stamp, asked, .. } = self;
        let head = Head { key, generation: *generation, stamp: *stamp, asked: *asked, body, kind };
        let here = if matches!(body, BodyPlace::Here) { self.body() } else { &[] };
        let mut value = Vec::with_capacity(SEAL + PREFIX + HEAD_USUAL + here.len());
        value.extend_from_slice(&[0; SEAL + PREFIX]);
        // Serialising into memory cannot fail; an empty value is a miss.
        let Ok(mut value) = postcard::to_extend(&head, value) else { return Vec::new() };
        let len = value.len().saturating_sub(SEAL + PREFIX) as u32;
        if let Some([layout, place @ ..]) = value.get_mut(SEAL..SEAL + PREFIX) {
            *layout = LAYOUT;
            place.copy_from_slice(&len.to_le_bytes());
        }
        value.extend_from_slice(here);
        seal(value)
    }

    fn decode(data: &impl SharedData, bytes: Vec<u8>) -> Option<(Record, BodyPlace)> {
        let mut reader = Reader::new(unsealed(data, &bytes)?);
        if reader.u8()? != LAYOUT {
            return None;
        }
        let len = reader.u32()? as usize;
        let Head { key, generation, stamp, asked, body, kind } =
            postcard::from_bytes(reader.bytes(len)?).ok()?;
        let start = bytes.len() - reader.rest().len();
        let key = key.to_vec();
        let content = match kind {
            Kind::Response(Facts { stored, uri, tags, route }) => {
                let (stored, uri, tags) = (stored.into_owned(), uri.to_vec(), tags.into_owned());
                let body = Body::behind(bytes, start);
                Content::Response(Box::new(Response { stored, uri, tags, route, body }))
            }
            Kind::Variants(variants) => Content::Variants(variants.into_owned()),
            Kind::Search(search) => Content::Search(search.into_owned()),
        };
        Some((Record { key, generation, stamp, asked, content }, body))
    }
}

/// Gives back the memory of chunks that a slot has no more use for: the keys stay, as keys do.
fn empty_chunks(data: &impl SharedData, slot: Slot, from: usize, before: u64) {
    // A body that lies behind its head comes with a chunk's size at most, and a head is small beside that.
    let chunks = usize::try_from(before).unwrap_or(0) / sizes().chunk_bytes + 1;
    let may_have = usize::from(slot.way) < LARGE_WAYS && before > sizes().chunk_bytes as u64;
    for n in (from..chunks).filter(|_| may_have) {
        data.set(&chunk_key(slot, n), &[]);
    }
}

fn record_key(slot: Slot) -> String {
    shared_key("r", &[slot.set, slot.way.into()])
}

fn chunk_key(slot: Slot, n: usize) -> String {
    shared_key("c", &[slot.set, slot.way.into(), n as u32])
}

fn read_chunks(data: &impl SharedData, slot: Slot, generation: u64, bytes: usize) -> Option<Vec<u8>> {
    let mut body = Vec::new();
    for n in 0..bytes.div_ceil(sizes().chunk_bytes) {
        let found = data.get(&chunk_key(slot, n))?;
        let mut chunk = Reader::new(unsealed(data, &found.bytes)?);
        // A later record of this way may have overwritten the chunk, but not yet the record (I5, M07).
        if chunk.u64()? != generation {
            return None;
        }
        if n == 0 {
            body.reserve_exact(bytes);
        }
        body.extend_from_slice(chunk.rest());
    }
    (body.len() == bytes).then_some(body)
}

/// The bytes of a checksum.
const SEAL: usize = 8;

/// The value with a checksum of all else in its first bytes, which are left free for it.
fn seal(mut value: Vec<u8>) -> Vec<u8> {
    if let Some((seal, rest)) = value.split_first_chunk_mut() {
        *seal = xxh3_64(rest).to_le_bytes();
    }
    value
}

/// What stands behind a checksum that is right; nothing where the value was emptied, or is damaged.
fn unsealed<'a>(data: &impl SharedData, value: &'a [u8]) -> Option<&'a [u8]> {
    let (seal, rest) = value.split_first_chunk().unwrap_or((&[0; SEAL], &[]));
    let is_right = xxh3_64(rest).to_le_bytes() == *seal;
    if !is_right && !value.is_empty() {
        data.found_damaged();
    }
    is_right.then_some(rest)
}

#[cfg(test)]
pub(crate) mod tests {
    use super::*;
    use crate::http::Fields;
    use crate::store::Memory;
    #[cfg(all(target_arch = "wasm32", target_os = "unknown"))]
    use wasm_bindgen_test::wasm_bindgen_test as test;

    const SLOT: Slot = Slot { set: 1, way: 1 };

    fn record(key: &[u8], body: Vec<u8>) -> Record {
        let stored = StoredResponse {
            status: 200,
            fields: Fields::from_iter([("etag", "\"a\"")]),
            vary: vec!["accept".into()],
            ..StoredResponse::default()
        };
        let route = Some(TakenRoute { name: 1, destination: Some(2) });
        let response = Response { stored, uri: b"h/p".to_vec(), tags: Vec::new(), route, body: body.into() };
        let content = Content::Response(Box::new(response));
        Record { key: key.to_vec(), generation: 7, stamp: 3, asked: Monotonic(9), content }
    }

    fn write(data: &Memory, record: &Record) -> u64 {
        let encoded = record.encoded();
        encoded.write(data, SLOT, 0);
        encoded.bytes()
    }

    #[test]
    fn a_small_record_gives_back_the_memory_of_a_large_one() {
        let data = Memory::default();
        let large = write(&data, &record(b"k", vec![7; 3 * CHUNK_BYTES]));
        let small = record(b"l", vec![7; 5]);
        small.encoded().write(&data, SLOT, large);
        let left: usize = (0..3).map(|n| data.get(&chunk_key(SLOT, n)).unwrap().bytes.len()).sum();
        assert_eq!(left, 0);
        assert_eq!(Record::read(&data, SLOT, b"l"), Some(small));
    }

    #[test]
    fn a_record_round_trips_whatever_the_size_of_its_body() {
        for len in [0, 1, CHUNK_BYTES, CHUNK_BYTES + 1, 3 * CHUNK_BYTES + 5] {
            let data = Memory::default();
            let written = record(b"k", vec![7; len]);
            let taken = write(&data, &written);
            assert!(taken as usize > len);
            assert_eq!(Record::read(&data, SLOT, b"k"), Some(written));
            assert_eq!(Record::read(&data, SLOT, b"other"), None);
            let (seen, bytes) = Record::peek(&data, SLOT).unwrap();
            assert_eq!((&seen.key[..], bytes), (&b"k"[..], len as u64));
            Record::erase(&data, SLOT, taken);
            assert_eq!(Record::read(&data, SLOT, b"k"), None);
        }
    }

    #[test]
    fn a_chunk_of_another_generation_is_a_miss() {
        let data = Memory::default();
        let old = record(b"k", vec![1; 2 * CHUNK_BYTES]);
        write(&data, &old);
        let chunk = data.get(&shared_key("c", &[1, 1, 1])).unwrap();
        let new = Record { generation: 8, ..record(b"k", vec![2; 2 * CHUNK_BYTES]) };
        write(&data, &new);
        data.set(&shared_key("c", &[1, 1, 1]), &chunk.bytes);
        assert_eq!(Record::read(&data, SLOT, b"k"), None);
    }

    #[test]
    fn no_damage_is_ever_served() {
        let data = Memory::default();
        write(&data, &record(b"k", b"body".to_vec()));
        let whole = data.get(&shared_key("r", &[1, 1])).unwrap().bytes;
        for at in 0..whole.len() {
            let mut damaged = whole.clone();
            damaged[at] ^= 1;
            data.set(&shared_key("r", &[1, 1]), &damaged);
            assert_eq!(Record::read(&data, SLOT, b"k"), None, "byte {at}");
            data.set(&shared_key("r", &[1, 1]), &whole[..at]);
            assert_eq!(Record::read(&data, SLOT, b"k"), None, "cut at {at}");
        }
        // A value of no length is one that was emptied.
        assert_eq!(data.damaged.get() as usize, 2 * whole.len() - 1);
    }
}

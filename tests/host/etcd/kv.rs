//! Calls with one request and one answer: keys, compaction, leases.

use super::messages::*;
use super::protobuf::Message;
use super::refusal::{self, Refusal};
use super::roles::User;
use super::store::{Keys, Store, Write};

/// `--max-request-bytes`.
const REQUEST_BYTES_MAX: usize = 3 << 19;
/// What gRPC takes of one message: half a mebibyte more.
const MESSAGE_BYTES_MAX: usize = 1 << 21;
/// `--max-txn-ops`.
const OPERATIONS_MAX: usize = 128;

/// Who asks, when, and what etcd has to say of itself.
pub struct Caller<'a> {
    pub user: &'a User,
    pub now: u64,
    /// The alarm NOSPACE: the quota is used up.
    pub no_space: bool,
    pub header: ResponseHeader,
}

/// Answers a call.
pub fn answer(store: &mut Store, by: &Caller<'_>, method: &str, request: &[u8]) -> Result<Vec<u8>, Refusal> {
    if request.len() > MESSAGE_BYTES_MAX {
        let text =
            format!("grpc: received message larger than max ({} vs. {MESSAGE_BYTES_MAX})", request.len());
        return refusal::refuse(8, &text);
    }
    match method {
        "/etcdserverpb.KV/Range" => {
            range(store, by, read(request)?).map(|answer| with(by, store, answer, |a| &mut a.header))
        }
        "/etcdserverpb.KV/Put" => {
            fits(request)?;
            put(store, by, read(request)?).map(|answer| with(by, store, answer, |a| &mut a.header))
        }
        "/etcdserverpb.KV/DeleteRange" => {
            delete(store, by, read(request)?).map(|answer| with(by, store, answer, |a| &mut a.header))
        }
        "/etcdserverpb.KV/Txn" => {
            fits(request)?;
            txn(store, by, read(request)?).map(|answer| with(by, store, answer, |a| &mut a.header))
        }
        "/etcdserverpb.KV/Compact" => {
            let request: CompactionRequest = read(request)?;
            store.compact(request.revision)?;
            Ok(with(by, store, CompactionResponse::default(), |a| &mut a.header))
        }
        "/etcdserverpb.Lease/LeaseGrant" => {
            let request: LeaseGrantRequest = read(request)?;
            if by.no_space {
                return refusal::no_space();
            }
            let (id, ttl) = store.grant(request.id, request.ttl, by.now)?;
            Ok(with(by, store, LeaseGrantResponse { id, ttl, ..Default::default() }, |a| &mut a.header))
        }
        "/etcdserverpb.Lease/LeaseRevoke" => {
            let request: LeaseRevokeRequest = read(request)?;
            by.user.may_write_all(store.keys_of(request.id))?;
            store.revoke(request.id)?;
            Ok(with(by, store, LeaseRevokeResponse::default(), |a| &mut a.header))
        }
        _ => unknown(method),
    }
}

/// What a method that there is not is answered.
pub fn unknown<T>(method: &str) -> Result<T, Refusal> {
    let (service, name) = method.trim_start_matches('/').split_once('/').unwrap_or((method, ""));
    match service.strip_prefix("etcdserverpb.") {
        Some("KV" | "Lease" | "Watch") => {
            refusal::refuse(12, &format!("unknown method {name} for service {service}"))
        }
        _ => refusal::refuse(12, &format!("unknown service {service}")),
    }
}

/// Reads a request. One that asks for what is not emulated ends the test.
pub fn read<M: Message>(bytes: &[u8]) -> Result<M, Refusal> {
    match M::decode_known(bytes) {
        Ok(message) => Ok(message),
        Err(what) if what.ends_with("that is not emulated") => panic!("{what}"),
        Err(what) => refusal::refuse(13, &format!("grpc: error unmarshalling request: {what}")),
    }
}

fn with<M: Message>(
    by: &Caller<'_>,
    store: &Store,
    mut answer: M,
    header: fn(&mut M) -> &mut Option<ResponseHeader>,
) -> Vec<u8> {
    *header(&mut answer) = Some(ResponseHeader { revision: store.revision, ..by.header.clone() });
    answer.encode()
}

/// The header of an answer within a transaction's.
fn inner(revision: i64) -> Option<ResponseHeader> {
    Some(ResponseHeader { revision, ..ResponseHeader::default() })
}

fn fits(request: &[u8]) -> Result<(), Refusal> {
    if request.len() > REQUEST_BYTES_MAX {
        refusal::refuse(3, "etcdserver: request is too large")
    } else {
        Ok(())
    }
}

fn range(store: &Store, by: &Caller<'_>, request: RangeRequest) -> Result<RangeResponse, Refusal> {
    check_range(by, &request)?;
    find(store, &request)
}

fn check_range(by: &Caller<'_>, request: &RangeRequest) -> Result<(), Refusal> {
    if request.key.is_empty() {
        return refusal::no_key();
    }
    by.user.may_read(&Keys::new(&request.key, &request.range_end))
}

fn find(store: &Store, request: &RangeRequest) -> Result<RangeResponse, Refusal> {
    store.check_revision(request.revision)?;
    let keys = Keys::new(&request.key, &request.range_end);
    let mut kvs = if request.revision > 0 { store.at(request.revision, &keys) } else { store.now(&keys) };
    let count = kvs.len();
    if request.count_only {
        kvs.clear();
    }
    if request.limit > 0 {
        kvs.truncate(request.limit as usize);
    }
    let more = !request.count_only && kvs.len() < count;
    if request.keys_only {
        kvs.iter_mut().for_each(|kv| kv.value.clear());
    }
    Ok(RangeResponse { header: None, kvs, more, count: count as i64 })
}

fn put(store: &mut Store, by: &Caller<'_>, request: PutRequest) -> Result<PutResponse, Refusal> {
    check_put(store, by, &request)?;
    if by.no_space {
        return refusal::no_space();
    }
    store.write(|write| write.put(&request.key, &request.value, request.lease))?;
    Ok(PutResponse::default())
}

fn check_put(store: &Store, by: &Caller<'_>, request: &PutRequest) -> Result<(), Refusal> {
    if request.key.is_empty() {
        return refusal::no_key();
    }
    by.user.may_write(&Keys::new(&request.key, b""))?;
    // Who may attach a key to a lease may end the others that live by it.
    by.user.may_write_all(if request.lease == 0 { Vec::new() } else { store.keys_of(request.lease) })
}

fn delete(
    store: &mut Store,
    by: &Caller<'_>,
    request: DeleteRangeRequest,
) -> Result<DeleteRangeResponse, Refusal> {
    check_delete(by, &request)?;
    let deleted = store.write(|write| write.delete(&Keys::new(&request.key, &request.range_end)));
    Ok(DeleteRangeResponse { header: None, deleted })
}

fn check_delete(by: &Caller<'_>, request: &DeleteRangeRequest) -> Result<(), Refusal> {
    if request.key.is_empty() {
        return refusal::no_key();
    }
    by.user.may_write(&Keys::new(&request.key, &request.range_end))
}

fn txn(store: &mut Store, by: &Caller<'_>, request: TxnRequest) -> Result<TxnResponse, Refusal> {
    check_txn(store, by, &request)?;
    let succeeded = request.compare.iter().all(|compare| holds(compare, store.get(&compare.key)));
    let operations = if succeeded { &request.success } else { &request.failure };
    for operation in operations {
        if let Some(put) = &operation.put
            && put.lease != 0
            && !store.leases.contains_key(&put.lease)
        {
            return refusal::no_lease();
        }
        if let Some(range) = &operation.range {
            store.check_revision(range.revision)?;
        }
    }
    let responses = store.write(|write| {
        operations.iter().map(|operation| perform(write, operation)).collect::<Result<Vec<_>, _>>()
    })?;
    Ok(TxnResponse { header: None, succeeded, responses })
}

fn check_txn(store: &Store, by: &Caller<'_>, request: &TxnRequest) -> Result<(), Refusal> {
    let lengths = [request.compare.len(), request.success.len(), request.failure.len()];
    if lengths.iter().any(|length| *length > OPERATIONS_MAX) {
        return refusal::refuse(3, "etcdserver: too many operations in txn request");
    }
    let branches = [&request.success, &request.failure];
    if branches.iter().any(|branch| touches_twice(branch)) {
        return refusal::refuse(3, "etcdserver: duplicate key given in txn request");
    }
    for compare in &request.compare {
        if compare.key.is_empty() {
            return refusal::no_key();
        }
        by.user.may_read(&Keys::new(&compare.key, b""))?;
    }
    for operation in branches.into_iter().flatten() {
        operation.range.as_ref().map_or(Ok(()), |range| check_range(by, range))?;
        operation.put.as_ref().map_or(Ok(()), |put| check_put(store, by, put))?;
        operation.delete_range.as_ref().map_or(Ok(()), |delete| check_delete(by, delete))?;
        if by.no_space && operation.put.is_some() {
            return refusal::no_space();
        }
    }
    Ok(())
}

/// Whether a key is put twice, or put and deleted.
fn touches_twice(branch: &[RequestOp]) -> bool {
    let puts: Vec<_> =
        branch.iter().filter_map(|operation| operation.put.as_ref()).map(|put| &put.key).collect();
    let deletes = branch.iter().filter_map(|operation| operation.delete_range.as_ref());
    let deleted = deletes
        .map(|delete| Keys::new(&delete.key, &delete.range_end))
        .any(|keys| puts.iter().any(|key| keys.have(key)));
    deleted || puts.iter().enumerate().any(|(at, key)| puts[..at].contains(key))
}

fn holds(compare: &Compare, kv: Option<KeyValue>) -> bool {
    // An absent key has no value that could be compared, and zeros for the rest.
    if compare.target == 3 && kv.is_none() {
        return false;
    }
    let kv = kv.unwrap_or_default();
    let order = match compare.target {
        0 => kv.version.cmp(&compare.version),
        1 => kv.create_revision.cmp(&compare.create_revision),
        2 => kv.mod_revision.cmp(&compare.mod_revision),
        3 => kv.value.cmp(&compare.value),
        _ => kv.lease.cmp(&compare.lease),
    };
    match compare.result {
        0 => order.is_eq(),
        1 => order.is_gt(),
        2 => order.is_lt(),
        _ => order.is_ne(),
    }
}

fn perform(write: &mut Write<'_>, operation: &RequestOp) -> Result<ResponseOp, Refusal> {
    let mut response = ResponseOp::default();
    if let Some(range) = &operation.range {
        let mut found = find(write.store, range)?;
        found.header = inner(write.seen_revision());
        response.range = Some(found);
    }
    if let Some(put) = &operation.put {
        write.put(&put.key, &put.value, put.lease)?;
        response.put = Some(PutResponse { header: inner(write.seen_revision()) });
    }
    if let Some(delete) = &operation.delete_range {
        let deleted = write.delete(&Keys::new(&delete.key, &delete.range_end));
        response.delete_range = Some(DeleteRangeResponse { header: inner(write.seen_revision()), deleted });
    }
    Ok(response)
}

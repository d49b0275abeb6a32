//! The messages of etcd's API v3 (`rpc.proto`, `kv.proto`), as far as a fleet speaks them.

use super::protobuf::messages;

messages! {
    ResponseHeader { 1 cluster_id: u64, 2 member_id: u64, 3 revision: i64, 4 raft_term: u64 }
    KeyValue {
        1 key: Vec<u8>, 2 create_revision: i64, 3 mod_revision: i64, 4 version: i64, 5 value: Vec<u8>, 6 lease: i64,
    }
    /// `kind` is 0 for a put, 1 for a delete.
    Event { 1 kind: u64, 2 kv: Option<KeyValue> }

    RangeRequest {
        1 key: Vec<u8>, 2 range_end: Vec<u8>, 3 limit: i64, 4 revision: i64, 7 serializable: bool, 8 keys_only: bool,
        9 count_only: bool,
    }
    RangeResponse { 1 header: Option<ResponseHeader>, 2 kvs: Vec<KeyValue>, 3 more: bool, 4 count: i64 }
    PutRequest { 1 key: Vec<u8>, 2 value: Vec<u8>, 3 lease: i64 }
    PutResponse { 1 header: Option<ResponseHeader> }
    DeleteRangeRequest { 1 key: Vec<u8>, 2 range_end: Vec<u8> }
    DeleteRangeResponse { 1 header: Option<ResponseHeader>, 2 deleted: i64 }
    /// `result`: 0 equal, 1 greater, 2 less, 3 not equal. `target`: 0 version, 1 create, 2 mod, 3 value, 4 lease.
    Compare {
        1 result: u64, 2 target: u64, 3 key: Vec<u8>, 4 version: i64, 5 create_revision: i64, 6 mod_revision: i64,
        7 value: Vec<u8>, 8 lease: i64,
    }
    RequestOp {
        1 range: Option<RangeRequest>, 2 put: Option<PutRequest>, 3 delete_range: Option<DeleteRangeRequest>,
    }
    ResponseOp {
        1 range: Option<RangeResponse>, 2 put: Option<PutResponse>, 3 delete_range: Option<DeleteRangeResponse>,
    }
    TxnRequest { 1 compare: Vec<Compare>, 2 success: Vec<RequestOp>, 3 failure: Vec<RequestOp> }
    TxnResponse { 1 header: Option<ResponseHeader>, 2 succeeded: bool, 3 responses: Vec<ResponseOp> }
    CompactionRequest { 1 revision: i64, 2 physical: bool }
    CompactionResponse { 1 header: Option<ResponseHeader> }

    WatchRequest {
        1 create: Option<WatchCreateRequest>, 2 cancel: Option<WatchCancelRequest>,
        3 progress: Option<WatchProgressRequest>,
    }
    WatchCreateRequest {
        1 key: Vec<u8>, 2 range_end: Vec<u8>, 3 start_revision: i64, 7 watch_id: i64, 8 fragment: bool,
    }
    WatchCancelRequest { 1 watch_id: i64 }
    WatchProgressRequest {}
    WatchResponse {
        1 header: Option<ResponseHeader>, 2 watch_id: i64, 3 created: bool, 4 canceled: bool, 5 compact_revision: i64,
        6 cancel_reason: String, 7 fragment: bool, 11 events: Vec<Event>,
    }

    LeaseGrantRequest { 1 ttl: i64, 2 id: i64 }
    LeaseGrantResponse { 1 header: Option<ResponseHeader>, 2 id: i64, 3 ttl: i64, 4 error: String }
    LeaseRevokeRequest { 1 id: i64 }
    LeaseRevokeResponse { 1 header: Option<ResponseHeader> }
    LeaseKeepAliveRequest { 1 id: i64 }
    LeaseKeepAliveResponse { 1 header: Option<ResponseHeader>, 2 id: i64, 3 ttl: i64 }
}

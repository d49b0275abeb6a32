//! What users may do is the same in the emulated etcd and in a real one.

use std::time::Duration;

use super::RealEtcd;
use super::grpc::Client;
use crate::host::etcd::messages::*;
use crate::host::etcd::protobuf::{Message, messages};
use crate::host::etcd::roles::Grant;
use crate::host::etcd::{Delivery, Etcd};

messages! {
    AuthenticateRequest { 1 name: String, 2 password: String }
    AuthenticateResponse { 1 header: Option<ResponseHeader>, 2 token: String }
}

const PATIENCE: Duration = Duration::from_secs(10);
/// Those with a role, and one without.
const USERS: [&str; 4] = ["root", "member", "reader", "other"];
const PASSWORD: &str = "secret";

/// What is asked as each of them, in this order.
fn requests() -> Vec<(&'static str, Vec<u8>)> {
    let range = |key: &str, end: &str| {
        RangeRequest { key: key.into(), range_end: end.into(), ..RangeRequest::default() }.encode()
    };
    let put = |key: &str, lease: i64| PutRequest { key: key.into(), value: b"x".into(), lease }.encode();
    let get = RequestOp {
        range: Some(RangeRequest { key: b"/l/log/id".into(), ..RangeRequest::default() }),
        ..RequestOp::default()
    };
    let set = RequestOp {
        put: Some(PutRequest { key: b"/l/log/id".into(), value: b"tag".into(), lease: 0 }),
        ..RequestOp::default()
    };
    let absent = Compare { target: 1, key: b"/l/log/id".into(), ..Compare::default() };
    let txn = |success: &RequestOp, failure: &RequestOp| {
        let request = TxnRequest {
            compare: vec![absent.clone()],
            success: vec![success.clone()],
            failure: vec![failure.clone()],
        };
        request.encode()
    };
    vec![
        ("KV/Range", range("/l/log/id", "/l/log/j\0")),
        ("KV/Range", range("/l/", "/l0")),
        ("KV/Range", range("/other", "")),
        ("KV/Range", range("\0", "\0")),
        ("KV/Range", range("/l/log/", "/z")),
        ("KV/Put", put("/l/log/j", 0)),
        ("KV/Put", put("/l/m/a", 70)),
        ("KV/Put", put("/other", 0)),
        ("KV/Put", put("/l/m/b", 71)),
        ("KV/DeleteRange", DeleteRangeRequest { key: b"/l/none".into(), range_end: Vec::new() }.encode()),
        ("KV/DeleteRange", DeleteRangeRequest { key: b"/".into(), range_end: b"0".into() }.encode()),
        ("KV/Txn", txn(&set, &get)),
        ("KV/Txn", txn(&get, &get)),
        ("Lease/LeaseGrant", LeaseGrantRequest { ttl: 60, id: 80 }.encode()),
        ("Lease/LeaseRevoke", LeaseRevokeRequest { id: 80 }.encode()),
        ("Lease/LeaseRevoke", LeaseRevokeRequest { id: 71 }.encode()),
        ("KV/Compact", CompactionRequest { revision: 1, physical: false }.encode()),
    ]
}

/// What administrators leave behind: two leases with keys, of which one holds a key that no member may write.
fn prepare(mut ask: impl FnMut(&str, Vec<u8>)) {
    for id in [70, 71] {
        ask("Lease/LeaseGrant", LeaseGrantRequest { ttl: 600, id }.encode());
    }
    ask("KV/Put", PutRequest { key: b"/secret".into(), value: b"x".into(), lease: 71 }.encode());
}

/// What comes of it: nothing but the status and the text where it is refused.
fn outcome(answer: Result<Vec<u8>, (u32, String)>) -> String {
    answer.map_or_else(|(status, text)| format!("{status} {text}"), |_| "done".into())
}

#[test]
fn users_may_do_the_same_in_both() {
    let real = RealEtcd::hasty();
    let mut emulated = Etcd::new();
    prepare(|method, request| {
        let method = format!("/etcdserverpb.{method}");
        let mut client = Client::connect(real.address(0)).unwrap();
        client.call(&method, &request, PATIENCE).unwrap();
        emulated.unary(0, "root", &method, &request).unwrap();
    });
    add_users(&real, &mut emulated);
    let mut client = Client::connect(real.address(0)).unwrap();
    for user in USERS.into_iter().skip(1).chain(["", "root"]) {
        let token = (!user.is_empty()).then(|| authenticate(&mut client, user));
        for (at, (method, request)) in requests().into_iter().enumerate() {
            let method = format!("/etcdserverpb.{method}");
            let said = outcome(client.call_as(token.as_deref(), &method, &request, PATIENCE));
            let emulated = outcome(emulated.unary(0, user, &method, &request));
            assert_eq!(emulated, said, "{user:?}: {at} {method}");
        }
        watches(&mut client, token.as_deref(), user, &mut emulated);
    }
}

/// A watch that is not permitted is created and canceled in one message.
fn watches(client: &mut Client, token: Option<&str>, user: &str, emulated: &mut Etcd) {
    for key in ["/l/log/j", "/other"] {
        let create = WatchCreateRequest { key: key.into(), ..WatchCreateRequest::default() };
        let create = WatchRequest { create: Some(create), ..WatchRequest::default() }.encode();
        let method = "/etcdserverpb.Watch/Watch";
        let metadata: Vec<_> = token.iter().map(|token| ("token", *token)).collect();
        let mut stream = client.open(method, &metadata);
        client.send(&mut stream, &create);
        let said = client.next(&stream, PATIENCE).expect("an answer");
        let own = emulated.open(0, user, method, &[]);
        emulated.message(0, own, &create);
        let (_, own) = emulated.poll(0).into_iter().find(|(stream, _)| *stream == own).expect("an answer");
        let verdict = |delivery: &Delivery| {
            let told: WatchResponse = delivery.read();
            // The words differ between 3.4 and 3.5 where no name was given at all.
            let denied =
                told.cancel_reason.contains("permission denied") || told.cancel_reason.contains("user name");
            (told.created, told.canceled, denied)
        };
        assert_eq!(verdict(&own), verdict(&said), "{user:?} {key}");
    }
}

fn add_users(real: &RealEtcd, emulated: &mut Etcd) {
    for (role, permission, prefix) in [("member", "readwrite", "/l/"), ("reader", "read", "/l/log/")] {
        real.ctl(&["role", "add", role]);
        real.ctl(&["role", "grant-permission", role, permission, "--prefix", prefix]);
    }
    for user in USERS {
        real.ctl(&["user", "add", &format!("{user}:{PASSWORD}")]);
        if user != "other" {
            real.ctl(&["user", "grant-role", user, user]);
        }
    }
    real.ctl(&["auth", "enable"]);
    emulated.user_add("root", &[Grant::readwrite("")]);
    emulated.user_add("member", &[Grant::readwrite("/l/")]);
    emulated.user_add("reader", &[Grant::read("/l/log/")]);
    emulated.user_add("other", &[]);
}

fn authenticate(client: &mut Client, user: &str) -> String {
    let request = AuthenticateRequest { name: user.into(), password: PASSWORD.into() };
    let answer = client.call("/etcdserverpb.Auth/Authenticate", &request.encode(), PATIENCE).unwrap();
    AuthenticateResponse::decode(&answer).unwrap().token
}

//! Bytes that etcd 3.5.1 was asked and answered (3.4.23: the same), in one conversation.

use std::fmt::Write;

use super::messages::*;
use super::protobuf::Message;
use super::roles::Grant;
use super::{Delivery, Etcd, StreamId};

/// `H`, and the revision in hexadecimal digits: a header.
const HEADER: &str = "0a1a08f99db6b4e198cfe0d60110d4eba49298c9fdf7b50118";
/// The keys from `/l/log/id` to `/l/log/j`.
const BOTH: &str = "0a092f6c2f6c6f672f696412092f6c2f6c6f672f6a00";
const WATCH: &str = "/etcdserverpb.Watch/Watch";
const FUTURE: &str = "11 etcdserver: mvcc: required revision is a future revision";
const COMPACTED: &str = "11 etcdserver: mvcc: required revision has been compacted";
const TWICE: &str = "3 etcdserver: duplicate key given in txn request";

fn bytes(hex: &str) -> Vec<u8> {
    let digits = match hex.split_once('H') {
        None => hex.to_owned(),
        Some((before, rest)) => format!("{before}{HEADER}{}2002{}", &rest[..2], &rest[2..]),
    };
    (0..digits.len()).step_by(2).map(|at| u8::from_str_radix(&digits[at..at + 2], 16).unwrap()).collect()
}

fn hex(bytes: &[u8]) -> String {
    bytes.iter().fold(String::new(), |mut text, byte| {
        write!(text, "{byte:02x}").unwrap();
        text
    })
}

/// What a call is answered: bytes, or a status and its text.
fn say(etcd: &mut Etcd, method: &str, request: &[u8]) -> String {
    match etcd.unary(etcd.now, "gw-a", &format!("/etcdserverpb.{method}"), request) {
        Ok(answer) => hex(&answer),
        Err((status, text)) => format!("{status} {text}"),
    }
}

fn check(etcd: &mut Etcd, method: &str, request: &str, answer: &str) {
    let expected = if answer.contains(' ') { answer.to_owned() } else { hex(&bytes(answer)) };
    assert_eq!(say(etcd, method, &bytes(request)), expected, "{method} {request}");
}

/// What has come on a stream within this time.
fn heard(etcd: &mut Etcd, stream: StreamId, ms: u64) -> Vec<String> {
    let until = etcd.now + ms;
    let said = |delivery| match delivery {
        Delivery::Message(message) => hex(&message),
        Delivery::Closed(status, text) => format!("{status} {text}"),
    };
    etcd.poll(until).into_iter().filter(|(id, _)| *id == stream).map(|(_, delivery)| said(delivery)).collect()
}

fn ask(etcd: &mut Etcd, stream: StreamId, request: &str, told: &[&str]) {
    etcd.message(etcd.now, stream, &bytes(request));
    hears(etcd, stream, told);
}

fn hears(etcd: &mut Etcd, stream: StreamId, told: &[&str]) {
    let expected: Vec<_> = told.iter().map(|told| hex(&bytes(told))).collect();
    assert_eq!(heard(etcd, stream, 400), expected);
}

/// As far as the third Put.
fn begun() -> Etcd {
    let mut etcd = Etcd::new();
    for (request, answer) in [
        ("0a082f6c2f6c6f672f6a12036f6e65", "H03"),
        ("0a082f6c2f6c6f672f6a120374776f", "H04"),
        ("0a082f6c2f6c6f672f6a12057468726565", "H05"),
    ] {
        if etcd.revision() == 1 {
            check(&mut etcd, "KV/Range", BOTH, "H01");
            let join = "0a0d10011a092f6c2f6c6f672f6964121212100a092f6c2f6c6f672f69641203746167120c0a0a0a082f6c2f6c6f\
                        672f6a1a0d0a0b0a092f6c2f6c6f672f69641a0c0a0a0a082f6c2f6c6f672f6a";
            check(&mut etcd, "KV/Txn", join, "H0210011a0612040a0218021a060a040a021802");
            let taken =
                "H021a200a1e0a02180212160a092f6c2f6c6f672f69641002180220012a0374616720011a060a040a021802";
            check(&mut etcd, "KV/Txn", join, taken);
        }
        check(&mut etcd, "KV/Put", request, answer);
    }
    etcd
}

/// As far as revision 11, without the watches.
fn grown() -> Etcd {
    let mut etcd = begun();
    for (method, request, answer) in [
        ("KV/Put", "0a082f6c2f6c6f672f6a1204666f7572", "H06"),
        ("KV/DeleteRange", "0a082f6c2f6c6f672f6a", "H071001"),
        ("KV/DeleteRange", "0a082f6c2f6c6f672f6a", "H07"),
        ("KV/Put", "0a082f6c2f6c6f672f6a120466697665", "H08"),
        ("KV/Put", "0a082f6c2f6c6f672f6a1203736978", "H09"),
        (
            "KV/Txn",
            "1210120e0a092f6c2f6c6f672f6961120161121312110a082f6c2f6c6f672f6a1205736576656e",
            "H0a10011a0612040a02180a1a0612040a02180a",
        ),
        (
            "KV/Txn",
            "120d1a0b0a092f6c2f6c6f672f6961121312110a082f6c2f6c6f672f6a12056569676874",
            "H0b10011a081a060a02180b10011a0612040a02180b",
        ),
    ] {
        check(&mut etcd, method, request, answer);
    }
    etcd
}

#[test]
fn messages_are_read_and_written_as_etcd_writes_them() {
    fn round<M: Message>(text: &str) {
        assert_eq!(hex(&M::decode_known(&bytes(text)).unwrap().encode()), hex(&bytes(text)), "{}", M::NAME);
    }
    round::<RangeRequest>(BOTH);
    round::<RangeResponse>(
        "H0512160a092f6c2f6c6f672f69641002180220012a0374616712170a082f6c2f6c6f672f6a1003180520032a0574687265652002",
    );
    round::<RangeResponse>("H0c12130a062f6c2f6d2f61100c180c20012a0178304d2001");
    round::<TxnResponse>(
        "H021a200a1e0a02180212160a092f6c2f6c6f672f69641002180220012a0374616720011a060a040a021802",
    );
    round::<WatchResponse>("H0b10ffffffffffffffffff01");
    round::<WatchResponse>("H075a100801120c0a082f6c2f6c6f672f6a1807");
    round::<LeaseKeepAliveResponse>("H0c104d1802");
    assert_eq!(WatchResponse::decode(&bytes("H0b10ffffffffffffffffff01")).unwrap().watch_id, -1);
    let header = RangeResponse::decode(&bytes("H01")).unwrap().header.unwrap();
    assert_eq!((header.cluster_id, header.revision), (0xd6c1_3cc6_168d_8ef9, 1));
}

#[test]
fn fields_of_later_versions_are_left_out_and_broken_messages_are_refused() {
    let later = bytes("08014a0178710000000000000000f50100000000");
    assert_eq!(LeaseRevokeRequest::decode(&later).unwrap(), LeaseRevokeRequest { id: 1 });
    assert!(LeaseRevokeRequest::decode_known(&later).is_err());
    for broken in ["ff", "0a05", "0affffffffffffffffff01", "08", "0b", "ffffffffffffffffffffff"] {
        assert!(RangeRequest::decode(&bytes(broken)).is_err(), "{broken}");
    }
    assert!(RangeRequest::decode(&bytes("0801")).is_err(), "a number for a key");
    check(&mut Etcd::new(), "KV/Range", "ffff", "13 grpc: error unmarshalling request: unexpected EOF");
}

#[test]
#[should_panic(expected = "RangeRequest has a field 5 that is not emulated")]
fn what_is_not_emulated_ends_the_test() {
    let _ = say(&mut Etcd::new(), "KV/Range", &bytes("0a01782801"));
}

#[test]
fn ranges() {
    let mut etcd = begun();
    for (request, answer) in [
        (
            BOTH,
            "H0512160a092f6c2f6c6f672f69641002180220012a0374616712170a082f6c2f6c6f672f6a1003180520032a05746872656\
             52002",
        ),
        ("0a082f6c2f6c6f672f6a2003", "H0512150a082f6c2f6c6f672f6a1003180320012a036f6e652001"),
        ("0a082f6c2f6c6f672f6a2063", FUTURE),
        ("0a082f6c2f6c6f672f6a4001", "H0512100a082f6c2f6c6f672f6a1003180520032001"),
        ("0a082f6c2f6c6f672f6a4801", "H052001"),
        ("0a032f6c2f12032f6c301801", "H0512160a092f6c2f6c6f672f69641002180220012a0374616718012002"),
        (
            "0a0100120100",
            "H0512160a092f6c2f6c6f672f69641002180220012a0374616712170a082f6c2f6c6f672f6a1003180520032a05746872656\
             52002",
        ),
        ("0a00", "3 etcdserver: key is not provided"),
    ] {
        check(&mut etcd, "KV/Range", request, answer);
    }
    check(&mut etcd, "KV/Put", "120178", "3 etcdserver: key is not provided");
    check(&mut etcd, "Nope/Nope", "", "12 unknown service etcdserverpb.Nope");
    check(&mut etcd, "KV/Nope", "", "12 unknown method Nope for service etcdserverpb.KV");
}

#[test]
fn what_is_too_large_is_refused() {
    let mut etcd = begun();
    let put = |size| PutRequest { key: b"/l/log/j".into(), value: vec![b'x'; size], lease: 0 }.encode();
    assert_eq!(say(&mut etcd, "KV/Put", &put(1_600_000)), "3 etcdserver: request is too large");
    let larger = "8 grpc: received message larger than max (2200015 vs. 2097152)";
    assert_eq!(say(&mut etcd, "KV/Put", &put(2_200_000)), larger);
    assert_eq!(etcd.revision(), 5);
    assert!(say(&mut etcd, "KV/Put", &put(1_500_000)).len() < 100);
}

#[test]
fn transactions() {
    let mut etcd = grown();
    for (request, answer) in [
        ("120f120d0a082f6c2f6c6f672f6a120161120f120d0a082f6c2f6c6f672f6a120162", TWICE),
        ("120a12080a032f747412017a12071a050a032f7474", TWICE),
        ("120c1a0a0a032f6c2f12032f6c30120f120d0a082f6c2f6c6f672f6a120162", TWICE),
        ("0a0e10021a082f6c2f6c6f672f6a3005120f120d0a082f6c2f6c6f672f6a120161", "H0b"),
        ("0a15080010031a082f6c2f6c6f672f6a3a0565696768740a0e10001a082f6c2f6c6f672f6a2004", "H0b1001"),
        ("0a0c10031a062f6e6f6b65793a00", "H0b"),
        ("0a0a10001a062f6e6f6b6579", "H0b1001"),
        ("", "H0b1001"),
        ("120a1a080a062f6e6f6e6578", "H0b10011a061a040a02180b"),
    ] {
        check(&mut etcd, "KV/Txn", request, answer);
    }
    let many: Vec<_> = (0..129)
        .map(|at| RequestOp {
            put: Some(PutRequest { key: vec![b'q', at], ..PutRequest::default() }),
            ..RequestOp::default()
        })
        .collect();
    let many = TxnRequest { success: many, ..TxnRequest::default() }.encode();
    assert_eq!(say(&mut etcd, "KV/Txn", &many), "3 etcdserver: too many operations in txn request");
}

#[test]
fn watches_tell_of_the_past_and_of_what_happens() {
    let mut etcd = begun();
    let watch = etcd.open(0, "gw-a", WATCH, &[("hasleader", "true")]);
    ask(
        &mut etcd,
        watch,
        "0a1a0a092f6c2f6c6f672f696412092f6c2f6c6f672f6a0018034001",
        &[
            "H051801",
            "H055a1712150a082f6c2f6c6f672f6a1003180320012a036f6e655a1712150a082f6c2f6c6f672f6a1003180420022a037477\
             6f5a1912170a082f6c2f6c6f672f6a1003180520032a057468726565",
        ],
    );
    check(&mut etcd, "KV/Put", "0a082f6c2f6c6f672f6a1204666f7572", "H06");
    hears(&mut etcd, watch, &["H065a1812160a082f6c2f6c6f672f6a1003180620042a04666f7572"]);
    check(&mut etcd, "KV/DeleteRange", "0a082f6c2f6c6f672f6a", "H071001");
    hears(&mut etcd, watch, &["H075a100801120c0a082f6c2f6c6f672f6a1807"]);
    check(&mut etcd, "KV/DeleteRange", "0a082f6c2f6c6f672f6a", "H07");
    hears(&mut etcd, watch, &[]);
    check(&mut etcd, "KV/Put", "0a082f6c2f6c6f672f6a120466697665", "H08");
    hears(&mut etcd, watch, &["H085a1812160a082f6c2f6c6f672f6a1008180820012a0466697665"]);
    ask(&mut etcd, watch, "0a0c0a082f6c2f6c6f672f6a1864", &["H0810011801"]);
    ask(&mut etcd, watch, "0a0a0a082f6c2f6c6f672f6a", &["H0810021801"]);
    check(&mut etcd, "KV/Put", "0a082f6c2f6c6f672f6a1203736978", "H09");
    hears(
        &mut etcd,
        watch,
        &[
            "H095a1712150a082f6c2f6c6f672f6a1008180920022a03736978",
            "H0910025a1712150a082f6c2f6c6f672f6a1008180920022a03736978",
        ],
    );
    ask(&mut etcd, watch, "12020802", &["H0910022001"]);
    ask(&mut etcd, watch, "12020807", &[]);
    ask(&mut etcd, watch, "1a00", &["H0910ffffffffffffffffff01"]);
    ask(&mut etcd, watch, "", &[]);
    let taken = "H0910ffffffffffffffffff011801200132346d7663633a206475706c69636174652077617463682049442070726f76696465\
                 64206f6e2074686520576174636853747265616d";
    ask(&mut etcd, watch, "0a0c0a082f6c2f6c6f672f6a3801", &[taken]);
    let empty =
        "H0910ffffffffffffffffff0118012001321c6d7663633a20776174636865722072616e676520697320656d707479";
    ask(&mut etcd, watch, "0a060a0162120161", &[empty]);
    etcd.message(etcd.now, watch, b"\xff\xff");
    let spoilt = "13 grpc: failed to unmarshal the received message unexpected EOF";
    assert_eq!(heard(&mut etcd, watch, 0), [spoilt]);
}

#[test]
fn a_compacted_watch_is_created_and_then_canceled() {
    let mut etcd = grown();
    check(&mut etcd, "KV/Compact", "0807", "H0b");
    check(&mut etcd, "KV/Compact", "0807", COMPACTED);
    check(&mut etcd, "KV/Compact", "08bc05", FUTURE);
    check(&mut etcd, "KV/Range", "0a082f6c2f6c6f672f6a2006", COMPACTED);
    check(&mut etcd, "KV/Range", "0a082f6c2f6c6f672f6a2007", "H0b");
    let kept = "H0b12160a092f6c2f6c6f672f69641002180220012a037461672001";
    check(&mut etcd, "KV/Range", "0a092f6c2f6c6f672f69642007", kept);
    let watch = etcd.open(0, "gw-a", WATCH, &[]);
    let no_revision = "0a1808f99db6b4e198cfe0d60110d4eba49298c9fdf7b5012002";
    for (start, id) in [("01", ""), ("06", "1001")] {
        let create = format!("0a1a0a092f6c2f6c6f672f696412092f6c2f6c6f672f6a0018{start}4001");
        let told = [format!("H0b{id}1801"), format!("{no_revision}{id}20012807")];
        ask(&mut etcd, watch, &create, &told.each_ref().map(String::as_str));
    }
    for (start, id) in [("07", "1002"), ("08", "1003")] {
        let create = format!("0a1a0a092f6c2f6c6f672f696412092f6c2f6c6f672f6a0018{start}4001");
        let events = "5a1812160a082f6c2f6c6f672f6a1008180820012a04666976655a1712150a082f6c2f6c6f672f6a1008180920022a03\
                      7369785a1912170a082f6c2f6c6f672f6a1008180a20032a05736576656e5a1912170a082f6c2f6c6f672f6a1008180b\
                      20042a056569676874";
        let told = [format!("H0b{id}1801"), format!("H0b{id}{events}")];
        ask(&mut etcd, watch, &create, &told.each_ref().map(String::as_str));
    }
}

#[test]
fn the_past_comes_a_thousand_revisions_at_a_time_and_fragments_when_large() {
    let mut etcd = Etcd::new();
    for at in 0..2500 {
        etcd.put(0, "/p/j", at.to_string());
    }
    let watch = etcd.open(0, "gw-a", WATCH, &[]);
    let events = |etcd: &mut Etcd| -> Vec<(usize, bool)> {
        let told = etcd.poll(etcd.now + 400).into_iter().map(|(_, told)| told.read::<WatchResponse>());
        told.map(|told| (told.events.len(), told.fragment)).collect()
    };
    let create = |key: &str, fragment| {
        let create = WatchCreateRequest {
            key: key.into(),
            range_end: if key.ends_with('/') { b"/zzz".into() } else { Vec::new() },
            start_revision: 2,
            fragment,
            ..WatchCreateRequest::default()
        };
        WatchRequest { create: Some(create), ..WatchRequest::default() }.encode()
    };
    etcd.message(0, watch, &create("/p/", true));
    assert_eq!(events(&mut etcd), [(0, false), (1000, false), (1000, false), (500, false)]);
    for _ in 0..5 {
        etcd.put(etcd.now, "/big", "y".repeat(700_000));
    }
    events(&mut etcd);
    etcd.message(etcd.now, watch, &create("/big", true));
    assert_eq!(events(&mut etcd), [(0, false), (2, true), (2, true), (1, false)]);
    etcd.message(etcd.now, watch, &create("/big", false));
    assert_eq!(events(&mut etcd), [(0, false), (5, false)]);
}

#[test]
fn leases() {
    let mut etcd = grown();
    for (method, request, answer) in [
        ("Lease/LeaseGrant", "0802104d", "H0b104d1802"),
        ("Lease/LeaseGrant", "0802104d", "9 etcdserver: lease already exists"),
        ("Lease/LeaseGrant", "0880c8afa025", "11 etcdserver: too large lease TTL"),
        ("KV/Put", "0a062f6c2f6d2f61120178184d", "H0c"),
        ("KV/Put", "0a062f6c2f6d2f61120178184e", "5 etcdserver: requested lease not found"),
        ("KV/Txn", "120d120b0a042f702f6a12017a1805", "5 etcdserver: requested lease not found"),
        ("KV/Range", "0a052f6c2f6d2f12052f6c2f6d30", "H0c12130a062f6c2f6d2f61100c180c20012a0178304d2001"),
    ] {
        check(&mut etcd, method, request, answer);
    }
    let short = LeaseGrantRequest { ttl: 1, id: 0 }.encode();
    let granted = say(&mut etcd, "Lease/LeaseGrant", &short);
    assert_eq!(LeaseGrantResponse::decode(&bytes(&granted)).unwrap().ttl, 2, "no lease is shorter");
    let alive = etcd.open(etcd.now, "gw-a", "/etcdserverpb.Lease/LeaseKeepAlive", &[]);
    let watch = etcd.open(etcd.now, "gw-a", WATCH, &[]);
    ask(&mut etcd, watch, "0a0e0a052f6c2f6d2f12052f6c2f6d30", &["H0c1801"]);
    let now = etcd.now;
    etcd.poll(now + 1_000);
    ask(&mut etcd, alive, "084d", &["H0c104d1802"]);
    etcd.poll(etcd.now + 1_000);
    assert!(etcd.get(etcd.now, "/l/m/a").is_some(), "its time has begun again");
    assert_eq!(heard(&mut etcd, watch, 1_000), [hex(&bytes("H0d5a0e0801120a0a062f6c2f6d2f61180d"))]);
    ask(&mut etcd, alive, "084d", &["H0d104d"]);
    ask(&mut etcd, alive, "08e707", &["H0d10e707"]);
    check(&mut etcd, "Lease/LeaseRevoke", "084d", "5 etcdserver: requested lease not found");
    check(&mut etcd, "Lease/LeaseGrant", "083c1050", "H0d1050183c");
    check(&mut etcd, "KV/Put", "0a062f6c2f6d2f621201781850", "H0e");
    check(&mut etcd, "KV/Put", "0a062f6c2f6d2f631201781850", "H0f");
    heard(&mut etcd, watch, 0);
    check(&mut etcd, "Lease/LeaseRevoke", "0850", "H10");
    let both = "H105a0e0801120a0a062f6c2f6d2f6218105a0e0801120a0a062f6c2f6d2f631810";
    assert_eq!(heard(&mut etcd, watch, 0), [hex(&bytes(both))]);
    etcd.close(etcd.now, alive);
    assert_eq!(heard(&mut etcd, alive, 0), ["0 "]);
    etcd.close(etcd.now, watch);
    etcd.put(etcd.now, "/l/m/d", "x");
    assert_eq!(heard(&mut etcd, watch, 0).len(), 1, "a watch lives on when its client says no more");
}

#[test]
fn users_may_do_what_their_roles_allow() {
    let mut etcd = grown();
    etcd.user_add("gw-a", &[Grant::readwrite("/l/")]);
    check(&mut etcd, "KV/Range", BOTH, &say(&mut grown(), "KV/Range", &bytes(BOTH)));
    let denied = "7 etcdserver: permission denied";
    check(&mut etcd, "KV/Range", "0a062f6f74686572", denied);
    check(&mut etcd, "KV/Range", "0a0100120100", denied);
    etcd.user_add("gw-a", &[Grant::read("/l/log/")]);
    for (method, request, answer) in [
        ("KV/Put", "0a082f6c2f6c6f672f6a120178", denied),
        ("KV/DeleteRange", "0a072f6c2f6e6f6e65", denied),
        ("KV/Txn", "0a0d10011a092f6c2f6c6f672f6964120d0a0b0a092f6c2f6c6f672f6964", "H0b"),
        ("Lease/LeaseGrant", "083c1005", "H0b1005183c"),
        ("KV/Compact", "0807", "H0b"),
    ] {
        check(&mut etcd, method, request, answer);
    }
    let watch = etcd.open(0, "gw-a", WATCH, &[]);
    ask(&mut etcd, watch, "0a1a0a092f6c2f6c6f672f696412092f6c2f6c6f672f6a0018a08d06", &["H0b1801"]);
    let reason = "20013247727063206572726f723a20636f6465203d205065726d697373696f6e44656e6965642064657363203d2065746364\
                  7365727665723a207065726d697373696f6e2064656e696564";
    let other = "0a080a062f6f74686572";
    ask(&mut etcd, watch, other, &[&format!("H0b10ffffffffffffffffff011801{reason}")]);
    etcd.denied_watch_id = 0;
    ask(&mut etcd, watch, other, &[&format!("H0b1801{reason}")]);
    etcd.user_add("gw-a", &[Grant::readwrite("/l/m/")]);
    check(&mut etcd, "KV/Put", "0a062f6c2f6d2f621201781805", "H0c");
    etcd.user_add("gw-a", &[Grant::read("/l/log/")]);
    check(&mut etcd, "Lease/LeaseRevoke", "0805", denied);
    assert_eq!(
        etcd.unary(etcd.now, "stranger", "/etcdserverpb.KV/Range", &bytes(BOTH)),
        Err((3, "etcdserver: user name is empty".into()))
    );
}

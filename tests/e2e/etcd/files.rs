//! The files of `envoy/fleet`, with a real Envoy and a real etcd.

use std::time::Duration;

use super::super::origin::Origin;
use super::super::process::{Envoy, replace};
use super::grpc::{Client, PATIENCE};
use super::{RealEtcd, Setup};
use crate::host::etcd::messages::PutRequest;
use crate::host::etcd::protobuf::Message;

/// The Envoy of a fleet as the repository has it, which takes a server of this name for etcd.
fn envoy(etcd: &RealEtcd, name: &str, origin: &Origin) -> Envoy {
    etcd.certificates().issue("gw-a");
    Envoy::start_as_written("fleet/envoy.yaml", origin.port(), |yaml| {
        let port = etcd.address(0).port();
        replace(yaml, "address: etcd, port_value: 2379", &format!("address: 127.0.0.1, port_value: {port}"));
        replace(yaml, "exact: etcd", &format!("exact: {name}"));
        // So that the test can send something as this Envoy.
        let route = "{ match: { prefix: /etcdserverpb }, route: { cluster: etcd, timeout: 0s } }";
        replace(yaml, "routes: [{ match", &format!("routes: [{route}, {{ match"));
        for file in ["gateway.pem", "gateway.key", "ca.pem"] {
            let own = etcd.certificates().path(&file.replace("gateway", "gw-a"));
            replace(yaml, &format!("envoy/fleet/tls/{file}"), &own);
        }
    })
}

#[test]
fn an_envoy_of_a_fleet_reaches_etcd_with_its_certificate_and_sees_it_die_and_return() {
    let mut etcd = RealEtcd::start(Setup { hasty: true, tls: true, ..Setup::default() });
    etcd.enable_roles("/larder/prod/", &["gw-a"], &[]);
    let origin = Origin::start();
    let envoy = envoy(&etcd, "etcd", &origin);
    let healthy = |count: u64| {
        move |envoy: &Envoy| {
            envoy.stat("cluster.etcd.membership_healthy") == count
                && envoy.stat("cluster.etcd.ssl.handshake") > 0
        }
    };
    assert!(envoy.soon(healthy(1)), "{:?}", envoy.stats("cluster.etcd"));
    let mut client = Client::connect(envoy.listener).expect("Envoy answers");
    let mut put = |key: &str| {
        let put = PutRequest { key: key.into(), value: b"x".into(), lease: 0 };
        client.call("/etcdserverpb.KV/Put", &put.encode(), PATIENCE)
    };
    // Larder itself is there already, as the user that its certificate names.
    assert!(envoy.soon(|envoy| envoy.stat("wasmcustom.larder_fleet_revision") > 0), "{}", envoy.log());
    assert!(put("/larder/prod/log/j").is_ok());
    assert_eq!(put("/larder/other/log/j"), Err((7, "etcdserver: permission denied".into())));
    etcd.kill(0);
    assert!(envoy.within(Duration::from_secs(5), healthy(0)), "{:?}", envoy.stats("cluster.etcd"));
    etcd.start_all();
    assert!(envoy.within(Duration::from_secs(10), healthy(1)), "{:?}", envoy.stats("cluster.etcd"));
}

#[test]
fn an_envoy_does_not_take_another_server_for_etcd() {
    let etcd = RealEtcd::start(Setup { hasty: true, tls: true, ..Setup::default() });
    let origin = Origin::start();
    let envoy = envoy(&etcd, "other", &origin);
    assert!(envoy.soon(|envoy| envoy.stat("cluster.etcd.ssl.fail_verify_san") > 0));
    assert_eq!(envoy.stat("cluster.etcd.membership_healthy"), 0);
}

//! A fleet of real Envoys around one etcd, each with a way of its own to it that can be cut.

use std::fs;
use std::net::SocketAddr;
use std::path::Path;
use std::time::Duration;

use super::super::process::{self, Envoy};
use super::super::real_envoy::RealEnvoy;
use super::proxy::Proxy;
use super::{RealEtcd, Setup};
use crate::stand::{Reply, Stand};

/// etcd and the Envoys.
pub struct Fleet {
    pub etcd: RealEtcd,
    pub members: Vec<Member>,
}

/// An Envoy with two workers, an origin, and a way to each member of etcd.
pub struct Member {
    pub envoy: RealEnvoy,
    proxies: Vec<Proxy>,
}

impl Fleet {
    /// So many Envoys with Larder as it is shipped, and a cluster `etcd` as `envoy/fleet/envoy.yaml` has it. They have
    /// found etcd healthy.
    pub fn start(envoys: usize, etcd: Setup) -> Fleet {
        assert!(!etcd.tls, "here Envoys and etcd speak in the clear");
        let etcd = RealEtcd::start(etcd);
        let addresses: Vec<_> = etcd.addresses().collect();
        let members: Vec<_> = (0..envoys).map(|_| Member::start(&addresses)).collect();
        for member in &members {
            assert!(member.sees(addresses.len()), "{:?}", member.envoy.envoy().stats("cluster.etcd.health"));
        }
        Fleet { etcd, members }
    }

    /// Pushes a plugin configuration to all of them.
    pub fn configure(&mut self, configuration: &str) {
        for member in &mut self.members {
            member.envoy.configure(configuration).expect("the configuration is right");
        }
    }

    /// How the origin of each answers from now on.
    pub fn origin(&mut self, path: &str, replies: &[Reply]) {
        for member in &mut self.members {
            member.envoy.origin(path, replies.to_vec());
        }
    }

    /// No VM has died, and no request hangs.
    pub fn check(&mut self) {
        self.members.iter_mut().for_each(|member| member.envoy.check());
    }
}

impl Member {
    fn start(etcd: &[SocketAddr]) -> Member {
        let proxies: Vec<_> = etcd.iter().map(|address| Proxy::start(*address)).collect();
        let clusters = cluster(proxies.iter().map(Proxy::address));
        let envoy = RealEnvoy::start_with(&process::Setup { clusters, ..process::Setup::default() });
        Member { envoy, proxies }
    }

    /// Whether so many members of etcd are healthy before long.
    pub fn sees(&self, healthy: usize) -> bool {
        let count = |envoy: &Envoy| envoy.stat("cluster.etcd.membership_healthy") == healthy as u64;
        self.envoy.envoy().within(Duration::from_secs(20), count)
    }

    /// Its connections to etcd are reset, until it is healed.
    pub fn cut(&self) {
        self.proxies.iter().for_each(Proxy::cut);
    }

    /// Nothing comes through between it and etcd, and nothing says so, until it is healed.
    pub fn black_hole(&self) {
        self.proxies.iter().for_each(Proxy::black_hole);
    }

    /// What it sends to etcd and hears from it takes so much longer.
    pub fn delay(&self, time: Duration) {
        self.proxies.iter().for_each(|proxy| proxy.delay(time));
    }

    /// Its way to etcd is free again.
    pub fn heal(&self) {
        self.proxies.iter().for_each(Proxy::heal);
    }
}

/// The cluster of `envoy/fleet/envoy.yaml`, without TLS and at these addresses.
fn cluster(addresses: impl Iterator<Item = SocketAddr>) -> String {
    let file = Path::new(env!("CARGO_MANIFEST_DIR")).join("envoy/fleet/envoy.yaml");
    let yaml = fs::read_to_string(file).unwrap();
    let at = yaml.find("  - name: etcd\n").expect("a cluster");
    let end = at + yaml[at..].find("    # Leave this out for an etcd without TLS").expect("what TLS needs");
    let whole = &yaml[at..end];
    let (before, _) = whole.split_once("        - endpoint:").expect("an endpoint");
    let endpoint = |address: SocketAddr| {
        let (ip, port) = (address.ip(), address.port());
        format!(
            "        - endpoint: {{ address: {{ socket_address: {{ address: {ip}, port_value: {port} }} }} }}\n"
        )
    };
    addresses.map(endpoint).fold(before.to_owned(), |yaml, line| yaml + &line)
}

#[test]
fn each_envoy_of_a_fleet_has_its_own_way_to_etcd() {
    let mut fleet = Fleet::start(2, Setup { hasty: true, ..Setup::default() });
    let [first, second] = &fleet.members[..] else { panic!("two Envoys") };
    first.cut();
    assert!(first.sees(0) && second.sees(1));
    first.heal();
    assert!(first.sees(1));
    second.black_hole();
    assert!(second.sees(0) && first.sees(1));
    second.heal();
    assert!(second.sees(1));
    // A health check has half a second.
    first.delay(Duration::from_millis(600));
    assert!(first.sees(0) && second.sees(1));
    first.delay(Duration::ZERO);
    assert!(first.sees(1));
    fleet.etcd.kill(0);
    assert!(fleet.members.iter().all(|member| member.sees(0)));
    fleet.etcd.start_all();
    assert!(fleet.members.iter().all(|member| member.sees(1)));
    fleet.check();
}

#[test]
fn an_envoy_leaves_out_the_member_of_etcd_that_is_dead() {
    let mut fleet = Fleet::start(1, Setup { three: true, hasty: true, ..Setup::default() });
    fleet.etcd.kill(1);
    assert!(fleet.members[0].sees(2));
    fleet.etcd.start_all();
    assert!(fleet.members[0].sees(3));
}

//! What lies between a client and a real etcd: a TCP proxy that can cut, swallow and delay.

use std::io::{Read, Write};
use std::net::{Shutdown, SocketAddr, TcpListener, TcpStream};
use std::sync::mpsc::{Receiver, Sender, channel};
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::thread;
use std::time::{Duration, Instant};

use socket2::SockRef;

/// How long it waits for etcd to accept a connection.
const CONNECT: Duration = Duration::from_secs(5);

/// A proxy on a port of loopback.
pub struct Proxy {
    address: SocketAddr,
    shared: Arc<Shared>,
}

struct Shared {
    to: SocketAddr,
    state: Mutex<State>,
    changed: Condvar,
}

#[derive(Default)]
struct State {
    way: Way,
    /// Added to each piece of what passes, in both directions.
    delay: Duration,
    connections: Vec<[Arc<TcpStream>; 2]>,
    /// How many connections there have been.
    accepted: usize,
    over: bool,
}

#[derive(Clone, Copy, Default, PartialEq, Debug)]
enum Way {
    #[default]
    Free,
    /// Connections are reset, and new ones as soon as they are made.
    Cut,
    /// Nothing comes through, and nothing says so. It comes through once it is healed.
    Hole,
}

impl Proxy {
    pub fn start(to: SocketAddr) -> Proxy {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let address = listener.local_addr().unwrap();
        let shared = Arc::new(Shared { to, state: Mutex::default(), changed: Condvar::new() });
        let accepting = Arc::clone(&shared);
        thread::spawn(move || accept(&listener, &accepting));
        Proxy { address, shared }
    }

    pub fn address(&self) -> SocketAddr {
        self.address
    }

    /// Resets all connections, and those that come until it is healed.
    pub fn cut(&self) {
        let mut state = self.shared.lock();
        state.way = Way::Cut;
        reset(&mut state);
        self.shared.changed.notify_all();
    }

    /// Swallows everything until it is healed.
    pub fn black_hole(&self) {
        self.shared.lock().way = Way::Hole;
    }

    /// From now on everything takes so much longer, in each direction.
    pub fn delay(&self, time: Duration) {
        self.shared.lock().delay = time;
    }

    /// What was swallowed comes through, and new connections are let through.
    pub fn heal(&self) {
        self.shared.lock().way = Way::Free;
        self.shared.changed.notify_all();
    }

    /// How many connections there have been.
    pub fn accepted(&self) -> usize {
        self.shared.lock().accepted
    }
}

impl Drop for Proxy {
    fn drop(&mut self) {
        self.shared.lock().over = true;
        self.cut();
        // So that the thread that accepts sees it.
        let _ = TcpStream::connect(self.address);
    }
}

impl Shared {
    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Waits until something may pass; false when the connection is to be reset.
    fn passes(&self) -> bool {
        let mut state = self.lock();
        while state.way == Way::Hole {
            state = self.changed.wait(state).unwrap_or_else(PoisonError::into_inner);
        }
        state.way == Way::Free
    }
}

/// Closed with this, a socket sends a reset in place of an orderly end. The thread that reads from it wakes up, and the
/// last one that drops it closes it.
fn reset(state: &mut State) {
    for stream in state.connections.drain(..).flatten() {
        let _ = SockRef::from(&*stream).set_linger(Some(Duration::ZERO));
        let _ = stream.shutdown(Shutdown::Read);
    }
}

fn accept(listener: &TcpListener, shared: &Arc<Shared>) {
    for stream in listener.incoming() {
        let Ok(stream) = stream else { continue };
        let way = {
            let mut state = shared.lock();
            if state.over {
                return;
            }
            state.accepted += 1;
            state.way
        };
        if way == Way::Cut {
            let _ = SockRef::from(&stream).set_linger(Some(Duration::ZERO));
            continue;
        }
        let shared = Arc::clone(shared);
        thread::spawn(move || connect(stream, &shared));
    }
}

fn connect(client: TcpStream, shared: &Arc<Shared>) {
    let reached = shared.passes().then(|| TcpStream::connect_timeout(&shared.to, CONNECT).ok()).flatten();
    let Some(server) = reached else {
        let _ = SockRef::from(&client).set_linger(Some(Duration::ZERO));
        return;
    };
    let _ = (client.set_nodelay(true), server.set_nodelay(true));
    let ends = [Arc::new(client), Arc::new(server)];
    {
        let mut state = shared.lock();
        state.connections.push(ends.clone());
        if state.way == Way::Cut {
            reset(&mut state);
        }
    }
    let [client, server] = ends;
    pump(Arc::clone(&client), Arc::clone(&server), shared);
    pump(server, client, shared);
}

/// One direction. The delay is counted from when a piece has come, so what comes close together goes close together.
fn pump(from: Arc<TcpStream>, to: Arc<TcpStream>, shared: &Arc<Shared>) {
    let (sender, receiver) = channel();
    let reading = Arc::clone(shared);
    thread::spawn(move || read(&from, &sender, &reading));
    let writing = Arc::clone(shared);
    thread::spawn(move || write(&to, &receiver, &writing));
}

fn read(mut from: &TcpStream, sender: &Sender<(Instant, Vec<u8>)>, shared: &Shared) {
    let mut buffer = vec![0; 64 * 1024];
    loop {
        let read = from.read(&mut buffer).unwrap_or_default();
        let due = Instant::now() + shared.lock().delay;
        if sender.send((due, buffer[..read].to_vec())).is_err() || read == 0 {
            return;
        }
    }
}

fn write(mut to: &TcpStream, receiver: &Receiver<(Instant, Vec<u8>)>, shared: &Shared) {
    while let Ok((due, piece)) = receiver.recv() {
        thread::sleep(due.saturating_duration_since(Instant::now()));
        let passes = shared.passes();
        if !passes || piece.is_empty() || to.write_all(&piece).is_err() {
            // The end of one side is the end of both. Where it is cut, reads have been woken already.
            let _ = to.shutdown(if passes { Shutdown::Both } else { Shutdown::Read });
            return;
        }
    }
}

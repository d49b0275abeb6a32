//! A gRPC client over HTTP/2, of the tests' own.

use std::collections::VecDeque;
use std::net::SocketAddr;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

use http_body_util::BodyExt;
use http_body_util::channel::{Channel, Sender};
use hyper::body::{Bytes, Incoming};
use hyper::client::conn::http2::{SendRequest, handshake};
use hyper::{HeaderMap, Request};
use hyper_util::rt::{TokioExecutor, TokioIo};
use tokio::net::TcpStream;
use tokio::runtime::{Builder, Runtime};
use tokio::time::timeout;

use crate::host::etcd::Delivery;

/// How long a call may take.
pub const PATIENCE: Duration = Duration::from_secs(20);

/// A connection. It does something only while one of its functions runs.
pub struct Client {
    runtime: Runtime,
    sender: SendRequest<Channel<Bytes>>,
}

/// A stream, and what has come on it.
pub struct Stream {
    sender: Option<Sender<Bytes>>,
    come: Arc<Mutex<VecDeque<Delivery>>>,
}

impl Client {
    /// Nothing when nobody listens there, or nobody answers in time.
    pub fn connect(to: SocketAddr) -> Option<Client> {
        let runtime = Builder::new_current_thread().enable_all().build().unwrap();
        let sender = runtime.block_on(async {
            let connected = timeout(PATIENCE, TcpStream::connect(to)).await.ok()?.ok()?;
            connected.set_nodelay(true).ok()?;
            let (sender, connection) = handshake(TokioExecutor::new(), TokioIo::new(connected)).await.ok()?;
            tokio::spawn(connection);
            Some(sender)
        })?;
        Some(Client { runtime, sender })
    }

    /// Makes a call. Where nothing comes in this time it is what a caller's timeout says.
    pub fn call(
        &mut self,
        method: &str,
        request: &[u8],
        patience: Duration,
    ) -> Result<Vec<u8>, (u32, String)> {
        self.call_as(None, method, request, patience)
    }

    /// The same as the user whom etcd has given this token.
    pub fn call_as(
        &mut self,
        token: Option<&str>,
        method: &str,
        request: &[u8],
        patience: Duration,
    ) -> Result<Vec<u8>, (u32, String)> {
        let metadata: Vec<_> = token.iter().map(|token| ("token", *token)).collect();
        let mut stream = self.open(method, &metadata);
        self.send(&mut stream, request);
        self.close(&mut stream);
        let mut message = None;
        let end = Instant::now() + patience;
        loop {
            match self.next(&stream, end.saturating_duration_since(Instant::now())) {
                None => return Err((4, "deadline exceeded".into())),
                Some(Delivery::Message(bytes)) => message = Some(bytes),
                Some(Delivery::Closed(0, _)) => return message.ok_or((13, "no message".into())),
                Some(Delivery::Closed(status, text)) => return Err((status, text)),
            }
        }
    }

    pub fn open(&mut self, method: &str, metadata: &[(&str, &str)]) -> Stream {
        let (sender, body) = Channel::new(16);
        let mut request = Request::post(format!("http://etcd{method}"))
            .header("content-type", "application/grpc")
            .header("te", "trailers");
        for (name, value) in metadata {
            request = request.header(*name, *value);
        }
        let come = Arc::new(Mutex::new(VecDeque::new()));
        let (to, request) = (Arc::clone(&come), request.body(body).unwrap());
        let response = self.sender.send_request(request);
        self.runtime.spawn(async move {
            let (status, text) = match response.await {
                Ok(response) => receive(response, &to).await,
                Err(_) => (14, String::new()),
            };
            push(&to, Delivery::Closed(status, text));
        });
        Stream { sender: Some(sender), come }
    }

    pub fn send(&mut self, stream: &mut Stream, message: &[u8]) {
        let framed = [&[0][..], &(message.len() as u32).to_be_bytes(), message].concat();
        if let Some(sender) = &mut stream.sender {
            let _ = self.runtime.block_on(async { timeout(PATIENCE, sender.send_data(framed.into())).await });
        }
    }

    /// It will send nothing more.
    pub fn close(&mut self, stream: &mut Stream) {
        stream.sender = None;
    }

    /// Lets the connection work for a moment.
    fn go_on(&self) {
        self.runtime.block_on(async { tokio::time::sleep(Duration::from_millis(1)).await });
    }

    /// Whether a stream ends within this time. What has come on it stays.
    pub fn wait_for_end(&mut self, stream: &Stream, time: Duration) -> bool {
        let end = Instant::now() + time;
        loop {
            let come = stream.come.lock().unwrap_or_else(PoisonError::into_inner).back().cloned();
            if matches!(come, Some(Delivery::Closed(..))) || Arc::strong_count(&stream.come) == 1 {
                return true;
            }
            if Instant::now() >= end {
                return false;
            }
            self.go_on();
        }
    }

    /// What comes next on a stream; nothing when there is nothing in this time.
    pub fn next(&mut self, stream: &Stream, time: Duration) -> Option<Delivery> {
        let end = Instant::now() + time;
        loop {
            let come = stream.come.lock().unwrap_or_else(PoisonError::into_inner).pop_front();
            if come.is_some() || Instant::now() >= end {
                return come;
            }
            self.go_on();
        }
    }
}

fn push(to: &Mutex<VecDeque<Delivery>>, delivery: Delivery) {
    to.lock().unwrap_or_else(PoisonError::into_inner).push_back(delivery);
}

/// Takes in the messages of a response; the status at its end.
async fn receive(response: hyper::Response<Incoming>, to: &Mutex<VecDeque<Delivery>>) -> (u32, String) {
    if let Some(status) = status(response.headers()) {
        return status;
    }
    let mut body = response.into_body();
    let mut rest = Vec::new();
    while let Some(frame) = body.frame().await {
        let Ok(frame) = frame else { return (13, String::new()) };
        if let Some(trailers) = frame.trailers_ref() {
            return status(trailers).unwrap_or((2, "no status".into()));
        }
        if let Ok(data) = frame.into_data() {
            rest.extend_from_slice(&data);
        }
        while let Some(length) = rest.get(1..5) {
            let length = u32::from_be_bytes(length.try_into().unwrap()) as usize;
            if rest.len() < 5 + length {
                break;
            }
            let message: Vec<u8> = rest.drain(..5 + length).skip(5).collect();
            push(to, Delivery::Message(message));
        }
    }
    (13, "without trailers".into())
}

fn status(fields: &HeaderMap) -> Option<(u32, String)> {
    let text = |name| fields.get(name).map(|value| String::from_utf8_lossy(value.as_bytes()).into_owned());
    Some((text("grpc-status")?.parse().ok()?, text("grpc-message").unwrap_or_default()))
}

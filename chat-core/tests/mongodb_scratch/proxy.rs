//! Stands between a store and its server, and cuts the line at a chosen moment.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use parking_lot::Mutex;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::tcp::{OwnedReadHalf, OwnedWriteHalf};
use tokio::net::{TcpListener, TcpStream};

/// When a line is cut.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Cut {
    /// The server never hears the command.
    Before(&'static str),
    /// The server has carried the command out, but nobody hears of it.
    After(&'static str),
}

impl Cut {
    fn command(self) -> &'static str {
        match self {
            Self::Before(command) | Self::After(command) => command,
        }
    }
}

#[derive(Default)]
struct Plan {
    cuts: Mutex<Vec<Cut>>,
    made: AtomicUsize,
}

/// A proxy on a port of its own.
pub(crate) struct Proxy {
    port: u16,
    plan: Arc<Plan>,
}

impl Proxy {
    /// Forwards to a port of this machine, as long as the runtime lives.
    pub(crate) async fn start(to: u16) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.expect("a free port");
        let port = listener.local_addr().expect("an address").port();
        let plan = Arc::new(Plan::default());
        tokio::spawn({
            let plan = plan.clone();
            async move {
                while let Ok((client, _)) = listener.accept().await {
                    let Ok(server) = TcpStream::connect(("127.0.0.1", to)).await else { continue };
                    tokio::spawn(forward(client, server, plan.clone()));
                }
            }
        });
        Self { port, plan }
    }

    /// Its URI. Direct, because the server would tell its own address.
    pub(crate) fn uri(&self, database: &str) -> String {
        format!("mongodb://127.0.0.1:{}/{database}?directConnection=true", self.port)
    }

    /// Makes these cuts, one at each matching command, in this order.
    pub(crate) fn cut(&self, cuts: impl IntoIterator<Item = Cut>) {
        self.plan.cuts.lock().extend(cuts);
    }

    /// How many cuts were made.
    pub(crate) fn made(&self) -> usize {
        self.plan.made.load(Ordering::SeqCst)
    }
}

impl Plan {
    /// Whether the first cut that is left concerns this message.
    fn take(&self, message: &[u8]) -> Option<Cut> {
        let mut cuts = self.cuts.lock();
        let command = cuts.first()?.command().as_bytes();
        // The name of the command is the first in the document that follows the 16 bytes of the header, 4 of flags, 1 of
        // the section's kind, 4 of the document's length and 1 of the value's type.
        let named = message.get(26..).is_some_and(|rest| rest.starts_with(command));
        named.then(|| {
            self.made.fetch_add(1, Ordering::SeqCst);
            cuts.remove(0)
        })
    }
}

/// Forwards one request and its answer after the other: that is how the driver uses its connections, but for those
/// that watch the server, whose answers come by themselves.
async fn forward(client: TcpStream, server: TcpStream, plan: Arc<Plan>) {
    let (client_reads, mut client_writes) = client.into_split();
    let (server_reads, server_writes) = server.into_split();
    let swallow = Arc::new(AtomicUsize::new(0));
    let requests = requests(client_reads, server_writes, plan, swallow.clone());
    let answers = async move {
        let mut server_reads = server_reads;
        while let Some(message) = read_message(&mut server_reads).await {
            if swallow.load(Ordering::SeqCst) > 0 || client_writes.write_all(&message).await.is_err() {
                break;
            }
        }
    };
    // Whichever ends first takes the line with it.
    tokio::select! {
        () = requests => {}
        () = answers => {}
    }
}

async fn requests(
    mut client: OwnedReadHalf,
    mut server: OwnedWriteHalf,
    plan: Arc<Plan>,
    swallow: Arc<AtomicUsize>,
) {
    while let Some(message) = read_message(&mut client).await {
        match plan.take(&message) {
            Some(Cut::Before(_)) => return,
            Some(Cut::After(_)) => drop(swallow.fetch_add(1, Ordering::SeqCst)),
            None => {}
        }
        if server.write_all(&message).await.is_err() {
            return;
        }
    }
}

async fn read_message(stream: &mut OwnedReadHalf) -> Option<Vec<u8>> {
    let mut message = vec![0; 4];
    stream.read_exact(&mut message).await.ok()?;
    let length = u32::from_le_bytes(message[..4].try_into().ok()?) as usize;
    message.resize(length, 0);
    stream.read_exact(&mut message[4..]).await.ok()?;
    Some(message)
}

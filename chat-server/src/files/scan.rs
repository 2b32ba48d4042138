//! The virus scan: a program or a daemon of the operator that checks every file before a user can read it.
//!
//! A file that cannot be scanned is refused.

use std::path::Path;
use std::process::Stdio;
use std::time::Duration;

use async_trait::async_trait;
use tokio::io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt};
use tokio::net::TcpStream;
#[cfg(unix)]
use tokio::net::UnixStream;
use tokio::process::Command;
use tokio::sync::Semaphore;

use super::error::FileError;

/// The timeout for one file.
const TIMEOUT: Duration = Duration::from_secs(120);
/// The maximum number of concurrent scans.
const AT_ONCE: usize = 4;
/// The number of bytes that are sent to a daemon at once.
const PIECE: usize = 64 << 10;

/// Checks files before they are stored.
#[async_trait]
pub trait Scanner: Send + Sync {
    /// Checks a file on this disk. It must not change the file.
    ///
    /// # Errors
    /// [`FileError::Infected`] when the file must be refused, and [`FileError::Unavailable`] when the scan failed.
    async fn scan(&self, file: &Path) -> Result<(), FileError>;
}

/// The scanner to use.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum ScanConfig {
    /// A program that is run with the path of the file as its last argument. Exit code 0 means clean and 1 infected, as
    /// for `clamdscan` (`CHAT_SCAN_COMMAND`).
    Command(Vec<String>),
    /// clamd at this address, with its command `INSTREAM` (`CHAT_SCAN_CLAMD`).
    Clamd(String),
    /// clamd at this Unix socket.
    ClamdSocket(String),
}

impl ScanConfig {
    pub(super) fn scanner(&self) -> Box<dyn Scanner> {
        Box::new(Scan { config: self.clone(), turns: Semaphore::new(AT_ONCE) })
    }
}

struct Scan {
    config: ScanConfig,
    turns: Semaphore,
}

#[async_trait]
impl Scanner for Scan {
    async fn scan(&self, file: &Path) -> Result<(), FileError> {
        // This fails only if the semaphore is closed, which never happens.
        let _turn = self.turns.acquire().await;
        let scanned = async {
            match &self.config {
                ScanConfig::Command(command) => run(command, file).await,
                ScanConfig::Clamd(address) => {
                    let stream = TcpStream::connect(address).await.map_err(away)?;
                    ask_clamd(stream, file).await
                }
                #[cfg(unix)]
                ScanConfig::ClamdSocket(path) => {
                    let stream = UnixStream::connect(path).await.map_err(away)?;
                    ask_clamd(stream, file).await
                }
                #[cfg(not(unix))]
                ScanConfig::ClamdSocket(_) => Err(FileError::unavailable("there are no such sockets here")),
            }
        };
        let scanned = tokio::time::timeout(TIMEOUT, scanned).await;
        scanned.unwrap_or_else(|_| Err(FileError::unavailable("the virus scan takes too long")))
    }
}

fn away(error: std::io::Error) -> FileError {
    FileError::caused("the virus scan cannot be reached", error)
}

async fn run(command: &[String], file: &Path) -> Result<(), FileError> {
    let [program, arguments @ ..] = command else {
        return Err(FileError::unavailable("the command of the virus scan is empty"));
    };
    let mut scan = Command::new(program);
    // The program gets no secrets from the environment: only the variables for programs, temporary files and language.
    scan.args(arguments)
        .arg(file)
        .env_clear()
        .stdin(Stdio::null())
        .stdout(Stdio::null())
        .stderr(Stdio::null());
    for name in ["PATH", "TMPDIR", "LANG"] {
        if let Some(value) = std::env::var_os(name) {
            scan.env(name, value);
        }
    }
    let status = scan.kill_on_drop(true).status().await.map_err(away)?;
    match status.code() {
        Some(0) => Ok(()),
        Some(1) => Err(FileError::Infected),
        _ => Err(FileError::unavailable("the command of the virus scan has failed")),
    }
}

/// The command `INSTREAM` (clamd(8)): each piece is prefixed with its length, and an empty piece ends the file. The
/// answer is `stream: OK` or `stream: NAME FOUND`.
async fn ask_clamd(mut clamd: impl AsyncRead + AsyncWrite + Unpin, file: &Path) -> Result<(), FileError> {
    /// The answer is one line.
    const MAX_ANSWER: u64 = 4096;

    let mut file = tokio::fs::File::open(file).await.map_err(away)?;
    let mut piece = vec![0; PIECE];
    let mut told = async || {
        clamd.write_all(b"zINSTREAM\0").await?;
        loop {
            let len = file.read(&mut piece).await?;
            clamd.write_all(&(len as u32).to_be_bytes()).await?;
            if len == 0 {
                return clamd.flush().await;
            }
            clamd.write_all(&piece[..len]).await?;
        }
    };
    // If the file is too large, clamd closes the connection early. In that case it has sent an answer before.
    let sent = told().await;
    let mut answer = Vec::new();
    let read = clamd.take(MAX_ANSWER).read_to_end(&mut answer).await;
    let answer = String::from_utf8_lossy(&answer);
    let answer = answer.trim_matches(['\0', '\n', ' ']);
    if answer == "stream: OK" && sent.is_ok() {
        return Ok(());
    }
    if answer.ends_with(" FOUND") {
        return Err(FileError::Infected);
    }
    if answer.contains("size limit exceeded") {
        return Err(FileError::unavailable("the file is larger than clamd takes: raise its StreamMaxLength"));
    }
    sent.and(read.map(drop)).map_err(away)?;
    Err(FileError::unavailable("clamd has answered something else than a result"))
}

#[cfg(test)]
mod tests {
    use tokio::net::TcpListener;

    use super::*;

    fn file(content: &[u8]) -> (tempfile::TempDir, std::path::PathBuf) {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("file");
        std::fs::write(&path, content).unwrap();
        (dir, path)
    }

    #[cfg(unix)]
    #[tokio::test]
    async fn a_command_says_by_its_exit_what_a_file_is() {
        let (_dir, path) = file(b"EICAR");
        let command =
            |script: &str| ScanConfig::Command(["sh", "-c", script, "scan"].map(str::to_owned).into());
        assert!(command("grep -q EICAR \"$1\"").scanner().scan(&path).await.is_ok());
        assert!(matches!(command("exit 1").scanner().scan(&path).await, Err(FileError::Infected)));
        for broken in ["exit 2", "kill -9 $$"] {
            assert!(matches!(
                command(broken).scanner().scan(&path).await,
                Err(FileError::Unavailable { .. })
            ));
        }
        let missing = ScanConfig::Command(vec!["/nowhere/at/all".to_owned()]);
        assert!(matches!(missing.scanner().scan(&path).await, Err(FileError::Unavailable { .. })));
        let secrets = command("test -z \"$JWT_SECRET$HOME\"");
        assert!(secrets.scanner().scan(&path).await.is_ok(), "it is given no secrets");
    }

    #[tokio::test]
    async fn clamd_is_sent_the_whole_file() {
        let content: Vec<u8> = (0..=250).cycle().take(200_000).collect();
        let (_dir, path) = file(&content);
        for (answer, expected) in [
            (&b"stream: OK\0"[..], Some(true)),
            (b"stream: Eicar-Signature FOUND\0", Some(false)),
            (b"INSTREAM size limit exceeded. ERROR\0", None),
            (b"", None),
            (b"nonsense", None),
        ] {
            let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
            let config = ScanConfig::Clamd(listener.local_addr().unwrap().to_string());
            let clamd = async {
                let (mut stream, _) = listener.accept().await.unwrap();
                let mut command = [0; 10];
                stream.read_exact(&mut command).await.unwrap();
                assert_eq!(&command, b"zINSTREAM\0");
                let mut received = Vec::new();
                loop {
                    let len = stream.read_u32().await.unwrap() as usize;
                    if len == 0 {
                        break;
                    }
                    let start = received.len();
                    received.resize(start + len, 0);
                    stream.read_exact(&mut received[start..]).await.unwrap();
                }
                stream.write_all(answer).await.unwrap();
                received
            };
            let scanner = config.scanner();
            let (received, scanned) = tokio::join!(clamd, scanner.scan(&path));
            assert!(received == content);
            match expected {
                Some(true) => assert!(scanned.is_ok()),
                Some(false) => assert!(matches!(scanned, Err(FileError::Infected))),
                None => assert!(matches!(scanned, Err(FileError::Unavailable { .. }))),
            }
        }
        let nobody = ScanConfig::Clamd("127.0.0.1:1".to_owned());
        assert!(matches!(nobody.scanner().scan(&path).await, Err(FileError::Unavailable { .. })));
    }
}

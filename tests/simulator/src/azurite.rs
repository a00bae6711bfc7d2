//! Azurite, Microsoft's emulator of Azure Storage: the real program, from npm.
//!
//! `npx` fetches it into npm's cache at the first use, so only Node is needed. Without Node,
//! starting fails with a message that says so. Nothing is skipped.

use std::path::Path;
use std::process::Stdio;

use base64::Engine as _;
use tempfile::TempDir;
use tokio::io::{AsyncBufReadExt as _, BufReader};
use tokio::net::TcpListener;
use tokio::process::{Child, Command};

use crate::server::client;

/// The version that the tests are known to pass with. Later ones need Node 21 or more.
const PACKAGE: &str = "azurite@3.35.0";
/// The emulator's account and its published key.
const ACCOUNT: &str = "devstoreaccount1";
const KEY: &str =
    "Eby8vdM02xNOcqFlqUwJPLlmEtlCDXJ1OUzFT50uSRZ6IFsuFq2UVErCz4I6tq/K1SZFPTOtr/KBHBeksoGMGw==";

/// A running blob service. Dropping this ends it.
#[derive(Debug)]
pub struct Azurite {
    port: u16,
    scheme: &'static str,
    script: String,
    options: Vec<String>,
    process: Child,
    folder: TempDir,
}

impl Azurite {
    /// Starts an empty blob service on a free port, and returns once it listens.
    pub async fn start() -> Self {
        let folder = tempfile::tempdir().expect("a temporary folder");
        Self::start_in(folder, "http", &[]).await
    }

    /// Starts one that also takes tokens of identities, over HTTPS. Its certificate is trusted only
    /// by programs that are told to trust it: see [`certificate`](Self::certificate).
    pub async fn start_with_identities() -> Self {
        let folder = tempfile::tempdir().expect("a temporary folder");
        let made = rcgen::generate_simple_self_signed(["127.0.0.1".to_owned()]);
        let made = made.expect("a certificate");
        let certificate = folder.path().join("certificate.pem");
        let key = folder.path().join("key.pem");
        std::fs::write(&certificate, made.cert.pem()).expect("a file");
        std::fs::write(&key, made.signing_key.serialize_pem()).expect("a file");
        let certificate = certificate.display().to_string();
        let key = key.display().to_string();
        let options = ["--oauth", "basic", "--cert", &certificate, "--key", &key];
        Self::start_in(folder, "https", &options).await
    }

    async fn start_in(folder: TempDir, scheme: &'static str, options: &[&str]) -> Self {
        let script = locate().await;
        let port = free_port().await;
        let options: Vec<String> = options.iter().map(|&option| option.into()).collect();
        Self {
            process: listening(&script, port, folder.path(), &options).await,
            port,
            scheme,
            script,
            options,
            folder,
        }
    }

    /// Ends the service as an operator does, and returns when it is gone. It finishes its answers
    /// and writes its files. Killed, it would lose up to five seconds of writes.
    pub async fn stop(&mut self) {
        let id = self.process.id().expect("it runs");
        let mut kill = Command::new("kill");
        let killed = kill.arg(id.to_string()).status().await;
        assert!(killed.expect("kill starts").success());
        self.process.wait().await.expect("it ends");
    }

    /// Starts the service again after [`stop`](Self::stop), with the same files and port, and
    /// returns once it listens.
    pub async fn start_again(&mut self) {
        let folder = self.folder.path();
        self.process = listening(&self.script, self.port, folder, &self.options).await;
    }

    /// The address of the account's blob service.
    pub fn endpoint(&self) -> String {
        format!("{}://127.0.0.1:{}/{ACCOUNT}", self.scheme, self.port)
    }

    /// The certificate's file, if the service was started with one.
    pub fn certificate(&self) -> String {
        let path = self.folder.path().join("certificate.pem");
        path.display().to_string()
    }

    /// A connection string with the account's key.
    pub fn connection_string(&self) -> String {
        let endpoint = self.endpoint();
        format!(
            "DefaultEndpointsProtocol=http;AccountName={ACCOUNT};AccountKey={KEY};\
             BlobEndpoint={endpoint};"
        )
    }

    /// A connection string with a shared access signature instead of the key: for the whole
    /// account, with these permissions (`rwdlac…`), until 2099.
    ///
    /// <https://learn.microsoft.com/rest/api/storageservices/create-account-sas>
    pub fn sas_connection_string(&self, permissions: &str) -> String {
        use hmac::{Hmac, KeyInit as _, Mac as _};

        let expiry = "2099-01-01T00:00:00Z";
        let version = "2021-12-02";
        let to_sign =
            format!("{ACCOUNT}\n{permissions}\nb\nsco\n\n{expiry}\n\nhttps,http\n{version}\n\n");
        let key = base64::prelude::BASE64_STANDARD
            .decode(KEY)
            .expect("a key in base64");
        let mut mac = Hmac::<sha2::Sha256>::new_from_slice(&key).expect("a key");
        mac.update(to_sign.as_bytes());
        let signature = base64::prelude::BASE64_STANDARD.encode(mac.finalize().into_bytes());
        let signature = signature
            .replace('+', "%2B")
            .replace('/', "%2F")
            .replace('=', "%3D");
        format!(
            "BlobEndpoint={};SharedAccessSignature=sv={version}&ss=b&srt=sco&sp={permissions}\
             &se={expiry}&spr=https,http&sig={signature}",
            self.endpoint()
        )
    }

    /// Replaces the content of the blob at this address.
    pub async fn overwrite(&self, blob: &str, content: String) {
        let connection = self.sas_connection_string("w");
        let (_, signature) = connection
            .split_once("SharedAccessSignature=")
            .expect("a signature");
        let put = client()
            .put(format!("{blob}?{signature}"))
            .header("x-ms-blob-type", "BlockBlob")
            .body(content);
        let answer = put.send().await.expect("an answer");
        assert_eq!(answer.status(), 201, "Azurite takes the blob");
    }

    /// Secrets that must not appear anywhere.
    pub fn secrets() -> Vec<String> {
        vec![KEY.to_owned(), "sig=".to_owned()]
    }
}

/// Starts Azurite, and returns once it listens.
async fn listening(script: &str, port: u16, folder: &Path, options: &[String]) -> Child {
    let mut process = Command::new("node")
        .arg(script)
        .args(["--blobHost", "127.0.0.1", "--blobPort", &port.to_string()])
        .args(["--disableTelemetry", "--skipApiVersionCheck", "--location"])
        .arg(folder)
        .args(options)
        .stdout(Stdio::piped())
        .stderr(Stdio::inherit())
        .kill_on_drop(true)
        .spawn()
        .expect("node starts");
    let stdout = process.stdout.take().expect("a pipe");
    let mut lines = BufReader::new(stdout).lines();
    loop {
        match lines.next_line().await.expect("Azurite's output") {
            Some(line) if line.contains("successfully listens") => break,
            Some(_) => {}
            None => panic!("Azurite ended before it listened"),
        }
    }
    // Its other output has to be read too, or it blocks when the pipe is full.
    tokio::spawn(async move { while let Ok(Some(_)) = lines.next_line().await {} });
    process
}

/// Where npm keeps Azurite's blob service. Fetches it if it is not there yet.
async fn locate() -> String {
    let output = Command::new("npx")
        .args([
            "--yes",
            "--package",
            PACKAGE,
            "--call",
            "command -v azurite-blob",
        ])
        .stdin(Stdio::null())
        .output()
        .await
        .unwrap_or_else(|error| {
            panic!("this test needs Azurite, and Azurite needs Node 20 with npx: {error}")
        });
    let path = String::from_utf8_lossy(&output.stdout).trim().to_owned();
    assert!(
        output.status.success() && !path.is_empty(),
        "this test needs Azurite, and `npx --package {PACKAGE}` did not provide it: {}",
        String::from_utf8_lossy(&output.stderr)
    );
    path
}

/// A port that is free now. It is below the range from which the system hands out ports, so it
/// stays free until the program that it is for has started.
pub(crate) async fn free_port() -> u16 {
    loop {
        let port = fastrand::u16(10_001..32_768);
        if TcpListener::bind(("127.0.0.1", port)).await.is_ok() {
            return port;
        }
    }
}

//! Moto, an emulator of AWS: the real program, from `PyPI`.
//!
//! It checks signatures and policies only once a test asks for that. Until then a test prepares
//! what it needs without a key.
//! <https://docs.getmoto.org/en/latest/docs/server_mode.html>

use std::path::Path;
use std::process::Stdio;

use serde_json::Value;
use tokio::io::{AsyncBufReadExt as _, BufReader};
use tokio::process::Child;

use crate::azurite::free_port;
use crate::python::{python, site};
use crate::server::client;

/// The version that the tests are known to pass with.
const PACKAGE: &str = "moto[server]==5.2.5";
const REGION: &str = "eu-west-1";

/// A running emulator. Dropping this ends it. Everything in it belongs to one account.
#[derive(Debug)]
pub struct Moto {
    url: String,
    _process: Child,
}

impl Moto {
    /// The account's number.
    pub const ACCOUNT: &str = "123456789012";

    /// Starts an empty emulator on a free port, and returns once it listens. Its program is kept in
    /// `folder`.
    pub async fn start(folder: &Path) -> Self {
        let site = site(folder, &[PACKAGE]).await;
        let port = free_port().await;
        let mut process = python(&[&site])
            .args([
                "-m",
                "moto.server",
                "-H",
                "127.0.0.1",
                "-p",
                &port.to_string(),
            ])
            .stdout(Stdio::null())
            .stderr(Stdio::piped())
            .kill_on_drop(true)
            .spawn()
            .expect("moto starts");
        let stderr = process.stderr.take().expect("a pipe");
        let mut lines = BufReader::new(stderr).lines();
        loop {
            match lines.next_line().await.expect("moto's output") {
                Some(line) if line.contains("Running on") => break,
                Some(_) => {}
                None => panic!("moto ended before it listened"),
            }
        }
        // Its other output has to be read too, or it blocks when the pipe is full.
        tokio::spawn(async move { while let Ok(Some(_)) = lines.next_line().await {} });
        Self {
            url: format!("http://127.0.0.1:{port}"),
            _process: process,
        }
    }

    /// The address of all services.
    pub fn url(&self) -> &str {
        &self.url
    }

    /// Accepts this many more requests from anyone. After that, accepts only requests that are
    /// signed with a key that has the permission.
    pub async fn check_after(&self, requests: u32) {
        let post = client().post(format!("{}/moto-api/reset-auth", self.url));
        let answer = post.body(requests.to_string()).send().await;
        assert_eq!(answer.expect("an answer").status(), 200);
    }

    /// Calls a service that uses JSON.
    pub async fn json(&self, service: &str, target: &str, body: &Value) -> Value {
        let version = if service == "sqs" { "1.0" } else { "1.1" };
        let request = self
            .request(service)
            .header("x-amz-target", target)
            .header("content-type", format!("application/x-amz-json-{version}"))
            .body(body.to_string());
        let text = self.answer(request).await;
        serde_json::from_str(&text).unwrap_or_default()
    }

    /// Makes a bucket.
    pub async fn make_bucket(&self, name: &str) {
        let put = client().put(format!("{}/{name}", self.url));
        self.answer(put).await;
    }

    /// Stores an object, as another program would. `path` is the bucket and the object's name, as a URL
    /// writes them.
    pub async fn put(&self, path: &str, content: Vec<u8>) {
        let put = client()
            .put(format!("{}/{path}", self.url))
            .header("authorization", authorization("s3"))
            .body(content);
        self.answer(put).await;
    }

    /// Calls a service that takes forms and answers in XML.
    pub async fn form(&self, service: &str, form: &[(&str, &str)]) -> String {
        self.answer(self.request(service).form(form)).await
    }

    /// Makes a user who may do what this policy statement allows. Returns the app settings with the
    /// user's access key.
    pub async fn user(&self, statement: &Value) -> Vec<(String, String)> {
        let policy = policy(statement);
        let iam = |form: Vec<(&'static str, String)>| async move {
            let form: Vec<_> = form.iter().map(|(name, value)| (*name, &**value)).collect();
            self.form("iam", &form).await
        };
        let of_user = |action: &str| {
            vec![
                ("Version", "2010-05-08".to_owned()),
                ("Action", action.to_owned()),
                ("UserName", "logs".to_owned()),
            ]
        };
        iam(of_user("CreateUser")).await;
        let mut put = of_user("PutUserPolicy");
        put.extend([("PolicyName", "put".to_owned()), ("PolicyDocument", policy)]);
        iam(put).await;
        let key = iam(of_user("CreateAccessKey")).await;
        [
            ("AWS_ACCESS_KEY_ID", "AccessKeyId"),
            ("AWS_SECRET_ACCESS_KEY", "SecretAccessKey"),
        ]
        .map(|(setting, element)| (setting.to_owned(), element_of(&key, element)))
        .into()
    }

    /// Makes a role for web identities that may do what this policy statement allows. Returns its
    /// name.
    pub async fn role(&self, statement: &Value) -> String {
        let trust = serde_json::json!({"Version": "2012-10-17", "Statement": [{
            "Effect": "Allow", "Principal": {"Federated": "*"},
            "Action": "sts:AssumeRoleWithWebIdentity",
        }]});
        let version = ("Version", "2010-05-08");
        let name = ("RoleName", "auth0-logs");
        let trust = trust.to_string();
        let create = [
            version,
            name,
            ("Action", "CreateRole"),
            ("AssumeRolePolicyDocument", &trust),
        ];
        self.form("iam", &create).await;
        let policy = policy(statement);
        let put = [
            version,
            name,
            ("Action", "PutRolePolicy"),
            ("PolicyName", "put"),
            ("PolicyDocument", &policy),
        ];
        self.form("iam", &put).await;
        format!("arn:aws:iam::{}:role/auth0-logs", Self::ACCOUNT)
    }

    /// A post to a service. Moto finds the service by the scope of the signature.
    fn request(&self, service: &str) -> reqwest::RequestBuilder {
        client()
            .post(&self.url)
            .header("authorization", authorization(service))
    }

    async fn answer(&self, request: reqwest::RequestBuilder) -> String {
        let answer = request.send().await.expect("an answer of moto");
        let status = answer.status();
        let text = answer.text().await.expect("a body");
        assert!(status.is_success(), "{status}: {text}");
        text
    }
}

fn authorization(service: &str) -> String {
    let scope = format!("AKIAPREPARES/20261121/{REGION}/{service}/aws4_request");
    format!("AWS4-HMAC-SHA256 Credential={scope}, SignedHeaders=host, Signature=0")
}

fn policy(statement: &Value) -> String {
    serde_json::json!({"Version": "2012-10-17", "Statement": [statement]}).to_string()
}

fn element_of(xml: &str, name: &str) -> String {
    let (_, rest) = xml.split_once(&format!("<{name}>")).expect("the element");
    let (text, _) = rest.split_once('<').expect("its end");
    text.to_owned()
}

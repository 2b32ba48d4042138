//! One keep-alive HTTP/1.1 connection, for setup steps and HTTP senders.
use crate::profile::HttpStep;
use crate::template::Template;
use anyhow::{Context, Result, bail};
use bytes::Bytes;
use http_body_util::{BodyExt, Full};
use hyper::client::conn::http1::{SendRequest, handshake};
use hyper::{Request, Response};
use hyper_util::rt::TokioIo;
use serde_json::Value;
use std::collections::HashMap;
use std::net::SocketAddr;

/// One connection, opened with the first request and again when the server has closed it.
pub struct Http {
    addr: SocketAddr,
    host: String,
    conn: Option<SendRequest<Full<Bytes>>>,
}

/// A step whose templates are parsed once.
#[derive(Clone)]
pub struct Step {
    spec: HttpStep,
    path: Template,
    body: Template,
    headers: Vec<(String, Template)>,
}

impl Step {
    /// Parses a profile's step.
    pub fn new(s: &HttpStep) -> Self {
        Self {
            path: Template::parse(&s.path),
            body: Template::parse(&s.body),
            headers: s.headers.iter().map(|(k, v)| (k.clone(), Template::parse(v))).collect(),
            spec: s.clone(),
        }
    }

    /// Fills the placeholders that are known already.
    pub fn partial(&self, look: impl Fn(&str) -> Option<String>) -> Self {
        Self {
            path: self.path.partial(&look),
            body: self.body.partial(&look),
            headers: self.headers.iter().map(|(k, v)| (k.clone(), v.partial(&look))).collect(),
            spec: self.spec.clone(),
        }
    }

    fn accepts(&self, status: u16) -> bool {
        if self.spec.expect.is_empty() {
            (200..300).contains(&status)
        } else {
            self.spec.expect.contains(&status)
        }
    }
}

impl Http {
    /// A connection not yet opened.
    pub fn new(addr: SocketAddr, host: &str) -> Self {
        Self { addr, host: host.into(), conn: None }
    }

    async fn send(&mut self, req: Request<Full<Bytes>>) -> Result<Response<Bytes>> {
        if self.conn.as_ref().is_none_or(SendRequest::is_closed) {
            let s = tokio::net::TcpStream::connect(self.addr).await?;
            s.set_nodelay(true)?;
            let (tx, conn) = handshake(TokioIo::new(s)).await?;
            tokio::spawn(conn);
            self.conn = Some(tx);
        }
        let tx = self.conn.as_mut().context("connection")?;
        tx.ready().await?;
        let (parts, body) = tx.send_request(req).await?.into_parts();
        Ok(Response::from_parts(parts, body.collect().await?.to_bytes()))
    }

    /// Runs a step; an unexpected status is an error.
    pub async fn step(
        &mut self,
        s: &Step,
        look: &(dyn Fn(&str) -> Option<String> + Sync),
    ) -> Result<Response<Bytes>> {
        let body = s.body.render(look)?;
        let path = s.path.render(look)?;
        let mut b = Request::builder()
            .method(s.spec.method.as_str())
            .uri(&path)
            .header("host", &self.host)
            .header("accept", "application/json");
        if !body.is_empty() {
            b = b.header("content-type", "application/json");
        }
        for (k, v) in &s.headers {
            b = b.header(k.as_str(), v.render(look)?);
        }
        let r = self.send(b.body(Full::new(Bytes::from(body)))?).await?;
        if !s.accepts(r.status().as_u16()) {
            let text = String::from_utf8_lossy(r.body()).chars().take(300).collect::<String>();
            bail!("{} {path}: {} {text}", s.spec.method, r.status());
        }
        Ok(r)
    }

    /// Runs a step and stores what it captures.
    pub async fn step_into(&mut self, s: &Step, vars: &mut HashMap<String, String>) -> Result<()> {
        let r = self.step(s, &|v| vars.get(v).cloned()).await?;
        if !s.spec.capture.is_empty() {
            let json: Value = serde_json::from_slice(r.body())?;
            for (name, ptr) in &s.spec.capture {
                if let Some(v) = json.pointer(ptr) {
                    vars.insert(name.clone(), v.as_str().map_or_else(|| v.to_string(), str::to_owned));
                }
            }
        }
        for (cookie, name) in &s.spec.capture_cookie {
            for h in r.headers().get_all("set-cookie") {
                let first = h.to_str()?.split(';').next().unwrap_or("");
                if let Some((k, v)) = first.split_once('=')
                    && k == cookie
                {
                    vars.insert(name.clone(), v.to_owned());
                }
            }
        }
        Ok(())
    }
}

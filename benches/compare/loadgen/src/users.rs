//! Users and their credentials: tokens signed here, or registration and log-in over HTTP.
use crate::http::{Http, Step};
use crate::profile::{Jwt, Profile};
use crate::template::Template;
use anyhow::{Context, Result};
use base64::{Engine, engine::general_purpose::URL_SAFE_NO_PAD as B64};
use futures_util::future::try_join_all;
use hmac::{Hmac, KeyInit, Mac};
use serde_json::{Value, json};
use sha2::Sha256;
use std::collections::HashMap;
use std::net::SocketAddr;
use std::path::Path;
use std::time::{SystemTime, UNIX_EPOCH};

/// Placeholders of one user: `n`, `run`, `id`, `name`, `token`, and whatever the setup captured.
pub type Vars = HashMap<String, String>;

/// How to make users.
pub struct Make<'a> {
    /// The dialect.
    pub profile: &'a Profile,
    /// Number of this run, for names that no earlier run has used.
    pub run: u32,
    /// Where the server listens.
    pub addr: SocketAddr,
    /// The `Host` header.
    pub host: &'a str,
    /// How many to register at the same time, each on its own keep-alive connection.
    pub concurrency: usize,
}

impl Make<'_> {
    /// Makes `n` users, or takes them from `file` when it holds enough; keeps new ones there.
    pub async fn users(&self, n: usize, file: Option<&Path>) -> Result<Vec<Vars>> {
        if let Some(f) = file.filter(|f| f.exists()) {
            let v: Vec<Vars> = serde_json::from_slice(&std::fs::read(f)?)?;
            if v.len() >= n {
                return Ok(v.into_iter().take(n).collect());
            }
        }
        let lanes = self.concurrency.clamp(1, n.max(1));
        let made = try_join_all((0..lanes).map(|l| self.lane((l..n).step_by(lanes)))).await?;
        let mut users: Vec<(usize, Vars)> = made.into_iter().flatten().collect();
        users.sort_by_key(|u| u.0);
        let users: Vec<Vars> = users.into_iter().map(|u| u.1).collect();
        if let Some(f) = file {
            std::fs::write(f, serde_json::to_vec(&users)?)?;
        }
        Ok(users)
    }

    async fn lane(&self, numbers: impl Iterator<Item = usize>) -> Result<Vec<(usize, Vars)>> {
        let steps: Vec<Step> = self.profile.users.http.iter().map(Step::new).collect();
        let mut http = Http::new(self.addr, self.host);
        let mut out = Vec::new();
        for i in numbers {
            let mut v = self.local(i)?;
            for s in &steps {
                http.step_into(s, &mut v).await.with_context(|| format!("user {i}"))?;
            }
            out.push((i, v));
        }
        Ok(out)
    }

    /// What needs no server: names and signed tokens.
    fn local(&self, i: usize) -> Result<Vars> {
        let u = &self.profile.users;
        let mut v = Vars::from([("n".into(), i.to_string()), ("run".into(), self.run.to_string())]);
        for (k, t) in [("id", &u.id), ("name", &u.name)] {
            let s = Template::parse(t).render(|x| v.get(x).cloned())?;
            v.insert(k.into(), s);
        }
        if let Some(j) = &u.jwt {
            let t = token(j, &v)?;
            v.insert("token".into(), t);
        }
        Ok(v)
    }
}

fn token(j: &Jwt, vars: &Vars) -> Result<String> {
    let text = Template::parse(&j.claims).render(|v| vars.get(v).cloned())?;
    let mut claims: Value = serde_json::from_str(&text).context("users.jwt.claims")?;
    let now = SystemTime::now().duration_since(UNIX_EPOCH)?.as_secs();
    if let Some(o) = claims.as_object_mut() {
        o.entry("iat").or_insert(json!(now));
        o.entry("exp").or_insert(json!(now + 7 * 86_400));
    }
    let secret = std::env::var(&j.secret_env).with_context(|| format!("users.jwt: ${}", j.secret_env))?;
    sign(&secret, &claims.to_string())
}

fn sign(secret: &str, claims: &str) -> Result<String> {
    let head = B64.encode(r#"{"alg":"HS256","typ":"JWT"}"#);
    let text = format!("{head}.{}", B64.encode(claims));
    let mut mac = Hmac::<Sha256>::new_from_slice(secret.as_bytes())?;
    mac.update(text.as_bytes());
    Ok(format!("{text}.{}", B64.encode(mac.finalize().into_bytes())))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn known_token() {
        // jwt.io's well-known example
        let t = sign("your-256-bit-secret", r#"{"sub":"1234567890","name":"John Doe","iat":1516239022}"#);
        let t = t.unwrap();
        assert_eq!(t.rsplit('.').next(), Some("SflKxwRJSMeKKF2QT4fwpMeJf36POk6yJV_adQssw5c"));
        assert!(t.starts_with("eyJhbGciOiJIUzI1NiIsInR5cCI6IkpXVCJ9.eyJzdWIiOiIxMjM0NTY3ODkwIiw"));
    }
}

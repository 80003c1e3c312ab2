//! Where a request goes: a URL of this machine, or through the API server into the cluster.

use std::time::Duration;

use anyhow::{Context, Result};
use http::{HeaderMap, Request, Response, StatusCode};
use serde::de::DeserializeOwned;

/// The answer to a request, read to its end.
#[derive(Debug, Clone)]
pub struct Answer {
    /// The status.
    pub status: StatusCode,
    /// The headers.
    pub headers: HeaderMap,
    /// The body.
    pub body: String,
}

impl Answer {
    /// The body as JSON.
    pub fn json<T: DeserializeOwned>(&self) -> Result<T> {
        serde_json::from_str(&self.body)
            .with_context(|| format!("{} with the body {}", self.status, self.body))
    }
}

/// An HTTP server.
#[derive(Clone)]
pub struct Endpoint(Transport);

#[derive(Clone)]
enum Transport {
    Url { base: String, client: reqwest::Client },
    ApiServer { prefix: String, client: kube::Client },
}

impl Endpoint {
    /// The server at `base`, such as `http://localhost:30080`.
    pub fn url(base: &str) -> Result<Self> {
        let client = reqwest::Client::builder()
            .no_proxy()
            .timeout(Duration::from_secs(30))
            .build()?;
        Ok(Self(Transport::Url {
            base: base.to_owned(),
            client,
        }))
    }

    /// A pod's or a Service's port through the API server's proxy. `target` is `pods/NAME:PORT` or
    /// `services/NAME:PORT`. The API server keeps the `Authorization` header for itself, so this is for requests
    /// that need none.
    pub fn proxied(client: kube::Client, namespace: &str, target: &str) -> Self {
        Self(Transport::ApiServer {
            prefix: format!("/api/v1/namespaces/{namespace}/{target}/proxy"),
            client,
        })
    }

    /// Sends the request, whose URI is a path with its query.
    pub async fn send(&self, request: Request<String>) -> Result<Answer> {
        let (mut head, body) = request.into_parts();
        let path = head
            .uri
            .path_and_query()
            .map_or("/", |path| path.as_str())
            .to_owned();
        match &self.0 {
            Transport::Url { base, client } => {
                let sent = client
                    .request(head.method, format!("{base}{path}"))
                    .headers(head.headers)
                    .body(body);
                let answer = sent
                    .send()
                    .await
                    .with_context(|| format!("asking {base}{path}"))?;
                let (status, headers) = (answer.status(), answer.headers().clone());
                Ok(Answer {
                    status,
                    headers,
                    body: answer.text().await?,
                })
            }
            Transport::ApiServer { prefix, client } => {
                head.uri = format!("{prefix}{path}").parse()?;
                let request = Request::from_parts(head, kube::client::Body::from(body.into_bytes()));
                let answer: Response<_> = client
                    .send(request)
                    .await
                    .with_context(|| format!("asking {prefix}{path}"))?;
                let (head, body) = answer.into_parts();
                let body = String::from_utf8(body.collect_bytes().await?.to_vec())?;
                Ok(Answer {
                    status: head.status,
                    headers: head.headers,
                    body,
                })
            }
        }
    }

    /// GET of `path`.
    pub async fn get(&self, path: &str) -> Result<Answer> {
        self.send(Request::get(path).body(String::new())?).await
    }
}

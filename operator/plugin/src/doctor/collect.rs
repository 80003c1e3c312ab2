//! What the doctor looks at: every question is asked once, and what goes wrong is part of the answer.

use std::{collections::BTreeMap, time::Duration};

use anyhow::{Context as _, Result, bail, ensure};
use futures::future::{join, join_all};
use k8s_openapi::api::core::v1::{Pod, Secret};
use kube::{Api, ResourceExt as _, api::ListParams};
use platform_core::{
    api::{ApiDocs, KeyRef, Platform, ServiceMetrics},
    evidence::{Evidence, Question, Questions, Volume, ask_about, pod_url},
    known::GATEWAY,
    resolve::{Resolved, Service},
};
use platform_operator::{cluster::within_deadline, evidence::ask};
use tokio::{net::TcpStream, time::timeout};

use super::{checks::is_of, dns::resolves};
use crate::{
    connection::{Connection, Meaning},
    forward::{Forward, Target, endpoint_slices, ready_pods},
    reach::Reach,
};

/// How long anything may take to answer one question.
const ANSWER: Duration = Duration::from_secs(10);
/// The domain of nearly every cluster; one that has another has no answer to the first question.
const DOMAIN: &str = "svc.cluster.local";
/// The cluster's name server, under whichever program.
const NAME_SERVER: (&str, &str) = ("kube-system", "k8s-app=kube-dns");
const NAME_SERVER_PORT: u16 = 53;

/// An answer, or why there is none.
pub type Answer<T> = std::result::Result<T, String>;

/// What was seen of a Platform.
#[derive(Clone, Debug)]
pub struct Seen {
    /// The Platform.
    pub platform: Platform,
    /// What it means; the rules that it breaks where it means nothing.
    pub resolved: Answer<Resolved>,
    /// Its pods.
    pub pods: Vec<Pod>,
    /// Its services that have pods, by name.
    pub services: BTreeMap<String, SeenService>,
    /// Which spans arrived; None where no Jaeger can be asked.
    pub evidence: Option<Evidence>,
    /// Whether the Secret of the DSN has its key; None where none is named.
    pub dsn: Option<Answer<bool>>,
    /// The status of the page with the documents of all services; None where there is none.
    pub portal: Option<Answer<u16>>,
}

/// What was seen of a service.
#[derive(Clone, Debug)]
pub struct SeenService {
    /// Whether its name resolves in the cluster.
    pub name_resolves: Answer<bool>,
    /// Number of ready pods behind its Service.
    pub endpoints: Answer<usize>,
    /// Its metrics; None where it is not known to offer any.
    pub metrics: Option<Answer<String>>,
    /// Its API document; None where the Platform wants none.
    pub document: Option<Answer<String>>,
}

/// Looks at everything.
pub(super) async fn collect(connection: &Connection, platform: Platform) -> Result<Seen> {
    let Meaning { resolved, live } = match connection.meaning(&platform).await {
        Ok(meaning) => meaning,
        Err(error) => {
            return Ok(Seen {
                resolved: Err(format!("{error:#}")),
                pods: connection.pods(&platform).await?,
                services: BTreeMap::new(),
                evidence: None,
                dsn: None,
                portal: None,
                platform,
            });
        }
    };
    let mut reach = Reach::new(connection.client.clone())?;
    let evidence = match ask_about(&resolved, &live) {
        Some(questions) => {
            let questions = from_here(&mut reach, questions, &live.pods).await?;
            Some(ask(&reach.clients, &questions).await)
        }
        None => None,
    };
    let dsn = resolved.errors.as_ref().and_then(|errors| errors.dsn.as_ref());
    Ok(Seen {
        services: see_services(connection, &mut reach, &resolved, &live.pods).await,
        evidence,
        dsn: match dsn {
            Some(key) => Some(has_key(connection, &resolved.namespace, key).await),
            None => None,
        },
        portal: see_portal(&mut reach, &resolved, &live.pods).await,
        platform,
        resolved: Ok(resolved),
        pods: live.pods,
    })
}

/// What is seen of each service that has pods.
async fn see_services(
    connection: &Connection,
    reach: &mut Reach,
    resolved: &Resolved,
    pods: &[Pod],
) -> BTreeMap<String, SeenService> {
    let running = resolved.services.iter().filter(|service| service.scale.max() > 0);
    let running: Vec<(&Service, String)> = running
        .map(|service| (service, resolved.name.workload(&service.name)))
        .collect();
    let hosts: Vec<&str> = running.iter().map(|(_, host)| host.as_str()).collect();
    let (names, endpoints) = join(
        resolve_names(connection, &resolved.namespace, &hosts),
        count_endpoints(connection, &resolved.namespace, &hosts),
    )
    .await;
    let mut seen = BTreeMap::new();
    for (((service, host), name_resolves), endpoints) in running.iter().zip(names).zip(endpoints) {
        let document = format!(
            "{}{}",
            resolved.in_cluster_url(host, service.port),
            service.api_document
        );
        let seen_service = SeenService {
            name_resolves,
            endpoints,
            metrics: match &service.metrics {
                Some(metrics) => Some(pod_metrics(reach, pods, service.name.as_str(), metrics).await),
                None => None,
            },
            document: if resolved.api_docs == ApiDocs::Disabled {
                None
            } else {
                Some(get(reach, &document, pods).await.and_then(successful))
            },
        };
        seen.insert(service.name.to_string(), seen_service);
    }
    seen
}

/// The status of the page with the documents of all services; None where there is none.
async fn see_portal(reach: &mut Reach, resolved: &Resolved, pods: &[Pod]) -> Option<Answer<u16>> {
    let gateway = resolved
        .service(GATEWAY)
        .filter(|gateway| gateway.scale.max() > 0 && resolved.api_docs == ApiDocs::Portal)?;
    let host = resolved.name.workload(&gateway.name);
    let url = format!("{}/api-docs", resolved.in_cluster_url(&host, gateway.port));
    Some(get(reach, &url, pods).await.map(|(status, _)| status))
}

/// The operator's own questions, with URLs that this machine reaches.
async fn from_here(reach: &mut Reach, questions: Questions, pods: &[Pod]) -> Result<Questions> {
    let mut services = BTreeMap::new();
    for (name, question) in questions.services {
        let mut collectors = Vec::new();
        for collector in question.collectors {
            collectors.push(reach.url(&collector, pods).await?);
        }
        let url = reach.url(&question.url, pods).await?;
        services.insert(name, Question { url, collectors });
    }
    let volume = match questions.volume {
        Some(volume) => Some(Volume {
            url: reach.url(&volume.url, pods).await?,
            ..volume
        }),
        None => None,
    };
    Ok(Questions {
        query_url: reach.url(&questions.query_url, pods).await?,
        services,
        volume,
    })
}

/// Status and body of the answer.
async fn get(reach: &mut Reach, url: &str, pods: &[Pod]) -> Answer<(u16, String)> {
    let url = reach.url(url, pods).await.map_err(|error| format!("{error:#}"))?;
    let answer = async {
        let answer = reach.clients.http.get(&url).timeout(ANSWER).send().await?;
        Ok((answer.status().as_u16(), answer.text().await?))
    };
    answer
        .await
        .map_err(|error| reach.explain(&url, error).to_string())
}

fn successful((status, body): (u16, String)) -> Answer<String> {
    if (200..300).contains(&status) {
        Ok(body)
    } else {
        Err(format!("it answers {status}"))
    }
}

/// The metrics of one pod of a service: its Service has no port for them.
async fn pod_metrics(
    reach: &mut Reach,
    pods: &[Pod],
    service: &str,
    metrics: &ServiceMetrics,
) -> Answer<String> {
    let own = pods.iter().filter(|pod| is_of(pod, service));
    let mut addresses = own.filter_map(|pod| pod.status.as_ref()?.pod_ip.as_deref());
    let address = addresses.next().ok_or("no pod has an address")?;
    let url = pod_url(address, metrics.port, &metrics.path);
    get(reach, &url, pods).await.and_then(successful)
}

async fn has_key(connection: &Connection, namespace: &str, key: &KeyRef) -> Answer<bool> {
    let secrets: Api<Secret> = connection.api(namespace);
    match within_deadline(secrets.get_opt(&key.name)).await {
        Ok(secret) => Ok(secret.is_some_and(|secret| {
            let data = secret.data.unwrap_or_default();
            data.get(&key.key).is_some_and(|value| !value.0.is_empty())
        })),
        Err(error) => Err(error.to_string()),
    }
}

async fn count_endpoints(connection: &Connection, namespace: &str, services: &[&str]) -> Vec<Answer<usize>> {
    let counts = services.iter().map(|service| async move {
        let slices = endpoint_slices(&connection.client, namespace, service).await;
        let count = |slices: Vec<_>| slices.iter().map(|slice| ready_pods(slice).count()).sum();
        slices.map(count).map_err(|error| error.to_string())
    });
    join_all(counts).await
}

/// Whether the name of each service resolves, as the cluster's own name server says.
async fn resolve_names(connection: &Connection, namespace: &str, services: &[&str]) -> Vec<Answer<bool>> {
    let ask = async {
        let forward = name_server(connection).await?;
        let mut server = TcpStream::connect(forward.address).await?;
        let known = resolves(&mut server, &format!("kubernetes.default.{DOMAIN}")).await;
        ensure!(known?, "the cluster's domain is another one than {DOMAIN}");
        let mut answers = Vec::new();
        for service in services {
            answers.push(resolves(&mut server, &format!("{service}.{namespace}.{DOMAIN}")).await?);
        }
        Ok(answers)
    };
    let answers = timeout(ANSWER, ask)
        .await
        .unwrap_or_else(|_| bail!("the name server does not answer in time"));
    match answers {
        Ok(answers) => answers.into_iter().map(Ok).collect(),
        Err(error) => services.iter().map(|_| Err(format!("{error:#}"))).collect(),
    }
}

async fn name_server(connection: &Connection) -> Result<Forward> {
    let (namespace, selector) = NAME_SERVER;
    let pods: Api<Pod> = connection.api(namespace);
    let found = within_deadline(pods.list(&ListParams::default().labels(selector))).await?;
    let pod = found
        .items
        .first()
        .context("no pod of the cluster's name server is to be found")?;
    let target = Target::Pod {
        namespace: namespace.to_owned(),
        name: pod.name_any(),
        port: NAME_SERVER_PORT,
    };
    Forward::open(connection.client.clone(), target, 0).await
}

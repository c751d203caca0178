//! Finding functions: each is a service of NATS micro (ADR-32), which tells its
//! name, its subjects and, in its metadata, where in Nex it belongs.
//!
//! Other services on the same NATS answer the same question. They are told apart
//! by their metadata and left out.

use std::collections::BTreeMap;

use async_nats::Message;
use futures_util::StreamExt;
use nex_protocol::micro::{DiscoverySubject, Verb};
use nex_protocol::name::{Namespace, WorkloadName};
use nex_protocol::subject::{Subject, SubjectPattern, Token};
use serde::Deserialize;
use tokio::time::Instant;

use super::answers::{Verdict, gather};
use super::{Answers, DiscoveryError};
use crate::client::Client;

/// Type of the answer to that.
const INFO_TYPE: &str = "io.nats.micro.v1.info_response";

/// Where a service says which namespace it belongs to.
const NAMESPACE_KEY: &str = "nex.namespace";

/// Where a service says which node runs it.
const NODE_KEY: &str = "nex.node";

/// A description larger than this is not read, in bytes.
const MAX_INFO_BYTES: usize = 256 << 10;

/// Most subjects of one function that are kept.
const MAX_SUBJECTS: usize = 256;

/// Most instances of one function that are kept.
const MAX_INSTANCES: usize = 4096;

/// A function that runs somewhere, with all its instances.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct FoundFunction {
    /// Its namespace.
    pub namespace: Namespace,
    /// Its name.
    pub name: WorkloadName,
    /// What it is, for people.
    pub description: String,
    /// Its version, as NATS micro has one; it says nothing to Nex.
    pub version: String,
    /// The subjects that trigger it, of all instances together, sorted.
    pub subjects: Vec<SubjectPattern>,
    /// Its instances, which share the calls; sorted by id.
    pub instances: Vec<FunctionInstance>,
}

/// One running instance of a function.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
#[non_exhaustive]
pub struct FunctionInstance {
    /// Id of the workload.
    pub id: String,
    /// Public key of the node that runs it, if it says so.
    pub node_id: Option<String>,
}

impl FoundFunction {
    /// The subject to call it on, where there is no choice: it has one trigger, without wildcards.
    #[must_use]
    pub fn only_subject(&self) -> Option<Subject> {
        match self.subjects.as_slice() {
            [only] => only.as_str().parse().ok(),
            _ => None,
        }
    }
}

impl Client {
    /// All functions that run, in one namespace or in all, sorted by namespace and name.
    ///
    /// ```no_run
    /// # async fn run(client: nex_client::Client) -> Result<(), Box<dyn std::error::Error>> {
    /// for function in client.functions(None).await? {
    ///     println!("{}/{} on {:?}", function.namespace, function.name, function.subjects);
    /// }
    /// # Ok(()) }
    /// ```
    ///
    /// # Errors
    /// [`DiscoveryError`] when the question cannot be put.
    pub async fn functions(
        &self,
        namespace: Option<&Namespace>,
    ) -> Result<Vec<FoundFunction>, DiscoveryError> {
        self.ask_services(None, namespace).await
    }

    /// The function of this name in a namespace, if one runs.
    ///
    /// ```no_run
    /// # async fn run(client: nex_client::Client) -> Result<(), Box<dyn std::error::Error>> {
    /// use nex_client::call::{DEFAULT_CALL_TIMEOUT, HeaderMap};
    ///
    /// let found = client.function(&"echo".parse()?, &"default".parse()?).await?;
    /// let function = found.ok_or("no function is called echo")?;
    /// let subject = function.only_subject().ok_or("it has several subjects")?;
    /// let reply = client.call(&subject, "hello", HeaderMap::new(), DEFAULT_CALL_TIMEOUT).await?;
    /// # Ok(()) }
    /// ```
    ///
    /// # Errors
    /// [`DiscoveryError`] when the question cannot be put.
    pub async fn function(
        &self,
        name: &WorkloadName,
        namespace: &Namespace,
    ) -> Result<Option<FoundFunction>, DiscoveryError> {
        // A name of a workload is always a token.
        let token = name.as_str().parse().ok();
        let found = self.ask_services(token, Some(namespace)).await?;
        Ok(found.into_iter().find(|function| function.name == *name))
    }

    async fn ask_services(
        &self,
        name: Option<Token>,
        namespace: Option<&Namespace>,
    ) -> Result<Vec<FoundFunction>, DiscoveryError> {
        let question = DiscoverySubject { verb: Verb::Info, name, id: None }.to_string();
        let inbox = self.nats().new_inbox();
        let messages = self.listen(&inbox).await?;
        let asked = Instant::now();
        self.put(question, &inbox).await?;
        let answers: Answers<Option<Described>> =
            gather(messages, asked, self.timeout(), judge_info);
        let described = answers.filter_map(std::future::ready).collect::<Vec<_>>().await;
        Ok(merge(described, namespace))
    }
}

/// The answer of a service. What other services say beyond it does not matter.
#[derive(Deserialize)]
struct Info {
    #[serde(rename = "type", default)]
    kind: String,
    name: String,
    id: String,
    #[serde(default)]
    version: String,
    #[serde(default)]
    description: Option<String>,
    #[serde(default)]
    metadata: Option<BTreeMap<String, String>>,
    #[serde(default)]
    endpoints: Option<Vec<EndpointInfo>>,
}

#[derive(Deserialize)]
struct EndpointInfo {
    subject: String,
}

/// One instance of a function, as it describes itself.
struct Described {
    namespace: Namespace,
    name: WorkloadName,
    description: String,
    version: String,
    subjects: Vec<SubjectPattern>,
    instance: FunctionInstance,
}

/// Another service's description is an answer too, of no function: that it came says when
/// answers stop coming.
fn judge_info(message: &Message) -> Verdict<Option<Described>> {
    if message.payload.len() > MAX_INFO_BYTES {
        return Verdict::Garbage;
    }
    match serde_json::from_slice::<Info>(&message.payload) {
        Ok(info) if info.kind == INFO_TYPE && !info.id.is_empty() => {
            Verdict::Answer { from: info.id.clone(), value: Described::of(info) }
        }
        Ok(_) | Err(_) => Verdict::Garbage,
    }
}

impl Described {
    /// The function that the service is, if it is one.
    fn of(info: Info) -> Option<Self> {
        let metadata = info.metadata?;
        let subjects = info.endpoints.unwrap_or_default().into_iter().take(MAX_SUBJECTS);
        Some(Self {
            namespace: metadata.get(NAMESPACE_KEY)?.parse().ok()?,
            name: info.name.parse().ok()?,
            description: info.description.unwrap_or_default(),
            version: info.version,
            subjects: subjects.filter_map(|endpoint| endpoint.subject.parse().ok()).collect(),
            instance: FunctionInstance { id: info.id, node_id: metadata.get(NODE_KEY).cloned() },
        })
    }
}

/// Functions out of their instances.
fn merge(described: Vec<Described>, namespace: Option<&Namespace>) -> Vec<FoundFunction> {
    let mut functions: BTreeMap<(Namespace, WorkloadName), FoundFunction> = BTreeMap::new();
    for one in described {
        if namespace.is_some_and(|namespace| !namespace.is_asked_for_by(one.namespace.as_str())) {
            continue;
        }
        let key = (one.namespace.clone(), one.name.clone());
        let function = functions.entry(key).or_insert_with(|| FoundFunction {
            namespace: one.namespace,
            name: one.name,
            description: one.description,
            version: one.version,
            subjects: Vec::new(),
            instances: Vec::new(),
        });
        if function.instances.len() < MAX_INSTANCES {
            function.instances.push(one.instance);
        }
        for subject in one.subjects {
            if function.subjects.len() < MAX_SUBJECTS && !function.subjects.contains(&subject) {
                function.subjects.push(subject);
            }
        }
    }
    let mut functions: Vec<_> = functions.into_values().collect();
    for function in &mut functions {
        function.instances.sort();
        function.subjects.sort();
    }
    functions
}

#[cfg(test)]
mod tests {
    use super::*;

    fn described(text: &str) -> Option<Described> {
        let message = Message {
            subject: "_INBOX.x".into(),
            reply: None,
            payload: text.to_owned().into(),
            headers: None,
            status: None,
            description: None,
            length: 0,
        };
        match judge_info(&message) {
            Verdict::Answer { value, .. } => value,
            Verdict::Sign | Verdict::Garbage => panic!("{text}: not read"),
        }
    }

    fn info(id: &str, namespace: &str, subjects: &str) -> String {
        format!(
            r#"{{"type":"{INFO_TYPE}","name":"echo","id":"{id}","version":"0.0.1","description":"d",
                "metadata":{{"nex.namespace":"{namespace}","nex.node":"N1"}},"endpoints":[{subjects}]}}"#
        )
    }

    #[test]
    fn instances_are_one_function() {
        let (a, b) = (r#"{"name":"x","subject":"a.b"}"#, r#"{"name":"y","subject":"c.>"}"#);
        let told = [
            info("2", "default", a),
            info("1", "default", &format!("{a},{b}")),
            info("3", "dev", a),
        ];
        let all = || told.iter().filter_map(|text| described(text)).collect::<Vec<_>>();
        let found = merge(all(), None);
        assert_eq!(found.len(), 2);
        let [default, dev] = &found[..] else { panic!("{found:?}") };
        assert_eq!(default.subjects.iter().map(AsRef::as_ref).collect::<Vec<_>>(), ["a.b", "c.>"]);
        assert_eq!(
            default.instances.iter().map(|one| one.id.as_str()).collect::<Vec<_>>(),
            ["1", "2"]
        );
        assert_eq!(default.only_subject(), None);
        assert_eq!(dev.only_subject().unwrap().as_str(), "a.b");
        let inside = merge(all(), Some(&dev.namespace));
        assert_eq!(inside, std::slice::from_ref(dev));
    }

    #[test]
    fn what_is_no_function_is_left_out() {
        for other in [
            r#"{"type":"io.nats.micro.v1.info_response","name":"other","id":"x","metadata":null}"#,
            r#"{"type":"io.nats.micro.v1.info_response","name":"other","id":"x"}"#,
            &info("1", "no.namespace", ""),
            &info("1", "default", "").replace("echo", "No_Workload"),
        ] {
            assert!(described(other).is_none(), "{other}");
        }
        // A subject that is none is not called; a wildcard alone is no subject to call.
        let odd = info("1", "default", r#"{"subject":"a..b"},{"subject":"a.*"}"#);
        let found = merge(described(&odd).into_iter().collect(), None);
        assert_eq!(found[0].subjects.len(), 1);
        assert_eq!(found[0].only_subject(), None);
    }
}

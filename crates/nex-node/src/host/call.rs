//! From a message of an agent to a checked call: pure, and fuzzed.

use std::sync::Arc;

use bytes::Bytes;
use nex_protocol::{agent::header, nats::HeaderMap};

use super::{
    Scope,
    failure::{Failure, FailureForm},
    http::HttpCall,
    kv::{Key, KvCall},
    messaging::MessagingCall,
    objects::{ObjectCall, ObjectName},
    subjects::{SubjectRefusal, SubjectRules},
};
use crate::config::HostServicesConfig;

/// What one workload may ask for.
#[derive(Debug, Clone)]
pub struct Rules {
    pub(super) config: Arc<HostServicesConfig>,
    subjects: SubjectRules,
}

impl Rules {
    /// The rules for one workload. `own_inboxes` is what the inboxes of the node's own NATS
    /// connection begin with, last dot included.
    #[must_use]
    pub fn new(config: Arc<HostServicesConfig>, scope: &Scope, own_inboxes: &str) -> Self {
        let subjects = SubjectRules::new(&config.messaging, scope, own_inboxes);
        Self { config, subjects }
    }
}

/// A call of a host service whose every part was checked.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum HostCall {
    /// `kv.…`
    Kv(KvCall),
    /// `objectstore.…`
    Objects(ObjectCall),
    /// `messaging.…`
    Messaging(MessagingCall),
    /// `http.…`
    Http(Box<HttpCall>),
}

/// Why a message is no call that can be made.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Refusal {
    pub(super) failure: Failure,
    pub(super) form: FailureForm,
}

impl Refusal {
    /// The reason: one line.
    #[must_use]
    pub fn text(&self) -> &str {
        self.failure.text()
    }
}

/// A message to a host service, as an agent sent it.
#[derive(Debug, Clone)]
pub struct Rpc<'a> {
    /// Token of the subject.
    pub service: &'a str,
    /// Token of the subject.
    pub method: &'a str,
    /// Headers.
    pub headers: Option<&'a HeaderMap>,
    /// Body.
    pub body: Bytes,
}

impl Rpc<'_> {
    /// How the agent reads errors of this method.
    pub(super) fn form(&self) -> FailureForm {
        match (self.service, self.method) {
            ("kv", "set" | "delete") => FailureForm::KeyValueWrite,
            ("kv", _) => FailureForm::KeyValue,
            ("objectstore" | "messaging", _) => FailureForm::List,
            _ => FailureForm::One,
        }
    }

    /// Makes a checked call of it.
    ///
    /// # Errors
    /// A [`Refusal`] with the reason.
    pub fn decode(self, rules: &Rules) -> Result<HostCall, Refusal> {
        let form = self.form();
        self.read(rules).map_err(|failure| Refusal { failure, form })
    }

    fn read(self, rules: &Rules) -> Result<HostCall, Failure> {
        let config = &rules.config;
        let enabled = |enabled: bool, key: &str| {
            let service = self.service;
            enabled.then_some(()).ok_or_else(|| {
                Failure::new(format!(
                    "{service} is switched off on this node (host_services.{key}.enabled)"
                ))
            })
        };
        match self.service {
            "kv" => {
                enabled(config.kv.enabled, "kv")?;
                self.read_kv(config.kv.max_value_bytes).map(HostCall::Kv)
            }
            "objectstore" => {
                enabled(config.object_store.enabled, "object_store")?;
                self.read_objects(config.object_store.max_object_bytes).map(HostCall::Objects)
            }
            "messaging" => {
                enabled(config.messaging.enabled, "messaging")?;
                self.read_messaging(&rules.subjects).map(HostCall::Messaging)
            }
            "http" => {
                enabled(config.http.enabled, "http")?;
                let call = HttpCall::read(self.method, self.headers, self.body, &config.http)?;
                Ok(HostCall::Http(Box::new(call)))
            }
            other => Err(Failure::new(format!(
                "there is no host service `{other}`: there are kv, objectstore, messaging and http"
            ))),
        }
    }

    fn header(&self, name: &str) -> &str {
        self.headers.and_then(|headers| headers.get(name)).unwrap_or_default()
    }

    fn key(&self, failed: impl FnOnce() -> String) -> Result<Key, Failure> {
        let text = self.header(header::KEY_VALUE_KEY);
        if text.is_empty() {
            return Err(Failure::required("key"));
        }
        text.parse().map_err(|error| Failure::new(format!("{} {text}: {error}", failed())))
    }

    fn read_kv(self, max_value: usize) -> Result<KvCall, Failure> {
        let size = self.body.len();
        match self.method {
            "get" => self.key(|| "failed to get value for key".to_owned()).map(KvCall::Get),
            "set" => {
                let key = self.key(|| format!("failed to write {size}-byte value for key"))?;
                let call = KvCall::Set(key, self.body);
                if size > max_value {
                    let failed = call.failed();
                    return Err(Failure::new(format!(
                        "{failed}: a value can have {max_value} bytes"
                    )));
                }
                Ok(call)
            }
            "delete" => self.key(|| "failed to delete key".to_owned()).map(KvCall::Delete),
            "keys" => Ok(KvCall::Keys),
            other => Err(no_method("kv", other, "get, set, delete and keys")),
        }
    }

    fn name(&self, failed: impl FnOnce() -> String) -> Result<ObjectName, Failure> {
        let text = self.header(header::OBJECT_NAME);
        if text.is_empty() {
            return Err(Failure::required("name"));
        }
        text.parse().map_err(|error| Failure::new(format!("{} {text}: {error}", failed())))
    }

    fn read_objects(self, max_object: usize) -> Result<ObjectCall, Failure> {
        let size = self.body.len();
        match self.method {
            "get" => self.name(|| "failed to get object".to_owned()).map(ObjectCall::Get),
            "put" => {
                let name = self.name(|| format!("failed to write {size}-byte object"))?;
                let call = ObjectCall::Put(name, self.body);
                if size > max_object {
                    let failed = call.failed();
                    return Err(Failure::new(format!(
                        "{failed}: an object can have {max_object} bytes"
                    )));
                }
                Ok(call)
            }
            "delete" => self.name(|| "failed to delete object".to_owned()).map(ObjectCall::Delete),
            "list" => Ok(ObjectCall::List),
            other => Err(no_method("objectstore", other, "get, put, delete and list")),
        }
    }

    fn read_messaging(self, rules: &SubjectRules) -> Result<MessagingCall, Failure> {
        let call = match self.method {
            "publish" => MessagingCall::Publish,
            "request" => MessagingCall::Request,
            "requestMany" => MessagingCall::RequestMany,
            other => return Err(no_method("messaging", other, "publish, request and requestMany")),
        };
        let text = self.header(header::MESSAGING_SUBJECT);
        let subject = rules.check(text).map_err(|refusal| match refusal {
            SubjectRefusal::Missing => Failure::required("subject"),
            refusal => Failure::new(format!("cannot send to subject {text}: {refusal}")),
        })?;
        Ok(call(subject, self.body))
    }
}

/// A method that is not there, and those that are.
pub(super) fn no_method(service: &str, method: &str, methods: &str) -> Failure {
    Failure::new(format!("{service} has no method `{method}`: it has {methods}"))
}

//! What is to be deployed, and the signed and sealed request for it.

use std::time::Duration;

use nex_protocol::claims::{ClaimsRequest, WorkloadClaims};
use nex_protocol::control::{DeployRequest, RequestError as InvalidRequest, WorkloadType};
use nex_protocol::digest::Digest;
use nex_protocol::environment::{Environment, EnvironmentError, VariableError};
use nex_protocol::key::{CurveKey, CurvePublicKey, SigningKey};
use nex_protocol::location::ArtifactLocation;
use nex_protocol::name::{Namespace, NodeId, WorkloadName};
use nex_protocol::subject::TriggerSubject;
use thiserror::Error;

/// A program with everything a node needs to run it. It can be deployed on
/// many nodes: each deployment is signed and sealed on its own.
#[derive(Clone, Debug)]
pub struct Workload {
    name: WorkloadName,
    namespace: Namespace,
    workload_type: WorkloadType,
    description: String,
    arguments: Vec<String>,
    environment: Environment,
    essential: bool,
    triggers: Vec<TriggerSubject>,
    lifetime: Option<Duration>,
    call_timeout: Option<Duration>,
    artifact: Artifact,
}

/// Where a program is stored, and what it is.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Artifact {
    /// Bucket and key in the object store.
    pub location: ArtifactLocation,
    /// SHA-256 of its bytes; the node refuses anything else.
    pub digest: Digest,
    /// JetStream domain of the bucket, if it is not the node's own.
    pub jetstream_domain: Option<String>,
}

/// Makes a [`Workload`].
#[derive(Clone, Debug)]
#[must_use = "a builder does nothing until it is built"]
pub struct WorkloadBuilder {
    workload: Workload,
    wrong_variable: Option<VariableError>,
}

/// A request for one node, signed and sealed for it.
#[derive(Clone, Debug, PartialEq)]
pub struct Deployment {
    /// The namespace to deploy into.
    pub namespace: Namespace,
    /// The request; it names the node.
    pub request: DeployRequest,
}

/// Why a workload cannot be described or sealed.
#[derive(Debug, Error)]
pub enum WorkloadError {
    /// A variable that no process can be given.
    #[error(transparent)]
    Variable(VariableError),
    /// A function without a trigger would never run.
    #[error("a {0} function needs a subject that triggers it: give one with --trigger_subject")]
    NoTrigger(WorkloadType),
    /// Services are not triggered.
    #[error("a {0} workload is a service, which nothing triggers: leave the trigger subjects out")]
    TriggersOnService(WorkloadType),
    /// Functions are not restarted.
    #[error(
        "a {0} function cannot be essential, it only runs when triggered: leave --essential out"
    )]
    EssentialFunction(WorkloadType),
    /// Services are not called.
    #[error("a {0} workload is a service, which nothing calls: leave --call_timeout out")]
    CallTimeoutOnService(WorkloadType),
    /// No call could ever succeed.
    #[error("a call timeout of 0 leaves no time for any call: give more, or leave it out")]
    NoCallTime,
    /// The environment could not be sealed.
    #[error("cannot seal the environment for the node")]
    Seal(#[source] EnvironmentError),
    /// The node would refuse the request.
    #[error("no node would accept this workload")]
    Invalid(#[source] InvalidRequest),
}

impl Workload {
    /// A workload of this name and type whose program is stored there.
    ///
    /// ```
    /// # fn build(artifact: nex_client::deploy::Artifact) -> Result<(), Box<dyn std::error::Error>> {
    /// use nex_client::deploy::{Workload, WorkloadType};
    ///
    /// let workload = Workload::builder("echo".parse()?, WorkloadType::Elf, artifact)
    ///     .description("Says what it hears")
    ///     .arguments(["--port", "8080"])
    ///     .variable("GREETING", "hello")
    ///     .essential(true)
    ///     .build()?;
    /// # Ok(()) }
    /// ```
    pub fn builder(
        name: WorkloadName,
        workload_type: WorkloadType,
        artifact: Artifact,
    ) -> WorkloadBuilder {
        WorkloadBuilder {
            workload: Self {
                name,
                namespace: Namespace::default(),
                workload_type,
                description: String::new(),
                arguments: Vec::new(),
                environment: Environment::new(),
                essential: false,
                triggers: Vec::new(),
                lifetime: None,
                call_timeout: None,
                artifact,
            },
            wrong_variable: None,
        }
    }

    /// Its name.
    #[must_use]
    pub fn name(&self) -> &WorkloadName {
        &self.name
    }

    /// The namespace it is deployed into.
    #[must_use]
    pub fn namespace(&self) -> &Namespace {
        &self.namespace
    }

    /// Its type.
    #[must_use]
    pub fn workload_type(&self) -> WorkloadType {
        self.workload_type
    }

    /// The request that deploys it on one node: claims signed by `issuer`, the
    /// environment sealed by `publisher` for the node's `xkey`.
    ///
    /// `now` is the time in seconds since 1970 that the claims are made at.
    pub fn sign_and_seal(
        &self,
        node: NodeId,
        xkey: &CurvePublicKey,
        issuer: &SigningKey,
        publisher: &CurveKey,
        now: i64,
    ) -> Result<Deployment, WorkloadError> {
        let claims = ClaimsRequest {
            lifetime: self.lifetime,
            ..ClaimsRequest::deploy(self.name.clone(), self.artifact.digest)
        };
        let environment = self.environment.seal(publisher, xkey).map_err(WorkloadError::Seal)?;
        let request = DeployRequest {
            argv: self.arguments.clone(),
            description: self.description.clone(),
            workload_type: self.workload_type,
            location: self.artifact.location.clone(),
            essential: self.essential,
            workload_jwt: WorkloadClaims::issue(issuer, &claims, now),
            environment,
            jsdomain: self.artifact.jetstream_domain.clone(),
            sender: publisher.public(),
            target_node: node,
            trigger_subjects: self.triggers.clone(),
            call_timeout_ms: self.call_timeout.map(whole_milliseconds),
            retry_count: None,
            retried_at: None,
        };
        // The node's own limits, told before anything is sent.
        DeployRequest::decode(&request.encode()).map_err(WorkloadError::Invalid)?;
        Ok(Deployment { namespace: self.namespace.clone(), request })
    }
}

impl WorkloadBuilder {
    /// Deploys into this namespace instead of `default`.
    pub fn namespace(mut self, namespace: Namespace) -> Self {
        self.workload.namespace = namespace;
        self
    }

    /// Says what it is, for people.
    pub fn description(mut self, text: impl Into<String>) -> Self {
        self.workload.description = text.into();
        self
    }

    /// Adds arguments of the program. Each stays one argument, spaces and all.
    pub fn arguments(mut self, arguments: impl IntoIterator<Item = impl Into<String>>) -> Self {
        self.workload.arguments.extend(arguments.into_iter().map(Into::into));
        self
    }

    /// Sets an environment variable. The values are sealed for the node.
    pub fn variable(mut self, name: impl Into<String>, value: impl Into<String>) -> Self {
        if let Err(error) = self.workload.environment.insert(name, value) {
            self.wrong_variable.get_or_insert(error);
        }
        self
    }

    /// Replaces the whole environment.
    pub fn environment(mut self, environment: Environment) -> Self {
        self.workload.environment = environment;
        self
    }

    /// Whether the node starts the service again when it ends by itself.
    pub fn essential(mut self, essential: bool) -> Self {
        self.workload.essential = essential;
        self
    }

    /// Adds a subject that triggers the function.
    pub fn trigger(mut self, subject: TriggerSubject) -> Self {
        self.workload.triggers.push(subject);
        self
    }

    /// Limits how long one call of the function may take, host calls included.
    /// Counted in whole milliseconds, of which a part counts as one. Without
    /// this the node's own default holds, and a node never allows more than its
    /// own limit. A Go node knows no such limit and keeps its five seconds.
    ///
    /// ```
    /// # fn build(artifact: nex_client::deploy::Artifact) -> Result<(), Box<dyn std::error::Error>> {
    /// use std::time::Duration;
    /// use nex_client::deploy::{Workload, WorkloadType};
    ///
    /// let workload = Workload::builder("resize".parse()?, WorkloadType::Wasm, artifact)
    ///     .trigger("images.resize".parse()?)
    ///     .call_timeout(Duration::from_secs(30))
    ///     .build()?;
    /// # Ok(()) }
    /// ```
    pub fn call_timeout(mut self, timeout: Duration) -> Self {
        self.workload.call_timeout = Some(timeout);
        self
    }

    /// Limits how long the signed request can be used. Without this it can be
    /// used for ever.
    pub fn lifetime(mut self, lifetime: Duration) -> Self {
        self.workload.lifetime = Some(lifetime);
        self
    }

    /// The workload, if it makes sense.
    pub fn build(self) -> Result<Workload, WorkloadError> {
        let Self { workload, wrong_variable } = self;
        let kind = workload.workload_type;
        if let Some(error) = wrong_variable {
            return Err(WorkloadError::Variable(error));
        }
        if kind.is_function() {
            if workload.triggers.is_empty() {
                return Err(WorkloadError::NoTrigger(kind));
            }
            if workload.essential {
                return Err(WorkloadError::EssentialFunction(kind));
            }
            if workload.call_timeout.is_some_and(|timeout| timeout.is_zero()) {
                return Err(WorkloadError::NoCallTime);
            }
        } else {
            if !workload.triggers.is_empty() {
                return Err(WorkloadError::TriggersOnService(kind));
            }
            if workload.call_timeout.is_some() {
                return Err(WorkloadError::CallTimeoutOnService(kind));
            }
            // What no process can be given is told here, not by the node.
            workload.environment.for_process().map_err(WorkloadError::Variable)?;
        }
        Ok(workload)
    }
}

/// Milliseconds as the wire counts them; a part counts as a whole one.
fn whole_milliseconds(time: Duration) -> u64 {
    u64::try_from(time.as_nanos().div_ceil(1_000_000)).unwrap_or(u64::MAX)
}

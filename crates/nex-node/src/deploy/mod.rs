//! From a deploy request to a running workload, as a chain of owned types:
//!
//! ```text
//! Received ──verify──▶ Verified ──stage──▶ Staged ──place──▶ Placed ──launch──▶ Live
//! ```
//!
//! Each has one next step; a step that fails drops what the steps before it
//! took: a lease on the artifact, a claimed sandbox.

mod error;

use std::{
    sync::Arc,
    time::{Duration, SystemTime, UNIX_EPOCH},
};

use nex_protocol::{
    agent::{AgentDeployRequest, DeployExtensions},
    claims::WorkloadClaims,
    control::{DeployRequest, WorkloadType},
    environment::Environment,
    key::CurveKey,
    name::Namespace,
};
use tokio::{sync::Semaphore, time::Instant};

pub(crate) use error::DeployError;

use crate::{
    artifact::{ArtifactCache, ArtifactLease, ObjectSource},
    compile::{Compiled, Compiler},
    config::Config,
    observe::WorkloadTag,
    pool::{Lease, Pool},
    sandbox::WorkloadFiles,
    trigger::{FunctionSpec, Triggers},
    workload::{Table, Workload},
};

/// A deploy waits this long for a sandbox.
const CLAIM_LIMIT: Duration = Duration::from_secs(15);

/// How much longer than the time of a call its agent is waited for. An agent of ours ends a call
/// itself, and says why.
const ANSWER_GRACE: Duration = Duration::from_millis(250);

/// What deploys need of the node. Cheap to clone.
#[derive(Clone)]
pub(crate) struct Deployer {
    pub config: Arc<Config>,
    pub xkey: Arc<CurveKey>,
    pub objects: ObjectSource,
    pub cache: ArtifactCache,
    pub pool: Pool,
    pub table: Table,
    pub triggers: Triggers,
    /// `None` where agents need no machine code: those of the old protocol.
    pub compiler: Option<Compiler>,
    /// Deploys that are worked on at the same time.
    pub turns: Arc<Semaphore>,
}

impl Deployer {
    /// Takes a request the whole way.
    ///
    /// # Errors
    /// A [`DeployError`]; nothing of the workload is left then.
    pub(crate) async fn deploy(&self, received: Received) -> Result<Arc<Workload>, DeployError> {
        let limit = self.config.limits.max_workloads;
        if self.table.snapshot().len() >= limit {
            return Err(DeployError::TooMany(limit));
        }
        // Closed never: the semaphore lives as long as the deployer.
        let _turn = self.turns.acquire().await;
        let verified = received.verify(&self.config, &self.triggers, &self.xkey, unix_now())?;
        let staged = verified.stage(&self.objects, &self.cache).await?;
        let staged = staged.compile(&self.config, self.compiler.as_ref()).await?;
        let placed = staged.place(&self.pool).await?;
        let live = placed.launch(self).await?;
        live.record(&self.table).await
    }
}

/// Seconds since 1970, what claims are judged by.
pub(crate) fn unix_now() -> i64 {
    let since = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
    i64::try_from(since.as_secs()).unwrap_or(i64::MAX)
}

/// A request as it was read off the wire: well-formed, not yet believed.
pub(crate) struct Received {
    pub namespace: Namespace,
    pub request: DeployRequest,
}

impl Received {
    /// Believes the request, or not: the type is one this node runs, the claims
    /// are signed, in time and from an issuer the operator trusts, and the
    /// environment is sealed for this node by a requester it trusts.
    fn verify(
        self,
        config: &Config,
        triggers: &Triggers,
        xkey: &CurveKey,
        now: i64,
    ) -> Result<Verified, DeployError> {
        let Self { namespace, request } = self;
        if !config.workload_types.contains(&request.workload_type) {
            return Err(DeployError::UnsupportedType {
                asked: request.workload_type,
                offered: config.workload_types.clone(),
            });
        }
        let functional = request.workload_type.is_function();
        if functional && request.essential {
            return Err(DeployError::EssentialFunction);
        }
        let call_timeout = call_timeout(config, request.call_timeout_ms)?;
        triggers.check(&request.trigger_subjects).map_err(DeployError::Trigger)?;
        let senders = &config.requester_public_keys;
        if !senders.is_empty() && !senders.contains(&request.sender) {
            return Err(DeployError::UnknownRequester(request.sender));
        }
        let claims =
            WorkloadClaims::verify(&request.workload_jwt, now).map_err(DeployError::Claims)?;
        if !config.valid_issuers.is_empty() && !config.valid_issuers.contains(&claims.issuer) {
            return Err(DeployError::UnknownIssuer(claims.issuer));
        }
        if claims.hash.digest().is_none() {
            if config.require_artifact_hash {
                return Err(DeployError::NoHash);
            }
            tracing::warn!(name = %claims.workload, hash = %claims.hash, "the claims name no SHA-256: the artifact is not checked");
        }
        let environment = Environment::open(&request.environment, xkey, &request.sender)
            .map_err(DeployError::Environment)?
            .for_process()
            .map_err(DeployError::Variable)?;
        Ok(Verified { namespace, request, claims, environment, call_timeout })
    }
}

/// How long one call may take.
fn call_timeout(config: &Config, asked: Option<u64>) -> Result<Duration, DeployError> {
    let longest = config.functions.max_call_timeout;
    match asked {
        None => Ok(config.functions.call_timeout),
        Some(asked) if asked >= 1 && Duration::from_millis(asked) <= longest => {
            Ok(Duration::from_millis(asked))
        }
        Some(asked) => Err(DeployError::CallTimeout { asked, limit: longest.as_millis() }),
    }
}

/// A request that may be carried out.
struct Verified {
    namespace: Namespace,
    request: DeployRequest,
    claims: WorkloadClaims,
    environment: Environment,
    call_timeout: Duration,
}

impl Verified {
    /// Gets the artifact onto this machine and checks it.
    async fn stage(
        self,
        objects: &ObjectSource,
        cache: &ArtifactCache,
    ) -> Result<Staged, DeployError> {
        let claimed = self.claims.hash.digest();
        let domain = self.request.jsdomain.as_deref();
        let artifact = objects
            .fetch(&self.request.location, domain, claimed, cache)
            .await
            .map_err(DeployError::Artifact)?;
        Ok(Staged { verified: self, artifact, compiled: None })
    }
}

/// A request whose artifact is here.
struct Staged {
    verified: Verified,
    artifact: ArtifactLease,
    compiled: Option<Compiled>,
}

impl Staged {
    /// Gets the machine code of a function.
    async fn compile(
        mut self,
        config: &Config,
        compiler: Option<&Compiler>,
    ) -> Result<Self, DeployError> {
        let (size, limit) = (self.artifact.size(), config.functions.max_script_bytes);
        let kind = self.verified.request.workload_type;
        if kind == WorkloadType::V8 && size > limit {
            return Err(DeployError::Script { size, limit });
        }
        let Some(compiler) = compiler else { return Ok(self) };
        let compiled = match kind {
            WorkloadType::Elf | WorkloadType::Oci => return Ok(self),
            WorkloadType::Wasm => compiler.module(&self.artifact).await,
            WorkloadType::V8 => compiler.script_engine().await,
        };
        self.compiled = Some(compiled.map_err(DeployError::Compile)?);
        Ok(self)
    }

    /// Claims a sandbox of its own.
    async fn place(self, pool: &Pool) -> Result<Placed, DeployError> {
        let lease = pool.claim(CLAIM_LIMIT).await.map_err(DeployError::Claim)?;
        Ok(Placed { staged: self, lease })
    }
}

/// A request that has a sandbox.
struct Placed {
    staged: Staged,
    lease: Lease,
}

impl Placed {
    /// Has the agent start the program; a function is listened to when this returns.
    async fn launch(self, deployer: &Deployer) -> Result<Live, DeployError> {
        let Self { staged: Staged { verified, artifact, compiled }, lease } = self;
        let Verified { namespace, request, claims, environment, call_timeout } = verified;
        let (config, sandbox) = (&deployer.config, lease.into_sandbox());
        let functional = request.workload_type.is_function();
        let extensions = DeployExtensions {
            stop_grace_ms: u64::try_from(config.stop_grace.as_millis()).ok(),
            log_lines_per_second: Some(config.logs.lines_per_second),
            log_bytes_per_second: Some(config.logs.bytes_per_second),
            ..function_limits(config, functional.then_some(call_timeout))
        };
        let function = functional.then(|| {
            deployer.triggers.open(FunctionSpec {
                tag: WorkloadTag {
                    id: sandbox.id(),
                    namespace: namespace.clone(),
                    name: claims.workload.clone(),
                },
                kind: request.workload_type,
                description: request.description.clone(),
                digest: artifact.digest(),
                triggers: request.trigger_subjects.clone(),
                call_timeout,
                // An agent of the old protocol does not watch the time that we mean.
                answer_grace: deployer.compiler.as_ref().map_or(Duration::ZERO, |_| ANSWER_GRACE),
            })
        });
        let message = AgentDeployRequest {
            argv: request.argv,
            description: request.description.clone(),
            environment,
            essential: request.essential,
            hash: artifact.digest().to_string(),
            namespace: namespace.clone(),
            retried_at: request.retried_at,
            retry_count: request.retry_count,
            total_bytes: artifact.size(),
            trigger_subjects: request.trigger_subjects,
            workload_name: claims.workload.clone(),
            workload_type: request.workload_type,
            extensions,
        };
        let files = WorkloadFiles { artifact: Arc::new(artifact), compiled };
        sandbox.deploy(message.clone(), files.clone()).await.map_err(DeployError::Start)?;
        if let Some(function) = &function {
            function.attach(sandbox.link().clone()).await.map_err(DeployError::Attach)?;
        }
        let workload = Workload {
            id: sandbox.id(),
            namespace,
            name: claims.workload.clone(),
            kind: request.workload_type,
            description: request.description,
            essential: request.essential,
            deployed_at: Instant::now(),
            claims,
            request: message,
            files,
            function,
        };
        Ok(Live { workload: Arc::new(workload), sandbox })
    }
}

/// What a function may use; nothing for a service.
fn function_limits(config: &Config, call_timeout: Option<Duration>) -> DeployExtensions {
    let Some(call_timeout) = call_timeout else { return DeployExtensions::default() };
    let functions = &config.functions;
    DeployExtensions {
        call_timeout_ms: u64::try_from(call_timeout.as_millis()).ok(),
        max_concurrent_calls: Some(functions.max_concurrent_calls),
        max_memory_bytes: Some(functions.max_memory_bytes),
        max_output_bytes: Some(functions.max_output_bytes),
        max_script_bytes: Some(functions.max_script_bytes),
        ..DeployExtensions::default()
    }
}

/// A workload that runs.
struct Live {
    workload: Arc<Workload>,
    sandbox: crate::sandbox::SandboxHandle,
}

impl Live {
    /// Enters it into the table, which owns it from here on.
    async fn record(self, table: &Table) -> Result<Arc<Workload>, DeployError> {
        let Self { workload, sandbox } = self;
        table.insert(Arc::clone(&workload), sandbox).await.map_err(DeployError::Closed)?;
        Ok(workload)
    }
}

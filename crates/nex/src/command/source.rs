//! A program on this machine, on its way into the object store.

use std::path::{Path, PathBuf};

use nex_client::Client;
use nex_client::artifact::{DEFAULT_BUCKET, Upload};
use nex_client::deploy::Artifact;
use nex_protocol::control::WorkloadType;
use nex_protocol::digest::Digest;
use nex_protocol::location::ArtifactLocation;

use crate::input::object_key::object_key;
use crate::input::program;
use crate::output::{Printer, UploadBar};

/// A file that is to be run.
pub(super) struct Source {
    file: PathBuf,
    key: String,
    bucket_bytes: u64,
    workload_type: WorkloadType,
}

impl Source {
    /// Looks at the file. `bucket_bytes` is the room of the bucket, should it have to be made.
    pub(super) fn new(file: PathBuf, bucket_bytes: u64) -> anyhow::Result<Self> {
        let workload_type = program::inspect(&file)?.workload_type;
        Ok(Self { key: object_key(&file), file, bucket_bytes, workload_type })
    }

    /// The file.
    pub(super) fn file(&self) -> &Path {
        &self.file
    }

    /// What kind of workload it is.
    pub(super) fn workload_type(&self) -> WorkloadType {
        self.workload_type
    }

    /// Stands for the artifact before there is one, so that what no node would
    /// take is told before anything is made or sent.
    pub(super) fn placeholder(&self) -> anyhow::Result<Artifact> {
        Ok(Artifact {
            location: ArtifactLocation::new(DEFAULT_BUCKET, &self.key)?,
            digest: Digest::of(&[]),
            jetstream_domain: None,
        })
    }

    /// Uploads the file as it is now.
    pub(super) async fn upload(
        &self,
        client: &Client,
        printer: &mut Printer,
    ) -> anyhow::Result<Artifact> {
        let program = program::inspect(&self.file)?;
        if program.workload_type != self.workload_type {
            anyhow::bail!(
                "{} is another kind of program now ({}, before {}); start the command again",
                self.file.display(),
                program.workload_type,
                self.workload_type
            );
        }
        let size = std::fs::metadata(program.file()).map_or(0, |metadata| metadata.len());
        let bar = UploadBar::new(printer.messages_on_terminal() && !printer.wants_json(), size);
        let upload = Upload::of_file(program.file(), &self.key)
            .bucket_bytes(self.bucket_bytes)
            .description("uploaded by nex devrun");
        let uploaded = client.upload(&upload, |progress| bar.set(progress.sent)).await?;
        drop(bar);
        printer.message(&format!(
            "{} {} ({} bytes) as {}",
            if uploaded.was_there { "already uploaded:" } else { "uploaded" },
            self.file.display(),
            uploaded.size,
            uploaded.artifact.location
        ));
        Ok(uploaded.artifact)
    }
}

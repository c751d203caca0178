//! Paths as the node uses them: absolute, `~/` replaced.

use std::path::{Path, PathBuf};

use nex_protocol::config::NodeConfigFile;

/// Tidies every path of a file; the keys that need a home directory, and there is none, are
/// returned.
pub(super) fn tidy(file: &mut NodeConfigFile, home: Option<&Path>) -> Vec<String> {
    let mut homeless = Vec::new();
    let mut tidy = |key: &str, path: &mut Option<String>| {
        if let Some(path) = path
            && !tidy_one(path, home)
        {
            homeless.push(key.to_owned());
        }
    };
    tidy("state_dir", &mut file.state_dir);
    tidy("agent_path", &mut file.agent_path);
    tidy("default_resource_dir", &mut file.default_resource_dir);
    tidy("kernel_filepath", &mut file.kernel_filepath);
    tidy("rootfs_filepath", &mut file.rootfs_filepath);
    if let Some(cache) = &mut file.artifact_cache {
        tidy("artifact_cache.dir", &mut cache.dir);
    }
    if let Some(cache) =
        file.functions.as_mut().and_then(|functions| functions.compiled_cache.as_mut())
    {
        tidy("functions.compiled_cache.dir", &mut cache.dir);
    }
    if let Some(server) = &mut file.public_nats_server {
        tidy("public_nats_server.store_dir", &mut server.store_dir);
    }
    if let Some(http) = file.host_services.as_mut().and_then(|host| host.http.as_mut()) {
        tidy("host_services.http.ca_file", &mut http.ca_file);
    }
    let mut tidy_all = |key: &str, paths: &mut Option<Vec<String>>| {
        for (index, path) in paths.iter_mut().flatten().enumerate() {
            if !tidy_one(path, home) {
                homeless.push(format!("{key}[{index}]"));
            }
        }
    };
    tidy_all("bin_path", &mut file.bin_path);
    if let Some(cni) = &mut file.cni {
        tidy_all("cni.bin_path", &mut cni.bin_path);
    }
    homeless
}

/// Whether it could be done: `~/` needs a home directory.
fn tidy_one(path: &mut String, home: Option<&Path>) -> bool {
    let absolute = match path.strip_prefix('~') {
        Some(rest) if rest.is_empty() || rest.starts_with('/') => match home {
            Some(home) => home.join(rest.trim_start_matches('/')),
            None => return false,
        },
        // A node that cannot tell where it stands keeps the path as it is.
        _ => std::path::absolute(&*path).unwrap_or_else(|_| PathBuf::from(&*path)),
    };
    // A working directory that is not UTF-8 cannot be written into a configuration.
    if let Ok(text) = absolute.into_os_string().into_string() {
        *path = text;
    }
    true
}

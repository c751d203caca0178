//! From the global options to a connection.

use nex_client::connect::ContextChoice;
use nex_client::{Client, ConnectOptions, Secret};

use crate::args::GlobalArgs;

/// What the global options say about the connection.
pub(crate) fn connect_options(global: &GlobalArgs) -> ConnectOptions {
    let mut options = ConnectOptions::new();
    options.server = global.server.clone().map(Secret::from);
    options.creds.clone_from(&global.creds);
    options.nkey.clone_from(&global.nkey);
    options.tls_cert.clone_from(&global.tlscert);
    options.tls_key.clone_from(&global.tlskey);
    options.tls_ca.clone_from(&global.tlsca);
    options.tls_first = global.tlsfirst;
    options.timeout = global.timeout();
    options.connection_name = Some(global.conn_name.clone());
    options.context = match (&global.context, global.no_context) {
        (_, true) => ContextChoice::None,
        (Some(name), false) if !name.is_empty() => ContextChoice::Named(name.clone()),
        _ => ContextChoice::Selected,
    };
    let text = |value: &Option<String>| value.clone().filter(|text| !text.is_empty());
    match (text(&global.user), text(&global.password)) {
        // A user without a password is a token, as the Go CLI has it.
        (Some(token), None) => options.token = Some(Secret::from(token)),
        (user, password) => {
            options.user = user;
            options.password = password.map(Secret::from);
        }
    }
    options
}

/// Connects.
pub(crate) async fn connect(global: &GlobalArgs) -> anyhow::Result<Client> {
    Ok(Client::connect(connect_options(global)).await?)
}

//! `nex node config`: what `node up` would use.

use nex_node::config::{Config, Overrides, load};

use crate::args::{ConfigArgs, SettingsArgs};
use crate::exit::Exit;
use crate::output::Printer;

pub(crate) fn run(args: ConfigArgs, printer: &mut Printer) -> anyhow::Result<Exit> {
    if args.schema {
        printer.document(&Config::schema())?;
        return Ok(Exit::Ok);
    }
    let config = checked(args.settings, |overrides| overrides, printer)?;
    // Always JSON: it is the file that would say the same.
    let document = if args.origins { config.effective_with_origins() } else { config.effective() };
    printer.line(&serde_json::to_string_pretty(&document)?)?;
    Ok(Exit::Ok)
}

/// The checked configuration of the file and the flags; warnings are printed.
pub(super) fn checked(
    settings: SettingsArgs,
    more: impl FnOnce(Overrides) -> Overrides,
    printer: &mut Printer,
) -> anyhow::Result<Config> {
    let overrides = more(Overrides {
        sandbox: settings.sandbox.map(Into::into),
        state_dir: settings.state_dir,
        pool_size: settings.pool,
        node_name: settings.name,
        tags: settings.tags.into_iter().collect(),
        with_nats: false,
        nats_port: None,
    });
    let (config, warnings) = load(settings.config.as_deref(), &overrides)?;
    for warning in warnings {
        printer.warning(&warning.to_string());
    }
    Ok(config)
}

//! `nex doctor`: what this machine has for a node, and what to do about what it lacks.

use nex_node::config::SandboxChoice;
use nex_node::preflight::{self, Finding, Verdict};
use serde_json::json;

use super::node_config;
use crate::args::DoctorArgs;
use crate::exit::Exit;
use crate::output::{Colour, Printer, printable};

pub(crate) async fn run(args: DoctorArgs, printer: &mut Printer) -> anyhow::Result<Exit> {
    let config = node_config::checked(args.settings, |overrides| overrides, printer)?;
    let findings = preflight::examine(&config).await;
    let isolates = config.sandbox != SandboxChoice::Process;
    let fatal = findings.iter().any(|finding| finding.verdict == Verdict::Missing) && isolates;
    if printer.wants_json() {
        let findings: Vec<_> = findings.iter().map(document).collect();
        printer.document(&json!({
            "sandbox": config.sandbox.as_str(),
            "works": !fatal,
            "findings": findings,
        }))?;
    } else {
        for finding in &findings {
            show(finding, printer)?;
        }
        let sandbox = config.sandbox;
        printer.message(&if fatal {
            format!("a node with sandbox {sandbox} does not start here")
        } else {
            format!("a node with sandbox {sandbox} starts here")
        });
    }
    Ok(if fatal { Exit::Failed } else { Exit::Ok })
}

fn document(finding: &Finding) -> serde_json::Value {
    json!({
        "subject": finding.subject,
        "verdict": finding.verdict.as_str(),
        "found": finding.found,
        "remedy": finding.remedy,
    })
}

fn show(finding: &Finding, printer: &mut Printer) -> anyhow::Result<()> {
    let colour = match finding.verdict {
        Verdict::Good => Colour::Green,
        Verdict::Weak => Colour::Yellow,
        Verdict::Missing => Colour::Red,
    };
    let verdict = printer.paint().apply(colour, &format!("{:<8}", finding.verdict.as_str()));
    printer.line(&format!("{verdict}{:<12}{}", finding.subject, printable(&finding.found)))?;
    if let Some(remedy) = &finding.remedy {
        printer.line(&format!("{:<20}→ {}", "", printable(remedy)))?;
    }
    Ok(())
}

//! Checks across keys: values that are good by themselves but cannot work together.

mod people;
mod ports;
mod tls;
mod trunks;

use crate::diagnostic::Diagnostic;
use crate::environment::Environment;
use crate::positions::Positions;
use crate::source::Reporter;

use super::GatewayFile;

/// Runs every check; what is found goes to `reporter`.
pub(super) fn run(
    file: &GatewayFile,
    positions: &Positions,
    environment: &dyn Environment,
    reporter: &mut Reporter,
) {
    let mut check = Check {
        file,
        positions,
        environment,
        reporter,
    };
    check.ports();
    check.tls();
    check.people();
    check.trunks();
}

struct Check<'a> {
    file: &'a GatewayFile,
    positions: &'a Positions,
    environment: &'a dyn Environment,
    reporter: &'a mut Reporter,
}

impl Check<'_> {
    fn report(&mut self, diagnostic: Diagnostic) {
        self.reporter.report_consequence(diagnostic);
    }
}

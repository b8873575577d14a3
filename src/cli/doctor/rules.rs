//! Rules and formats, with their tests.

use super::{Finding, Health};
use crate::app::settings;
use crate::cli::style::counted;
use crate::config::Config;
use crate::domain::candidate::Subject;
use crate::io::Clock as _;
use crate::io::clock::SystemClock;
use crate::rules;

/// Also whether a rule asks Defender about files, which needs a role.
pub(super) fn rules(config: &Config) -> (Finding, bool) {
    let loaded = rules::load(&config.rules, SystemClock::new().now().wall);
    if let Ok(loaded) = &loaded {
        let named = settings::named_formats(config);
        if let Err(why) = settings::check_formats(&named, &loaded.formats) {
            return (Finding::new("rules", Health::Fail, why), false);
        }
    }
    let ruleset = loaded.map(|loaded| loaded.ruleset);
    let files = ruleset.as_ref().is_ok_and(|rules| rules.may_ask(Subject::File));
    let finding = match ruleset {
        Ok(rules) if rules.is_empty() => {
            let text = format!("{} holds no rule: nothing will match", config.rules.display());
            Finding::new("rules", Health::Warn, text)
        }
        Ok(rules) => Finding::new(
            "rules",
            Health::Ok,
            format!(
                "{}: {}; all tests that they have pass",
                config.rules.display(),
                counted(rules.len(), "rule")
            ),
        ),
        Err(problems) => {
            let check = format!("`lazaret rules check {}` shows all", config.rules.display());
            Finding::new("rules", Health::Fail, format!("{}; {check}", problems.brief()))
        }
    };
    (finding, files)
}

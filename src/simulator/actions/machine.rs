//! A machine as Defender knows it, and how it behaves.

use std::collections::HashSet;

use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};

/// How a machine behaves. An online one that knows every file, by default.
#[derive(Clone, Debug, Default, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields, rename_all = "camelCase")]
pub struct Machine {
    /// Its actions stay `Pending` until it is online again, or time out.
    pub offline: bool,
    /// How its actions end.
    pub ends: Ending,
    /// `errorHResult` of an action that it did not do. As seen for that ending, where left out.
    #[serde(rename = "errorHResult")]
    pub error_h_result: Option<i32>,
    /// `error` and `troubleshootInfo` of such an action.
    pub error: Option<String>,
    pub troubleshoot_info: Option<String>,
    /// SHA-1s never seen on it: answered with 404.
    pub lacks: HashSet<String>,
    /// `simulated-` and the start of its id where left out.
    pub computer_dns_name: Option<String>,
    /// `Active`, or `Inactive` for one that is offline, where left out.
    pub health_status: Option<String>,
    /// `Onboarded` where left out.
    pub onboarding_status: Option<String>,
    /// Other properties of its Machine object, such as `osPlatform`.
    pub says: Map<String, Value>,
}

impl Machine {
    /// Its `computerDnsName`, as that of the machine with this id.
    pub fn name(&self, id: &str) -> String {
        let simulated = || format!("simulated-{}", id.get(..8).unwrap_or(id));
        self.computer_dns_name.clone().unwrap_or_else(simulated)
    }

    pub(super) fn failure(&self) -> Failure {
        Failure {
            code: self.error_h_result,
            error: self.error.clone(),
            troubleshoot_info: self.troubleshoot_info.clone(),
        }
    }
}

/// The last status of a machine action.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub enum Ending {
    #[default]
    Succeeded,
    Failed,
    TimeOut,
    Cancelled,
}

/// What a machine said of an action that it did not do.
#[derive(Clone, Debug, Default)]
pub(super) struct Failure {
    pub code: Option<i32>,
    pub error: Option<String>,
    pub troubleshoot_info: Option<String>,
}

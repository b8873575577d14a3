//! Makes up incidents: what happens, where, and how much of it is told.

use std::collections::{BTreeSet, VecDeque};
use std::time::Duration;

use super::model::{
    Alert, Entity, File, Hash, Machine, Met, Other, OtherKind, Severity, Status, Told, Writing,
};
use super::{Settings, Shape, TENANTS_MAX, tenant};
use crate::domain::dice::Dice;

/// How long before the present the first incident happens.
pub(super) const SPAN: Duration = Duration::from_secs(6 * 3600);

/// How long before the present the last one does: what is told of it later is not in the future.
const LAST: Duration = Duration::from_secs(600);

/// By how much earlier than its turn an incident happens at most.
const JITTER: Duration = Duration::from_secs(30);

/// How many files that were acted on are kept, to be met again.
const REMEMBERED: usize = 64;

/// Tenants that nobody knows.
const STRANGERS: u64 = 3;

/// Draws one incident after the other.
pub(super) struct Incidents {
    settings: Settings,
    recent: VecDeque<(u64, Met)>,
    last_id: Option<(u64, String)>,
}

impl Incidents {
    pub fn new(settings: Settings) -> Self {
        Self { settings, recent: VecDeque::new(), last_id: None }
    }

    /// Keeps a file that is acted on, for another alert to name it again.
    pub fn remember(&mut self, alert: &Alert, met: &Met) {
        if self.recent.len() == REMEMBERED {
            self.recent.pop_front();
        }
        self.recent.push_back((alert.tenant_number, met.clone()));
    }

    /// Any machine of a tenant.
    pub fn machine(&self, dice: &mut Dice, tenant_number: u64) -> Machine {
        self.machine_at(tenant_number, dice.below(self.fleet()))
    }

    /// How many machines a tenant has.
    fn fleet(&self) -> u64 {
        (20 + self.settings.incidents / 20).min(5000)
    }

    fn machine_at(&self, tenant_number: u64, number: u64) -> Machine {
        let mut dice = Dice::new(self.settings.seed);
        let mut dice = Dice::new(dice.roll() ^ (tenant_number << 32) ^ number);
        let name = format!("ws-{number:04}.site{tenant_number}.example");
        Machine { id: hex(&mut dice, 40), name }
    }

    /// The incident of this number, counted from 0.
    pub fn draw(&mut self, dice: &mut Dice, number: u64) -> Alert {
        let xdr = self.settings.shape == Shape::DefenderXdr;
        let tenant_is_known = !dice.chance(20);
        let tenant_number = match tenant_is_known {
            true => dice.below(self.settings.tenants.max(1)),
            false => TENANTS_MAX + dice.below(STRANGERS),
        };
        let alone = xdr && dice.chance(30);
        let without_files = alone || dice.chance(70);
        let again = (tenant_is_known && dice.chance(80))
            .then(|| dice.below(REMEMBERED as u64) as usize)
            .and_then(|at| self.recent.get(at).filter(|(of, _)| *of == tenant_number).cloned());
        let again = again.map(|(_, met)| met);
        let cast = self.cast(dice, tenant_number, again.as_ref());
        let at = self.at(dice, number);
        let mut alert = Alert {
            tenant: match tenant_is_known {
                true => tenant(tenant_number),
                false => format!("57a46e00-0000-4000-8000-{:012x}", tenant_number - TENANTS_MAX),
            },
            tenant_number,
            tenant_is_known,
            id: self.id(dice, tenant_number, number),
            severity: pick(
                dice,
                &[
                    (40, Severity::High),
                    (32, Severity::Medium),
                    (18, Severity::Low),
                    (10, Severity::Informational),
                ],
            ),
            title: format!("{} was met on a machine", pick_one(dice, &WHAT)),
            category: pick_one(dice, &CATEGORIES),
            at,
            has_info: alone || !xdr || !dice.chance(45),
            evidence_has_severity: !dice.chance(300),
            machines: if alone { Vec::new() } else { self.shown(dice, &cast) },
            files: if without_files { Vec::new() } else { self.files(dice, &cast, at, again) },
            others: if alone { Vec::new() } else { self.others(dice, &cast, tenant_number) },
        };
        // An alert of the Defender for Endpoint API has one machine and no other way to tell it.
        if self.settings.shape != Shape::DefenderAlert {
            settle(&mut alert);
        }
        alert
    }

    /// When it happens: one after the other, the last one just now.
    fn at(&self, dice: &mut Dice, number: u64) -> Duration {
        let end = self.settings.now.saturating_sub(LAST);
        let all = self.settings.incidents as f64;
        let before =
            (SPAN - LAST - JITTER).mul_f64((self.settings.incidents - number) as f64 / all);
        end.saturating_sub(before + dice.between(Duration::ZERO, JITTER))
    }

    /// The machines of an incident, each once.
    fn cast(&self, dice: &mut Dice, tenant_number: u64, again: Option<&Met>) -> Vec<Machine> {
        let count = match self.settings.shape {
            Shape::DefenderAlert => 1,
            _ => pick(dice, &[(58, 1), (22, 2), (12, 3), (8, 4)]),
        };
        let first = dice.below(self.fleet());
        let drawn = (0..count).map(|n| self.machine_at(tenant_number, (first + n) % self.fleet()));
        let mut cast: Vec<_> = again.map(|met| met.machine.clone()).into_iter().collect();
        for machine in drawn {
            if !cast.contains(&machine) && (cast.len() as u64) < count {
                cast.push(machine);
            }
        }
        cast
    }

    /// Those of them that the alert has evidence of their own for.
    fn shown(&self, dice: &mut Dice, cast: &[Machine]) -> Vec<Machine> {
        let some = 1 + dice.below(cast.len() as u64) as usize;
        let count = match self.settings.shape {
            Shape::DefenderAlert => pick(dice, &[(93, 1), (7, 0)]),
            _ => pick(dice, &[(62, cast.len()), (12, 0), (26, some)]),
        };
        cast[..count].to_vec()
    }

    fn files(
        &self,
        dice: &mut Dice,
        cast: &[Machine],
        at: Duration,
        again: Option<Met>,
    ) -> Vec<Met> {
        let mut files = Vec::new();
        if let Some(met) = again {
            let told = match self.settings.shape {
                Shape::DefenderAlert => Told::Nowhere,
                _ => Told::Column,
            };
            files.push(Met { told, hash: Hash::Both, at, seed: dice.roll(), ..met });
        }
        for _ in 0..pick(dice, &[(52, 1), (26, 2), (14, 3), (8, 4)]) {
            let entity = pick(dice, &[(78, Entity::File), (22, Entity::Process)]);
            let file = match entity {
                Entity::Process if dice.chance(600) => system_file(dice),
                _ => file(dice),
            };
            let everywhere = dice.chance(200);
            let only = dice.below(cast.len() as u64) as usize;
            for (place, machine) in cast.iter().enumerate() {
                if everywhere || place == only {
                    files.push(self.met(dice, &file, machine, entity));
                    if entity == Entity::File && dice.chance(150) {
                        files.push(self.met(dice, &file, machine, Entity::Process));
                    }
                }
            }
        }
        files.iter_mut().for_each(|met| met.at = at);
        files
    }

    fn met(&self, dice: &mut Dice, file: &File, machine: &Machine, entity: Entity) -> Met {
        let told = match self.settings.shape {
            Shape::DefenderXdr => pick(
                dice,
                &[
                    (20, Told::Column),
                    (35, Told::Nested),
                    (20, Told::Reference),
                    (25, Told::Nowhere),
                ],
            ),
            Shape::DefenderAlert => Told::Nowhere,
            Shape::GraphAlert => pick(dice, &[(75, Told::Column), (25, Told::Nowhere)]),
        };
        let hash = match self.settings.shape {
            Shape::DefenderXdr => pick(
                dice,
                &[
                    (50, Hash::Both),
                    (15, Hash::Column),
                    (22, Hash::Nested),
                    (5, Hash::Nowhere),
                    (4, Hash::Zeros),
                    (4, Hash::Differs(String::new())),
                ],
            ),
            _ => pick(dice, &[(90, Hash::Both), (6, Hash::Nowhere), (4, Hash::Zeros)]),
        };
        Met {
            file: file.clone(),
            machine: machine.clone(),
            entity,
            status: pick(
                dice,
                &[
                    (74, Status::Detected),
                    (11, Status::Blocked),
                    (9, Status::Prevented),
                    (6, Status::Unsaid),
                ],
            ),
            told,
            at: Duration::ZERO,
            hash: match hash {
                Hash::Differs(_) => Hash::Differs(hex(dice, 40)),
                hash => hash,
            },
            writing: pick(dice, &[(85, Writing::Lower), (15, Writing::Upper)]),
            seed: dice.roll(),
        }
    }

    fn others(&self, dice: &mut Dice, cast: &[Machine], tenant_number: u64) -> Vec<Other> {
        let count = dice.below(5);
        let other = |_| {
            let kind = pick_one(
                dice,
                &[
                    OtherKind::User,
                    OtherKind::Mailbox,
                    OtherKind::MailMessage,
                    OtherKind::Url,
                    OtherKind::Ip,
                    OtherKind::RegistryKey,
                    OtherKind::CloudApplication,
                ],
            );
            let names = self.settings.shape == Shape::DefenderXdr
                && matches!(kind, OtherKind::Ip | OtherKind::RegistryKey)
                && dice.chance(400);
            let machine = names.then(|| match dice.chance(300) {
                true => self.machine(dice, tenant_number),
                false => pick_one(dice, cast),
            });
            Other { kind, machine, seed: dice.roll() }
        };
        (0..count).map(other).collect()
    }

    /// In the forms that Defender's ids have; now and then another tenant's alert has the same.
    fn id(&mut self, dice: &mut Dice, tenant_number: u64, number: u64) -> String {
        if dice.chance(10)
            && let Some((of, id)) = self.last_id.take()
            && of != tenant_number
        {
            return id;
        }
        let (ticks, end) = (638_900_000_000_000_000 + number, dice.below(2_000_000_000));
        let id = match dice.below(4) {
            0 => format!("da{ticks}_{end}"),
            1 => format!("da{ticks}_-{end}"),
            2 => format!("ed{ticks}_{end}"),
            _ => format!("ad{}{number:010x}", hex(dice, 30)),
        };
        self.last_id = Some((tenant_number, id.clone()));
        id
    }
}

/// No evidence may tell of another machine than the one where the file was: where what is told of
/// an alert would say so, it tells more. And what is told twice without a machine is told once.
fn settle(alert: &mut Alert) {
    let mut silent = BTreeSet::new();
    for met in &mut alert.files {
        let key = (met.file.sha1.clone(), met.entity == Entity::File);
        if met.told == Told::Nowhere && !silent.insert(key) {
            met.told = Told::Column;
        }
    }
    let wrong = |alert: &Alert| {
        let named = alert.named();
        let only = named.first().filter(|_| named.len() == 1 && !alert.machines.is_empty())?;
        let elsewhere = |met: &Met| met.told == Told::Nowhere && met.machine.id != **only;
        alert.files.iter().position(elsewhere)
    };
    while let Some(at) = wrong(alert) {
        alert.files[at].told = Told::Column;
    }
}

const WHAT: [&str; 6] =
    ["Malware", "Hacking tool", "Ransomware", "Unwanted program", "Backdoor", "Suspicious library"];

const CATEGORIES: [&str; 5] =
    ["Malware", "Ransomware", "Execution", "CredentialAccess", "SuspiciousActivity"];

const FOLDERS: [&str; 4] = [
    "C:\\Users\\Public\\Downloads",
    "C:\\ProgramData\\Updates",
    "C:\\Windows\\Temp",
    "C:\\Users\\jdoe\\AppData\\Local\\Temp",
];

const ENDS: [&str; 6] = [".exe", ".dll", ".scr", ".js", ".ps1", ".txt:ai-8xNfG"];

fn file(dice: &mut Dice) -> File {
    let name = format!("{}-{}{}", pick_one(dice, &STEMS), hex(dice, 6), pick_one(dice, &ENDS));
    File {
        sha1: hex(dice, 40),
        sha256: hex(dice, 64),
        name,
        folder: pick_one(dice, &FOLDERS),
        size: 1000 + dice.below(9_000_000),
    }
}

const STEMS: [&str; 6] = ["invoice", "setup", "viewer", "salary list", "patch", "rechnung_märz"];

/// Programs of the system that attackers use. Each has one hash in all traffic.
const SYSTEM: [&str; 6] = [
    "rundll32.exe",
    "wscript.exe",
    "powershell.exe",
    "explorer.exe",
    "services.exe",
    "svchost.exe",
];

/// One of them.
pub(super) fn system_file(dice: &mut Dice) -> File {
    let number = dice.below(SYSTEM.len() as u64);
    let mut own = Dice::new(0x5957 + number);
    File {
        sha1: hex(&mut own, 40),
        sha256: hex(&mut own, 64),
        name: SYSTEM[number as usize].to_owned(),
        folder: "C:\\Windows\\System32",
        size: 70_000 + number,
    }
}

/// So many random hexadecimal digits, in lower case.
pub(super) fn hex(dice: &mut Dice, digits: usize) -> String {
    let mut text = String::with_capacity(digits + 16);
    while text.len() < digits {
        text.push_str(&format!("{:016x}", dice.roll()));
    }
    text.truncate(digits);
    text
}

/// One of them, each as often as its weight says.
pub(super) fn pick<T: Clone>(dice: &mut Dice, choices: &[(u64, T)]) -> T {
    let mut left = dice.below(choices.iter().map(|(weight, _)| weight).sum());
    for (weight, choice) in choices {
        match left.checked_sub(*weight) {
            None => return choice.clone(),
            Some(rest) => left = rest,
        }
    }
    unreachable!("the die shows less than all weights together")
}

/// One of them, each as often.
pub(super) fn pick_one<T: Clone>(dice: &mut Dice, choices: &[T]) -> T {
    choices[dice.below(choices.len() as u64) as usize].clone()
}

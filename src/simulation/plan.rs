//! What a seed stands for: how many alerts, and which troubles.

use super::servers::Model;
use crate::domain::dice::Dice;

const SECOND: i64 = 1_000_000;

/// When the process crashes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Crashes {
    /// At any point where it can, in so many of 1000 cases.
    Permille(u64),
    /// At the point `first`, counted from 0, and at each `every`th after it: over `every` runs at
    /// every point in turn.
    Every { first: u64, every: u64 },
}

/// What the wall clock does.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum WallClock {
    Steady,
    /// It is off by less than look-ups allow for.
    Off,
    /// It jumps by up to two hours. Look-ups may miss what is there.
    Jumps,
}

#[derive(Clone, Debug)]
pub struct Plan {
    pub seed: u64,
    /// How Defender counts calls.
    pub model: Model,
    pub deliveries: u32,
    pub crashes: Crashes,
    pub wall: WallClock,
    /// How much faster the boot clock runs than the true time, of a million.
    pub drift: i64,
    /// How far Defender's clock is ahead, in microseconds.
    pub skew: i64,
    /// Machines may be offline until Defender gives up on them.
    pub offline: bool,
    /// Defender may take longer than promised to show in its list what it accepted.
    pub hides: bool,
    /// Every call for one of the machines is lost before it is accepted.
    pub dark: bool,
    /// The disk fails, tears commits and fills up.
    pub bad_disk: bool,
    /// A deny rule appears.
    pub denies: bool,
    /// Entries on one page of the list of machine actions.
    pub page: u32,
}

impl Plan {
    pub fn of(seed: u64) -> Self {
        let mut dice = Dice::new(seed ^ 0xace0_fba5e);
        Self {
            seed,
            model: Model::ALL[dice.below(5) as usize],
            deliveries: 30 + dice.below(90) as u32,
            crashes: Crashes::Permille([0, 2, 10][dice.below(3) as usize]),
            wall: match dice.below(10) {
                0 => WallClock::Jumps,
                1..5 => WallClock::Off,
                _ => WallClock::Steady,
            },
            drift: dice.below(1001) as i64 - 500,
            skew: (dice.below(121) as i64 - 60) * SECOND,
            offline: dice.chance(60),
            hides: dice.chance(300),
            dark: dice.chance(60),
            bad_disk: dice.chance(400),
            denies: dice.chance(300),
            page: 2 + (seed % 7) as u32,
        }
    }
}

/// Counts where the process may crash, and says where it does.
#[derive(Debug)]
pub(super) struct Crossings {
    crashes: Crashes,
    passed: u64,
}

impl Crossings {
    pub fn new(crashes: Crashes) -> Self {
        Self { crashes, passed: 0 }
    }

    /// Whether the process crashes at this one.
    pub fn hit(&mut self, dice: &mut Dice) -> bool {
        let passed = self.passed;
        self.passed += 1;
        match self.crashes {
            Crashes::Permille(permille) => dice.chance(permille),
            Crashes::Every { first, every } => passed % every == first % every,
        }
    }
}

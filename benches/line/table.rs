//! Tables of 80 columns: what was measured, how far it spreads, and how it stands to its target.

/// Measurements of one thing, one for each round.
#[derive(Clone, Default)]
pub struct Rounds(Vec<f64>);

impl Rounds {
    pub fn push(&mut self, value: f64) {
        self.0.push(value);
    }

    pub fn median(&self) -> f64 {
        quantile(&self.0, 0.5)
    }

    fn range(&self) -> (f64, f64) {
        (quantile(&self.0, 0.0), quantile(&self.0, 1.0))
    }
}

/// The value below which that share of the values lies. Zero without values.
pub fn quantile(values: &[f64], share: f64) -> f64 {
    let mut sorted = values.to_vec();
    sorted.sort_by(f64::total_cmp);
    let last = sorted.len().saturating_sub(1) as f64;
    sorted.get((share * last).round() as usize).copied().unwrap_or(0.0)
}

/// How a measurement should stand to its baseline.
#[derive(Clone, Copy)]
pub enum Target {
    None,
    AtLeast(f64),
    AtMost(f64),
}

impl Target {
    /// What was asked, and whether it came so. Empty without a target.
    pub fn verdict(self, ratio: f64) -> String {
        let (sign, bound, met) = match self {
            Target::None => return String::new(),
            Target::AtLeast(bound) => ('≥', bound, ratio >= bound),
            Target::AtMost(bound) => ('≤', bound, ratio <= bound),
        };
        format!("{sign} {bound:.2} {}", if met { "met" } else { "MISSED" })
    }
}

pub fn heading(title: &str, lines: &[&str]) {
    println!("\n{title}");
    for line in lines {
        println!("  {line}");
    }
}

/// The columns' names.
pub fn columns(unit: &str, baseline: &str) {
    println!("  {:<24}{unit:>11}{:>19}{baseline:>9}  target", "", "range");
}

/// One line: the median, the range, and the median's ratio to that of a baseline.
pub fn row(name: &str, rounds: &Rounds, baseline: &Rounds, target: Target) {
    let (low, high) = rounds.range();
    let range = format!("{} – {}", number(low), number(high));
    let ratio = rounds.median() / baseline.median();
    let median = number(rounds.median());
    let line =
        format!("  {name:<24}{median:>11}{range:>19}{ratio:>9.2}  {}", target.verdict(ratio));
    println!("{}", line.trim_end());
}

/// Whole numbers with their thousands apart, small ones with two places.
pub fn number(value: f64) -> String {
    if value < 100.0 {
        return format!("{value:.2}");
    }
    let digits = format!("{value:.0}");
    let mut text = String::new();
    for (at, digit) in digits.chars().enumerate() {
        if at > 0 && (digits.len() - at).is_multiple_of(3) {
            text.push(',');
        }
        text.push(digit);
    }
    text
}

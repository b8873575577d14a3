//! Records of CSV, as RFC 4180 has them.

use std::ops::RangeInclusive;

/// One record with its line break.
pub fn record<'a>(cells: impl IntoIterator<Item = &'a str>) -> String {
    let cells: Vec<_> = cells.into_iter().map(cell).collect();
    format!("{}\r\n", cells.join(","))
}

/// Quoted where it has to be. What a spreadsheet would take for a formula gets an apostrophe before
/// it: names and reasons come from elsewhere.
pub fn cell(text: &str) -> String {
    let first = text.trim_start_matches(|c: char| c.is_whitespace() || is_unseen(c)).chars().next();
    let formula =
        first.is_some_and(|c| "=+-@＝＋－＠".contains(c)) || text.starts_with(['\t', '\r']);
    let apostrophe = if formula { "'" } else { "" };
    match text.contains([',', '"', '\r', '\n']) {
        true => format!("\"{apostrophe}{}\"", text.replace('"', "\"\"")),
        false => format!("{apostrophe}{text}"),
    }
}

/// Characters that show nothing, and before which a spreadsheet may still find a formula.
fn is_unseen(c: char) -> bool {
    const UNSEEN: [RangeInclusive<char>; 4] = [
        '\u{200b}'..='\u{200f}',
        '\u{2028}'..='\u{202e}',
        '\u{2060}'..='\u{2064}',
        '\u{feff}'..='\u{feff}',
    ];
    c.is_control() || UNSEEN.iter().any(|range| range.contains(&c))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn no_cell_breaks_its_row_and_none_is_a_formula() {
        let cells =
            ["plain", "a,b", "say \"hi\"", "two\nlines", "=1+1", "-1", "@x", "\tx", "", "é"];
        let expected = "plain,\"a,b\",\"say \"\"hi\"\"\",\"two\nlines\",'=1+1,'-1,'@x,'\tx,,é\r\n";
        assert_eq!(record(cells), expected);
        for formula in ["\u{ff1d}1", " =1", "\u{200b}=1", "\x1b=1"] {
            assert!(cell(formula).starts_with('\''), "{formula:?}");
        }
        assert_eq!(record(["=HYPERLINK(\"x\",1)"]), "\"'=HYPERLINK(\"\"x\"\",1)\"\r\n");
    }
}

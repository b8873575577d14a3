//! Records of CSV, as RFC 4180 has them.

/// One record with its line break.
pub fn record<'a>(cells: impl IntoIterator<Item = &'a str>) -> String {
    let cells: Vec<_> = cells.into_iter().map(cell).collect();
    format!("{}\r\n", cells.join(","))
}

/// Quoted where it has to be. What a spreadsheet would take for a formula gets an apostrophe before
/// it: names and reasons come from elsewhere.
pub fn cell(text: &str) -> String {
    let formula = text.starts_with(['=', '+', '-', '@', '\t', '\r']);
    let apostrophe = if formula { "'" } else { "" };
    match text.contains([',', '"', '\r', '\n']) {
        true => format!("\"{apostrophe}{}\"", text.replace('"', "\"\"")),
        false => format!("{apostrophe}{text}"),
    }
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
        assert_eq!(record(["=HYPERLINK(\"x\",1)"]), "\"'=HYPERLINK(\"\"x\"\",1)\"\r\n");
    }
}

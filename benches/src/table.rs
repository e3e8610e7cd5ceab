//! Tables that a person reads in a terminal, and that a document takes as they are.

/// A table that is printed row by row, as Markdown.
#[derive(Debug)]
pub struct Table {
    widths: Vec<usize>,
}

impl Table {
    /// Prints the head of a table. Cells that are wider than a column's width stand out.
    #[must_use]
    pub fn new(columns: &[(&str, usize)]) -> Self {
        let widths = columns.iter().map(|(name, width)| (*width).max(name.chars().count()));
        let table = Self { widths: widths.collect() };
        table.row(columns.iter().map(|(name, _)| (*name).to_owned()));
        table.row(table.widths.iter().map(|&width| "-".repeat(width)));
        table
    }

    /// Prints a row.
    pub fn row(&self, cells: impl IntoIterator<Item = String>) {
        let cells = cells.into_iter().zip(&self.widths);
        let cells: Vec<_> = cells.map(|(cell, &width)| format!("{cell:<width$}")).collect();
        println!("| {} |", cells.join(" | "));
    }
}

/// Shows a time that is given in ns.
#[must_use]
pub fn time(ns: f64) -> String {
    let (value, unit) = match ns {
        ns if ns < 1e3 => (ns, "ns"),
        ns if ns < 1e6 => (ns / 1e3, "µs"),
        ns if ns < 1e9 => (ns / 1e6, "ms"),
        ns => (ns / 1e9, "s"),
    };
    format!("{} {unit}", figures(value))
}

/// Shows a number of bytes.
#[must_use]
pub fn bytes(bytes: f64) -> String {
    let (value, unit) = match bytes {
        bytes if bytes < 1e4 => (bytes, "B"),
        bytes if bytes < 1e6 => (bytes / 1e3, "kB"),
        bytes => (bytes / 1e6, "MB"),
    };
    format!("{} {unit}", figures(value))
}

/// Shows a ratio.
#[must_use]
pub fn ratio(ratio: f64) -> String {
    match ratio {
        ratio if ratio < 1e3 => format!("×{}", figures(ratio)),
        ratio => format!("×{}", apart(&format!("{ratio:.0}"))),
    }
}

/// Shows a count, its thousands apart.
#[must_use]
pub fn count(count: u64) -> String {
    apart(&count.to_string())
}

/// Shows how many there are in a second.
#[must_use]
pub fn rate(per_second: f64) -> String {
    apart(&format!("{per_second:.0}"))
}

/// Puts a space between every three digits.
fn apart(digits: &str) -> String {
    let mut shown = String::new();
    for (at, digit) in digits.chars().enumerate() {
        if at > 0 && (digits.len() - at).is_multiple_of(3) {
            shown.push(' ');
        }
        shown.push(digit);
    }
    shown
}

/// Shows three figures, or all that stand before the point.
fn figures(value: f64) -> String {
    match value.abs() {
        size if size < 9.995 => format!("{value:.2}"),
        size if size < 99.95 => format!("{value:.1}"),
        _ => format!("{value:.0}"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn figures_are_three_with_their_unit() {
        assert_eq!(time(0.5), "0.50 ns");
        assert_eq!(time(736.2), "736 ns");
        assert_eq!(time(93_740_000.0), "93.7 ms");
        assert_eq!(bytes(71.04), "71.0 B");
        assert_eq!(bytes(7_100_000.0), "7.10 MB");
        assert_eq!([ratio(9.999), ratio(22_465.4)], ["×10.0", "×22 465"]);
    }

    #[test]
    fn thousands_stand_apart() {
        assert_eq!([count(7), count(1_000), count(1_234_567)], ["7", "1 000", "1 234 567"]);
        assert_eq!(rate(12_345.6), "12 346");
    }
}

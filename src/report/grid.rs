//! The one layout of tables: no lines, columns two apart; on a narrow terminal some are left out.

use std::borrow::Cow;

use comfy_table::{ContentArrangement, Table, presets};

use crate::plain::line;

/// Between two columns.
const GAP: usize = 2;

/// A table as wide as `width` allows: columns that are `dispensable` go first, in that order, then words are
/// wrapped.
pub fn grid<const N: usize>(
    header: &[&str; N],
    rows: &[[String; N]],
    dispensable: &[&str],
    width: Option<u16>,
) -> String {
    let rows: Vec<[Cow<'_, str>; N]> = rows
        .iter()
        .map(|row| row.each_ref().map(|cell| line(cell)))
        .collect();
    let columns = columns(header, &rows, dispensable, width);
    let mut table = Table::new();
    table
        .load_style(presets::NOTHING)
        .set_header(columns.iter().map(|column| header[*column]))
        .set_content_arrangement(ContentArrangement::Disabled);
    if let Some(width) = width {
        table
            .set_content_arrangement(ContentArrangement::Dynamic)
            .set_width(width + 2);
    }
    for row in &rows {
        table.add_row(columns.iter().map(|column| &*row[*column]));
    }
    for column in table.column_iter_mut() {
        column.set_padding((0, 2));
    }
    let lines = table.lines().map(|line| line.trim_end().to_owned() + "\n");
    lines.collect()
}

/// The columns, by index, that fit.
pub fn columns<const N: usize>(
    header: &[&str; N],
    rows: &[[impl AsRef<str>; N]],
    dispensable: &[&str],
    width: Option<u16>,
) -> Vec<usize> {
    let mut columns: Vec<usize> = (0..N).collect();
    let Some(width) = width.map(usize::from) else {
        return columns;
    };
    let widest = |column: &usize| {
        let cells = rows.iter().map(|row| row[*column].as_ref().chars().count());
        cells.chain([header[*column].len()]).max().unwrap_or(0) + GAP
    };
    for name in dispensable {
        if columns.iter().map(widest).sum::<usize>() <= width + GAP {
            break;
        }
        columns.retain(|column| header[*column] != *name);
    }
    columns
}

#[cfg(test)]
mod tests {
    use super::grid;

    #[test]
    fn a_narrow_terminal_goes_without_what_is_dispensable() {
        let rows = [["web".to_owned(), "1.0s".to_owned(), "20".to_owned()]];
        let of = |width| {
            grid(
                &["TASK", "TIME", "SAMPLES"],
                &rows,
                &["SAMPLES", "TIME"],
                width,
            )
        };
        assert_eq!(of(None), "TASK  TIME  SAMPLES\nweb   1.0s  20\n");
        assert_eq!(of(Some(19)), of(None));
        assert_eq!(of(Some(18)), "TASK  TIME\nweb   1.0s\n");
        assert_eq!(of(Some(9)), "TASK\nweb\n");
    }
}

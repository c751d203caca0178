//! Tables: a header line and columns, no frames, so that `awk` can read them.

use comfy_table::{ContentArrangement, Row};

use super::paint::{Colour, Paint};
use super::printable::printable;

/// Rows under a header.
pub(crate) struct Table {
    header: Vec<&'static str>,
    rows: Vec<Vec<String>>,
}

impl Table {
    /// An empty table.
    pub(crate) fn new(header: &[&'static str]) -> Self {
        Self { header: header.to_vec(), rows: Vec::new() }
    }

    /// Adds a row; an empty cell is shown as `-`.
    pub(crate) fn row(&mut self, cells: Vec<String>) {
        self.rows.push(
            cells
                .into_iter()
                .map(|cell| if cell.is_empty() { "-".to_owned() } else { printable(&cell) })
                .collect(),
        );
    }

    /// The text of the table, wrapped to the terminal's width if it goes to one.
    pub(crate) fn render(&self, fit: bool, paint: Paint) -> String {
        let mut table = comfy_table::Table::new();
        table.load_style(comfy_table::presets::NOTHING);
        table.set_content_arrangement(if fit {
            ContentArrangement::Dynamic
        } else {
            ContentArrangement::Disabled
        });
        table.set_header(Row::from(self.header.iter().map(ToString::to_string)));
        for row in &self.rows {
            table.add_row(Row::from(row.iter().cloned()));
        }
        for column in table.column_iter_mut() {
            column.set_padding((0, 2));
        }
        let mut lines = Vec::new();
        for (number, line) in table.to_string().lines().enumerate() {
            let line = line.trim_end();
            lines.push(if number == 0 { paint.apply(Colour::Bold, line) } else { line.to_owned() });
        }
        lines.join("\n")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn columns_stand_under_their_headings() {
        let mut table = Table::new(&["NAME", "NODE"]);
        table.row(vec!["echo".into(), "blue-fox".into()]);
        table.row(vec!["a-much-longer-name".into(), String::new()]);
        assert_eq!(
            table.render(false, Paint::fixed(false)),
            "NAME                NODE\n\
             echo                blue-fox\n\
             a-much-longer-name  -"
        );
    }

    #[test]
    fn control_characters_do_not_reach_the_terminal() {
        let mut table = Table::new(&["NAME"]);
        table.row(vec!["a\x1b[2Jb\nc".into()]);
        assert_eq!(table.render(false, Paint::fixed(false)), "NAME\nab\u{fffd}c");
    }
}

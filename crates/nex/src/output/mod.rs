//! What the program prints: data on standard output, messages on standard
//! error, so that `nex ps --json | jq` sees nothing but data.

mod duration_text;
mod paint;
mod printable;
mod printer;
mod progress;
mod table;
mod time_text;

pub(crate) use duration_text::duration_text;
pub(crate) use paint::{Colour, Paint};
pub(crate) use printable::printable;
pub(crate) use printer::Printer;
pub(crate) use progress::{RoundBar, UploadBar};
pub(crate) use table::Table;
pub(crate) use time_text::time_text;

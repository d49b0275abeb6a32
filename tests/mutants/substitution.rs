//! Puts the mistakes of the table into the text of the core.

use std::ops::Range;

use super::table::{MUTANTS, Place};

/// The text of a file of the core in which every mistake that belongs there can be turned on.
///
/// # Errors
/// An original does not occur exactly once, or two of them overlap.
pub fn with_mistakes(file: &str, text: &str) -> Result<String, String> {
    let mut found: Vec<(Range<usize>, u8, &Place)> = Vec::new();
    for mutant in &MUTANTS {
        for place in mutant.places.iter().filter(|place| place.file == file) {
            let ranges = occurrences(text, place.original);
            let [range] = &ranges[..] else {
                let Place { original, .. } = place;
                let often = ranges.len();
                return Err(format!(
                    "{file} has \"{original}\" {often} times, not once (M{:02})",
                    mutant.id()
                ));
            };
            found.push((range.clone(), mutant.id(), place));
        }
    }
    found.sort_by_key(|(range, ..)| range.start);
    for pair in found.windows(2) {
        if pair[0].0.end > pair[1].0.start {
            return Err(format!("{file}: \"{}\" overlaps \"{}\"", pair[0].2.original, pair[1].2.original));
        }
    }
    let mut mutated = String::from(text);
    for (range, id, Place { original, mistake, .. }) in found.into_iter().rev() {
        let either = format!("(if crate::mutants::is_on({id}) {{ {mistake} }} else {{ {original} }})");
        mutated.replace_range(range, &either);
    }
    Ok(mutated)
}

/// Where a piece of code occurs, however either is spaced.
fn occurrences(text: &str, code: &str) -> Vec<Range<usize>> {
    let dense = |text: &str| -> Vec<(usize, char)> {
        text.char_indices().filter(|(_, c)| !c.is_whitespace()).collect()
    };
    let (text, code) = (dense(text), dense(code));
    let is_it = |window: &[(usize, char)]| window.iter().zip(&code).all(|((_, here), (_, own))| here == own);
    let whole = |window: &[(usize, char)]| {
        window[0].0..window[code.len() - 1].0 + window[code.len() - 1].1.len_utf8()
    };
    text.windows(code.len()).filter(|window| is_it(window)).map(whole).collect()
}
